"""A small reverse proxy before the app, as nginx or Caddy would stand there, for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import uvicorn

DROPPED = ("host", "connection", "transfer-encoding", "keep-alive")


class Proxy:
    """Passes http://localhost:PORT/path/... on to the app while inside.

    Args:
        to: the app's address. path: what it answers below; anything else is its own "404 of the proxy".
        strips: take the path off before passing on. keeps_host: pass the browser's Host on; else the app's own, with
            the browser's in X-Forwarded-Host unless `silent`.
    """

    def __init__(self, to: str, path: str = "", *, strips: bool = True, keeps_host: bool = True, silent: bool = False):
        self.to, self.path, self.strips, self.keeps_host, self.silent = to, path, strips, keeps_host, silent
        self.stray: list[str] = []  # addresses that were asked for beside the path

    def __enter__(self) -> Proxy:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://localhost:{listening.getsockname()[1]}{self.path}"
        self._client = httpx.AsyncClient(base_url=self.to, timeout=None)
        self._server = uvicorn.Server(
            uvicorn.Config(self._answer, log_level="error", lifespan="off", interface="asgi3")
        )
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *_) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    async def _answer(self, scope, receive, send) -> None:
        path = scope["raw_path"].decode()
        if self.path and path != self.path and not path.startswith(f"{self.path}/"):
            self.stray.append(path)
            await send({"type": "http.response.start", "status": 404, "headers": []})
            return await send({"type": "http.response.body", "body": b"404 of the proxy"})
        path = (path[len(self.path) :] or "/") if self.strips else path
        query = scope["query_string"].decode()
        given = {name.decode(): value.decode() for name, value in scope["headers"]}
        headers = {name: value for name, value in given.items() if name not in DROPPED}
        if self.keeps_host:
            headers["host"] = given["host"]
        elif not self.silent:
            headers |= {"x-forwarded-host": given["host"], "x-forwarded-proto": "http"}
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        address = f"{path}?{query}" if query else path
        with contextlib.suppress(httpx.HTTPError):  # the app was ended in the middle
            await self._pass_on(scope["method"], address, headers, body, send)

    async def _pass_on(self, method: str, address: str, headers: dict[str, str], content: bytes, send) -> None:
        async with self._client.stream(method, address, headers=headers, content=content) as answer:
            kept = [(n, v) for n, v in answer.headers.raw if n.lower() not in (b"transfer-encoding", b"connection")]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
