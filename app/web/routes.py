"""The app's own routes: the status that every page asks for, finished pictures, downloads, and starting the worker.

Nothing is found by a path that a browser sent: an address names a run, a step and a picture, each by a pattern, and
the file is looked up among those that are finished. No link is followed, so that a run of somebody else's gives away no
file of this computer.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from app.adapters.names import slug
from app.web.parts import followed
from app.web.studio import Studio, user_of
from training.errors import BadInput

RUN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}"
PICTURE = re.compile(r"[0-9a-z-]{1,40}\.png")
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
AGAIN = {"Cache-Control": "private, no-cache"}


def routes(studio: Studio) -> APIRouter:
    """The routes of one data folder, all under /studio."""
    router = APIRouter(prefix="/studio")
    data = studio.data.absolute()

    @router.get("/status")
    def status() -> JSONResponse:
        return JSONResponse(studio.status(), headers={"Cache-Control": "no-store"})

    @router.get("/classes")
    def classes() -> JSONResponse:
        return JSONResponse(followed.known_classes(), headers=AGAIN)

    @router.post("/worker")
    def start_worker(request: Request) -> JSONResponse:
        if request.headers.get("x-studio") != "1":  # another site's form cannot send it
            raise HTTPException(403)
        studio.hold_worker()
        return JSONResponse({"started": True})

    @router.get("/picture/{run}/dataset/{file}")
    def subject(run: str, file: str) -> FileResponse:
        return png(data, data / "runs" / run_id(run) / "dataset", file)

    @router.get("/picture/{run}/{step}/{file}")
    def sample(run: str, step: str, file: str) -> FileResponse:
        if not re.fullmatch(r"step-\d{6,}", step):
            raise HTTPException(404)
        return png(data, data / "runs" / run_id(run) / "samples" / step, file)

    @router.get("/drawing/{drawing}/{file}")
    def drawing(drawing: str, file: str) -> FileResponse:
        return png(data, data / "drawings" / run_id(drawing), file)

    @router.get("/draft/{file}")
    def draft(request: Request, file: str) -> FileResponse:
        from app.drafts import draft as drafts

        return png(data, drafts.thumbnails_folder(data, user_of(request)), file, AGAIN)

    @router.get("/file/{run}/{name}")
    def download(run: str, name: str) -> FileResponse:
        from app.adapters.exporting import finished_files
        from training.runs.run import Run

        for path in finished_files(Run(data / "runs" / run_id(run))):
            if path.name == name:
                return _file(data, path, filename=name, media_type="application/octet-stream", headers=AGAIN)
        raise HTTPException(404)

    @router.get("/comparison/{comparison}/{kind}")
    def comparison(comparison: str, kind: Literal["html", "png"]) -> Response:
        from app.comparisons.comparison import by_id
        from app.web.parts.comparison import export
        from app.web.parts.comparison.shown import whole

        try:
            shown = whole(by_id(data, run_id(comparison)))
        except BadInput as error:
            raise HTTPException(404) from error
        if not shown.there:
            raise HTTPException(404)
        content = export.document(shown).encode() if kind == "html" else export.sheet(shown)
        named = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(slug(shown.document.name))}.{kind}"}
        media = {"html": "text/html; charset=utf-8", "png": "image/png"}[kind]
        return Response(content, media_type=media, headers={**AGAIN, **named})

    @router.get("/save/{run}/{step}")
    def save(run: str, step: int) -> FileResponse:
        from app.computer.damaged import adapter_file
        from training.runs.run import Run

        path = adapter_file(Run(data / "runs" / run_id(run)), step)
        name = f"{run}-step-{step}.safetensors"
        return _file(data, path, filename=name, media_type="application/octet-stream", headers=AGAIN)

    return router


def run_id(name: str) -> str:
    """The id of a run or a drawing in an address, which is a name and never a path."""
    if not re.fullmatch(RUN, name) or ".." in name:
        raise HTTPException(404)
    return name


def png(data: Path, folder: Path, file: str, headers: dict[str, str] = FOREVER) -> FileResponse:
    """A picture by its name in a folder of the data folder."""
    if not PICTURE.fullmatch(file):
        raise HTTPException(404)
    return _file(data, folder / file, media_type="image/png", headers=headers)


def _file(data: Path, path: Path, **how: Any) -> FileResponse:
    return FileResponse(regular(data, path), **how)


def regular(data: Path, path: Path) -> Path:
    """A regular file of the data folder. The owner may have linked that and its folders to another disk, no more."""
    top, *below = path.relative_to(data).parts  # "runs", and what is in it
    try:
        found = (data / top).resolve().joinpath(*below)
        regular = stat.S_ISREG(found.lstat().st_mode) and found.resolve() == found
    except (OSError, RuntimeError):  # not there, or links in a ring
        regular = False
    if not regular:
        raise HTTPException(404)
    return found
