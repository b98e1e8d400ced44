"""The routes of maps: what a pair of the page New looks like, and the held-out pairs of a run."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from app.web.routes import FOREVER, PICTURE, png, regular, run_id
from app.web.studio import Studio, user_of
from training.errors import BadInput
from training.maps import dataset

ONCE = {"Cache-Control": "no-store"}


def routes(studio: Studio) -> APIRouter:
    """The routes of one data folder, to be asked before those of `app.web.routes`."""
    router = APIRouter(prefix="/studio")
    data = studio.data.absolute()

    @router.get("/picture/{run}/held-out/{file}")
    def held_out(run: str, file: str) -> FileResponse:
        return png(data, data / "runs" / run_id(run) / dataset.HELD_OUT, file)

    @router.get("/map/{run}/{file}")
    def held_map(run: str, file: str) -> Response:
        from training.maps import reading, writing

        if not PICTURE.fullmatch(file):
            raise HTTPException(404)
        found = regular(data, (data / "runs" / run_id(run) / dataset.HELD_OUT / file).with_suffix(".map.png"))
        try:
            painted = writing.encode(reading.labels_of(found), "palette")
        except BadInput as error:
            raise HTTPException(404) from error
        return Response(painted, media_type="image/png", headers=FOREVER)

    @router.get("/pair/{part}/{place}/{version}.png")
    def pair(request: Request, part: str, place: int, version: str, grey: str = "") -> Response:
        from app.drafts import draft as drafts
        from app.drafts import overlay
        from app.web.parts import pairs

        now = drafts.load(data, user_of(request))
        found = dict(now.seen.parts).get(part)
        if found is None or not 0 <= place < len(found.pairs):
            raise HTTPException(404)
        answers = now.pairs.answers
        answers = replace(answers, grey=grey) if grey in ("0-150", "0-149") else answers
        # A page that is about to be shown anew may still ask for what it showed before.
        headers = FOREVER if version == pairs.version(now) else ONCE
        return Response(overlay.draw(found.pairs[place], answers), media_type="image/png", headers=headers)

    return router
