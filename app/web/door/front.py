"""The outermost door: names, origins, the path behind a proxy, the session's cookie, the headers of every answer."""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse

from app.web.door import headers as answers
from app.web.door.names import Names
from training.errors import BadInput

COOKIE = "delora_session"
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
ROOT_PATH = re.compile(r"(/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
# Of Gradio's routes those that its pages and gradio_client use. What else it brings (a proxy, functions of components,
# recordings, an editor of the app's own code) has no use here.
GRADIO = re.compile(
    r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|/(assets|static)/.+"
    r"|/gradio_api/(info|openapi\.json|user|login_check|app_id|startup-events|cancel|reset|upload|upload_progress)/?"
    r"|/gradio_api/(heartbeat|run|api|call)/.+|/gradio_api/queue/(join|data|status)|/gradio_api/file=.+"
)
STRANGER = (
    "This app does not answer to the name {host}. Open it as http://localhost, or start it with --allow-host {name} if "
    "it is to be reached by that name."
)
FOREIGN = (
    "This was asked by a page of {origin}, which is not this app. Open the app itself. If that is the address of the "
    "app behind a proxy, start it with --allow-host and the name and port of that address."
)


class Front:
    """ASGI: everything that the app gets passes here first, and everything that it answers last.

    Args:
        app: the application behind.
        names: what it answers to.
        pages: the addresses of its pages, without the leading slash.
        root_path: the path that a proxy has put before all of them, such as /delora; the proxy may take it off or not.
    """

    def __init__(self, app, names: Names, pages: tuple[str, ...], root_path: str = ""):
        self.app, self.names, self.root_path = app, names, root_path
        self.pages = {f"/{page}" for page in pages}

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # nothing here speaks over websockets
            return await send({"type": "websocket.close", "code": 1008})
        given = Headers(scope=scope)
        session = _session(given)
        scope = {**scope, "studio_session": session or secrets.token_urlsafe(32)}
        send = self._answering(send, given, "" if session else scope["studio_session"])
        if words := self._refused(scope, given):
            return await PlainTextResponse(words, 403)(scope, receive, send)
        path = self._path(scope["path"])
        if path is None or (path != "/" and path.removesuffix("/") in self.pages and path.endswith("/")):
            here = self.root_path + ("/" if path is None else path.removesuffix("/"))
            query = scope["query_string"].decode("latin-1")
            return await RedirectResponse(f"{here}?{query}" if query else here, 307)(scope, receive, send)
        if not (path in self.pages or path.startswith("/studio/") or GRADIO.fullmatch(path)):
            return await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
        inner = {
            **{key: value for key, value in scope.items() if key != "raw_path"},
            "path": self.root_path + path,
            "root_path": self.root_path,
            "headers": [h for h in scope["headers"] if h[0] != b"x-gradio-server"],  # would say where the app is
        }
        return await self.app(inner, receive, send)

    def _path(self, path: str) -> str | None:
        """A request's path within the app; None for the root path itself, where links would lead out of it."""
        if self.root_path and path == self.root_path:
            return None
        return path[len(self.root_path) :] if self.root_path and path.startswith(self.root_path + "/") else path

    def _refused(self, scope, given: Headers) -> str:
        """Why a request is not answered, "" where it is."""
        hosts, reached = given.getlist("host"), (scope.get("server") or ("",))[0] or ""
        forwarded = given.get("x-forwarded-host", "").split(",")[0].strip()
        hosts += [forwarded] if forwarded else []
        if not given.getlist("host") or len(given.getlist("host")) > 1:
            return STRANGER.format(host="that was given", name="NAME")
        for host in hosts:
            if not self.names.answers(host, reached):
                shown = _printable(host)
                return STRANGER.format(host=shown, name=shown)
        for origin in given.getlist("origin"):
            if not self.names.own_page(origin, hosts, _scheme(scope, given)):
                return FOREIGN.format(origin=_printable(origin))
        if given.get("sec-fetch-site", "none") not in ("same-origin", "none") and not _is_visit(scope, given):
            return FOREIGN.format(origin="another site")
        return ""

    def _answering(self, send, given: Headers, session: str):
        async def answer(message) -> None:
            if message["type"] == "http.response.start":
                headers = answers.with_ours(list(message.get("headers", [])))
                if session:
                    secure = "; Secure" if given.get("x-forwarded-proto") == "https" else ""
                    path = self.root_path or "/"
                    cookie = f"{COOKIE}={session}; Path={path}; HttpOnly; SameSite=Lax{secure}"
                    headers.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": headers}
            await send(message)

        return answer


def clean_root_path(given: str) -> str:
    """A --root-path as it is used: "" or with a slash at its beginning and none at its end. Raises BadInput."""
    path = given.rstrip("/")
    path = f"/{path}" if path and not path.startswith("/") else path
    if path and not ROOT_PATH.fullmatch(path):
        raise BadInput(
            f"--root-path {given!r} is no path of an address.", "Write it like --root-path /delora.", field="root_path"
        )
    return path


def _scheme(scope, given: Headers) -> str:
    """http or https, as the browser sees it: what a proxy says, else how the request came."""
    return given.get("x-forwarded-proto", "").split(",")[0].strip().lower() or scope.get("scheme", "http")


def _session(given: Headers) -> str:
    """The session that a request's cookie names, "" where it names none."""
    try:
        cookie = SimpleCookie(given.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie and TOKEN.fullmatch(cookie.value) else ""


def _is_visit(scope, given: Headers) -> bool:
    """Whether a person followed a link of another site: that opens a page, and its site sees nothing of it."""
    opens = given.get("sec-fetch-mode") == "navigate" and given.get("sec-fetch-dest") == "document"
    return opens and scope["method"] in ("GET", "HEAD")


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:100] or "that was given"
