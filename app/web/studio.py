"""What the pages of one data folder share: where it is, its engine, and the status that every page shows."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from app.web.uploads import Owner, Uploads
from app.work.engines import Engine, open_engine

STATUS_SECONDS = 1.0  # many open pages ask; the folders are looked at once a second at most


class Studio:
    """A data folder as the pages see it."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self.engine: Engine = open_engine(self.data)
        self.uploads = Uploads(self.data)
        self.hold_worker = lambda: None  # set by the server: starts a worker where there is none
        self.worker_words = lambda: ""  # and why there is none
        self._lock, self._status, self._asked = threading.Lock(), {}, 0.0

    def status(self) -> dict:
        """What the strip on every page says: `worker` (works at all), `lines`, `title`; asked for every 2 seconds."""
        with self._lock:
            if time.monotonic() - self._asked > STATUS_SECONDS:
                self._status, self._asked = self._look(), time.monotonic()
            return self._status

    def _look(self) -> dict:
        from app.web.parts import strip

        return strip.status(self.data, self.engine, self.worker_words())


def user_of(request) -> str:
    """Who asks, a FastAPI or a Gradio request: the name given at the login, "" where there is none."""
    return getattr(request, "request", request).scope.get("studio_user", "")


def session_of(request) -> Owner:
    """Whose uploads a request may name: the name given at the login, and the session of its cookie."""
    return user_of(request), getattr(request, "request", request).scope.get("studio_session", "")
