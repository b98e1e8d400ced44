"""What a route did not foresee: a sentence for whoever asked, and the traceback for the terminal, once and harmless."""

from __future__ import annotations

import sys
import traceback

from starlette.responses import JSONResponse

from app.terminal import plain

NO_ACTION = "There is no action of that name: see /gradio_api/info for those that there are."
UNFORESEEN = "This could not be done: something happened that nobody foresaw ({kind}). The app's terminal says more."
NAMELESS = ("FnIndexInferError",)  # what Gradio raises for an unknown name


class Unforeseen:
    """ASGI: in the place of a bare "Internal Server Error"."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        failed, begun = False, False

        async def tell(message) -> None:
            nonlocal failed, begun
            if message["type"] == "http.response.start":
                failed, begun = message["status"] == 500 and _is_bare(message), True
            if not failed:
                await send(message)

        try:
            await self.app(scope, receive, tell)
        except Exception as error:
            if begun and not failed:
                raise  # an answer is half sent
            await answer(error)(scope, receive, send)
        else:
            if failed:
                await JSONResponse({"error": UNFORESEEN.format(kind="an error")}, 500)(scope, receive, send)


def answer(error: Exception) -> JSONResponse:
    """The answer to an error; the terminal is told of it where it is the app's own."""
    if type(error).__name__ in NAMELESS:
        return JSONResponse({"error": NO_ACTION}, 404)
    print(plain("".join(traceback.format_exception(error))), file=sys.stderr, flush=True)
    return JSONResponse({"error": UNFORESEEN.format(kind=type(error).__name__)}, 500)


def _is_bare(message) -> bool:
    kind = dict(message.get("headers", [])).get(b"content-type", b"")
    return kind.startswith(b"text/plain")
