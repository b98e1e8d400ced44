"""What a call to Gradio may hold: JSON of a sane size, and of files only the session's own uploads.

Gradio makes a file of every object with a "path", in whatever field, before an event's function is called: it would
copy any file that the server may read, or fetch one from an address. So each such object is looked up here first, and
what goes on holds the path of that upload and nothing that the caller said of it but its name.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from app.web.studio import session_of
from app.web.uploads import Owner, Uploads
from training import jsonfile
from training.errors import BadInput

LARGEST_BYTES = 4 << 20
DEEPEST = 40
FILE = "gradio.FileData"
NO_UPLOAD = (
    "A file was given that was not uploaded in this session, or has been used already. "
    "Upload it (gradio_client: handle_file(path)) and give what that returns, with the session's cookie."
)


class Calls:
    """ASGI: looks into every call before Gradio does, and lets a session see no file but its own uploads."""

    def __init__(self, app, uploads: Uploads):
        self.app, self.uploads = app, uploads

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request, path = Request(scope, receive), scope["path"].removeprefix(scope.get("root_path", ""))
        owner = session_of(request)
        self.uploads.sweep()
        if path.startswith("/gradio_api/file="):
            if self.uploads.find(owner, path.removeprefix("/gradio_api/file=")) is None:
                return await PlainTextResponse("There is no such file.", 404)(scope, receive, send)
        elif request.method not in ("GET", "HEAD") and path.startswith("/gradio_api/") and path != "/gradio_api/upload":
            try:
                body = await self._checked(request, owner)
            except BadInput as error:
                return await _refusal(str(error))(scope, receive, send)
            scope, receive = _with_body(scope, body, receive)
        return await self.app(scope, receive, send)

    async def _checked(self, request: Request, owner: Owner) -> bytes:
        """The body that goes on. Raises BadInput."""
        given = await _body(request)
        try:
            document = json.loads(given)
        except (ValueError, RecursionError):
            raise BadInput("The body of a call is JSON.") from None
        return json.dumps(self._own(document, owner, 0)).encode()

    def _own(self, value: Any, owner: Owner, depth: int) -> Any:
        """A value with its files looked up."""
        if depth > DEEPEST:
            raise BadInput(f"What was sent is nested more than {DEEPEST} deep.")
        if isinstance(value, list):
            return [self._own(item, owner, depth + 1) for item in value]
        if not isinstance(value, dict):
            return _plain(value)
        if "path" in value or _says_file(value):
            return self._file(value, owner)
        return {_plain(key): self._own(item, owner, depth + 1) for key, item in value.items()}

    def _file(self, value: dict, owner: Owner) -> dict:
        path, name = value.get("path"), value.get("orig_name")
        found = self.uploads.find(owner, path) if isinstance(path, str) else None
        if found is None:
            raise BadInput(NO_UPLOAD)
        name = Path(name).name if isinstance(name, str) else found.name
        return {"path": str(found), "orig_name": name, "meta": {"_type": FILE}}


def _refusal(words: str) -> JSONResponse:
    """In "detail" the shape of Gradio's own refusals, which gradio_client reads the words from."""
    detail = {"__type__": "validate", "is_valid": False, "parameter_name": "what was sent", "message": words}
    return JSONResponse({"error": words, "detail": [detail]}, 422)


def _plain(value: Any) -> Any:
    """A text or number as it came. Raises BadInput for one that no answer could hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput("A number that was sent is none, or has no end.")
    if isinstance(value, str) and not jsonfile.keeps(value):
        raise BadInput("A text that was sent holds half a letter.")
    return value


def _says_file(value: dict) -> bool:
    meta = value.get("meta")
    return isinstance(meta, dict) and meta.get("_type") == FILE


async def _body(request: Request) -> bytes:
    """All of a body. Raises BadInput where it is no JSON by its type, or too much."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadInput("A call is sent as application/json.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BYTES:
            raise BadInput(f"A call may have {LARGEST_BYTES >> 20} MB; files are uploaded.")
        parts.append(part)
    return b"".join(parts)


def _with_body(scope, body: bytes, receive):
    """The request with another body."""
    headers = [h for h in scope["headers"] if h[0] not in (b"content-length", b"content-type", b"transfer-encoding")]
    headers += [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    coming = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return coming.pop() if coming else await receive()

    return {**scope, "headers": headers}, again
