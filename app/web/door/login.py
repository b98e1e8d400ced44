"""The login: HTTP Basic in front of everything but what `app.web.door.front` has refused."""

from __future__ import annotations

import base64
import binascii
import secrets

from starlette.responses import PlainTextResponse


class Login:
    """ASGI middleware: HTTP Basic in front of everything, pages and own routes alike."""

    def __init__(self, app, users: dict[str, str]):
        self.app, self.users = app, users

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        user = self._user(dict(scope["headers"]).get(b"authorization", b""))
        if user is None:
            words = PlainTextResponse("Please log in.", 401, {"WWW-Authenticate": 'Basic realm="DeLoRA Studio"'})
            return await words(scope, receive, send)
        scope["studio_user"] = user
        return await self.app(scope, receive, send)

    def _user(self, header: bytes) -> str | None:
        kind, _, value = header.partition(b" ")
        try:
            name, _, word = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        right = self.users.get(name, secrets.token_hex())
        same = secrets.compare_digest(word.encode(), right.encode())
        return name if kind.lower() == b"basic" and same else None
