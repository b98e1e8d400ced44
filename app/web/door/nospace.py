"""A full disk in the browser's words: an upload that does not fit, and an answer that failed for want of room."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import PlainTextResponse

from training import room
from training.errors import disk_full

INSUFFICIENT_STORAGE = 507
WORDS = "Free some space, then try again."


class NoSpace:
    """ASGI middleware: says 507 and why, where there would be a bare 500."""

    def __init__(self, app, data: Path):
        self.app, self.data = app, data

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["method"] == "POST" and scope["path"].endswith("/upload") and not self._fits(scope):
            return await self._answer()(scope, receive, send)
        began = said = False

        async def told(message) -> None:
            """Pass on an answer, but say what a failure is about where the disk is full."""
            nonlocal began, said
            if message["type"] == "http.response.start" and message["status"] == 500 and room.is_full(self.data):
                said = True  # Gradio's own, which answers and then raises
                await self._answer()(scope, receive, send)
            began = True
            if not said:
                await send(message)

        try:
            await self.app(scope, receive, told)
        except Exception as error:
            if not (said or (disk_full(error) and not began)):
                raise
            if not said:
                await self._answer()(scope, receive, send)

    def _fits(self, scope) -> bool:
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        needed = int(stated) if stated.isdigit() else 0
        return room.free_bytes(self.data) >= needed + room.SPARE_BYTES

    def _answer(self) -> PlainTextResponse:
        left = room.size(room.free_bytes(self.data))
        return PlainTextResponse(f"The disk of {self.data} is full: it has {left} left. {WORDS}", INSUFFICIENT_STORAGE)
