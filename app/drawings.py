"""Drawings: what was asked of Generate and what became of it, a folder each. Pages read them, the drawer fills them.

    drawings/<id>/
      request.json     what was asked for, complete (see app.drawrequest); never changed
      state.json       where it stands
      adapter-00.png   the pictures, each with its settings in a text chunk; base-00.png is the base model's at the
                       same seed
      stop             somebody asked it to stop

The newest 200 drawings are kept; older ones are removed by the worker, though none that has not ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.drawrequest import DrawRequest, complete, parse_request
from training import atomic
from training.errors import BadInput, from_os_error
from training.states import is_process

__all__ = ["DrawRequest", "DrawState", "Drawing", "create", "list_drawings", "open_drawing", "parse_request", "prune"]

KEEP = 200
ID = re.compile(r"drawing-[0-9]{8}-[0-9]{6}-[0-9]{3}-[0-9a-f]{4}")
MOVES = {
    "queued": {"waiting", "drawing", "failed", "stopped"},
    "waiting": {"drawing", "failed", "stopped"},
    "drawing": {"done", "failed", "stopped"},
}
Name = Literal["queued", "waiting", "drawing", "done", "failed", "stopped"]


class DrawState(BaseModel):
    """What state.json holds.

    name: queued, waiting (for the device), drawing, done, failed or stopped. done, total: pictures, the one at work as
    a fraction. waits_for: a sentence that says whom it waits for and how long. message: for a person, what it does
    before the first picture, or how it ended. remedy, field: what to do and which field to change, where it failed.
    pid, pid_started: the process at work on it. created, began (to draw), heartbeat, updated: seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name = "queued"
    done: float = 0
    total: int
    waits_for: str = ""
    message: str = ""
    remedy: str = ""
    field: str | None = None
    pid: int | None = None
    pid_started: float | None = None
    created: float
    began: float | None = None
    heartbeat: float | None = None
    updated: float

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.name not in MOVES

    @property
    def alive(self) -> bool:
        """Whether the process at work on it still runs on this computer."""
        return is_process(self.pid, self.pid_started)


class Drawing:
    """One drawing, by its folder: every call reads what is on disk."""

    def __init__(self, path: Path):
        self.path = Path(path)

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    def request(self) -> DrawRequest:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        return parse_request(_read(self.path / "request.json"))

    def state(self) -> DrawState:
        """Where it stands. Raises BadInput where state.json is missing or damaged."""
        path = self.path / "state.json"
        try:
            return DrawState(**_read(path))
        except ValueError as error:
            raise BadInput(f"{path} is damaged.", "Draw it again.") from error

    def set_state(self, name: Name | None = None, **changes: Any) -> DrawState:
        """Move to the state `name` (None stays) and change other fields; returns the new state.

        Raises BadInput for a move that there is not, as out of an ended state.
        """
        with self._locked():
            now = self.state()
            name = name or now.name
            if name != now.name and name not in MOVES.get(now.name, ()):
                raise BadInput(f"{self.id} is {now.name} and cannot become {name}.")
            if name not in ("waiting", now.name):
                changes = {"waits_for": "", **changes}
            if name not in MOVES:
                changes = {"pid": None, "pid_started": None, **changes}
            moved = DrawState(**{**now.model_dump(), **changes, "name": name, "updated": time.time()})
            try:
                atomic.write_text(self.path / "state.json", moved.model_dump_json(indent=2) + "\n")
            except OSError as error:
                raise from_os_error(error, self.path / "state.json") from error
            return moved

    def beat(self, **changes: Any) -> DrawState:
        """Say that the process at work is alive, with any progress."""
        return self.set_state(heartbeat=time.time(), **changes)

    def pictures(self) -> list[Path]:
        """The pictures asked for that are finished, in the order of their seeds."""
        return sorted(self.path.glob("adapter-*.png")) or (self._of_base() if self.request().run is None else [])

    def base_pictures(self) -> list[Path]:
        """The base model's pictures at the same seeds, [] where nothing is to be compared."""
        return [] if self.request().run is None else self._of_base()

    def request_stop(self) -> None:
        """Ask the drawing to stop between two sampler steps."""
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        """Whether somebody asked it to stop."""
        return (self.path / "stop").exists()

    def _of_base(self) -> list[Path]:
        return sorted(self.path.glob("base-*.png"))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / ".state.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def create(data: Path, request: DrawRequest) -> Drawing:
    """Make a drawing in state queued; it appears whole or not at all. `app.control.draw` also puts it in the queue.

    Raises BadInput or MissingModel as `app.drawrequest.complete`, RunFailed where the disk is full.
    """
    request, now = complete(data, request), time.time()
    stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"
    path = Path(data) / "drawings" / f"drawing-{stamp}-{secrets.token_hex(2)}"
    state = DrawState(total=request.total, created=now, updated=now)
    try:
        with atomic.new_folder(path) as folder:
            (folder / "request.json").write_text(request.model_dump_json(indent=2) + "\n", "utf-8")
            (folder / "state.json").write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
    except OSError as error:
        raise from_os_error(error, path) from error
    return Drawing(path)


def open_drawing(data: Path, drawing_id: str) -> Drawing:
    """The drawing of that id. Raises BadInput where there is none."""
    path = Path(data) / "drawings" / drawing_id
    if not ID.fullmatch(drawing_id) or not (path / "state.json").is_file():
        raise BadInput(f"There is no drawing {drawing_id!r}.", f"Only the newest {KEEP} are kept.", "drawing")
    return Drawing(path)


def list_drawings(data: Path) -> list[Drawing]:
    """All drawings, newest first."""
    folder = Path(data) / "drawings"
    paths = sorted(folder.glob("drawing-*/state.json"), reverse=True) if folder.is_dir() else []
    return [Drawing(path.parent) for path in paths]


def prune(data: Path, keep: int = KEEP) -> list[str]:
    """Remove all but the newest `keep` drawings, though none that has not ended; returns the ids of those removed."""
    removed = []
    for drawing in list_drawings(data)[keep:]:
        with contextlib.suppress(BadInput, OSError):  # damaged, or removed in this moment
            if drawing.state().ended:
                gone = drawing.path.rename(drawing.path.with_name(f".{drawing.id}{atomic.PART}"))
                shutil.rmtree(gone, ignore_errors=True)
                removed.append(drawing.id)
    return removed


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is missing or damaged.", "Draw it again.") from error
    return values if isinstance(values, dict) else {}
