"""Somebody who comes to the app over HTTP with a session, for tests of its door."""

from __future__ import annotations

import base64
from pathlib import Path

from fastapi.testclient import TestClient

from app.web.studio import Studio

HERE = "http://localhost:7860"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"anna:secret").decode()}


class Visitor:
    """A client with a session of its own."""

    def __init__(self, application, headers, studio: Studio, secret: Path):
        self.application, self.headers, self.studio, self.secret = application, dict(headers), studio, secret
        self.client = TestClient(application, base_url=HERE, headers=dict(headers))
        self.config = self.client.get("/config").json()  # which brings the session's cookie, as for gradio_client

    def another(self) -> Visitor:
        """Another session, of the same login where there is one."""
        return Visitor(self.application, self.headers, self.studio, self.secret)

    def upload(self, *files: Path) -> list[str]:
        """Upload files; returns their paths on the server."""
        forms = [("files", (file.name, file.read_bytes())) for file in files]
        answer = self.client.post("/gradio_api/upload", files=forms)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, name: str, *values, **more):
        """Call a named action."""
        return self.client.post(f"/gradio_api/run/{name}", json={"data": list(values), **more})


def file_object(path) -> dict:
    """A file as gradio_client sends it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}
