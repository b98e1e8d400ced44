"""An order: something that the drawing process does for a page, a folder with what was asked and where it stands.

    drawings/<id>/, exports/<id>/, imports/<id>/, segmentations/<id>/
      request.json     what was asked for, complete; never changed
      state.json       where it stands
      stop             somebody asked it to stop

What there is to order is a class each: `app.orders.drawings`, `app.orders.exports`, `app.orders.importing`,
`app.orders.segmenting`; `app.orders.book` knows them all.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from training import atomic, jsonfile
from training.base import modelref
from training.errors import BadInput, StudioError, from_os_error
from training.jsonfile import Count, Moment
from training.runs.statefolder import StateFolder
from training.runs.states import Pid, is_process

MOVES = {
    "queued": {"waiting", "drawing", "writing", "failed", "stopped"},
    "waiting": {"drawing", "writing", "failed", "stopped"},
    "drawing": {"done", "failed", "stopped"},
    "writing": {"done", "failed", "stopped"},
}
AT_WORK = ("waiting", "drawing", "writing")
Name = Literal["queued", "waiting", "drawing", "writing", "done", "failed", "stopped"]
STAMP = "[0-9]{8}-[0-9]{6}-[0-9]{3}-[0-9a-f]{4}"


class OrderState(BaseModel):
    """What state.json holds.

    name: queued, waiting (for the device), drawing, writing (files), done, failed or stopped. done, total: pictures,
    the one at work as a fraction. waits_for: a sentence that says whom it waits for and how long. message: for a
    person, what it does before the first picture, or how it ended. remedy, field: what to do and which field to change,
    where it failed. reach: below which folders alone it may name a base model by its path (see
    `training.base.modelref.confine`), None for anywhere. made: the name of what was made, where that is no picture.
    pid, pid_started: the process at work on it. created, began (to draw), heartbeat, updated: seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name = "queued"
    done: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0
    total: Count
    waits_for: str = ""
    message: str = ""
    remedy: str = ""
    field: str | None = None
    reach: tuple[Path, ...] | None = None
    made: str = ""
    pid: Pid | None = None
    pid_started: Moment | None = None
    created: Moment
    began: Moment | None = None
    heartbeat: Moment | None = None
    updated: Moment

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.name not in MOVES

    @property
    def alive(self) -> bool:
        """Whether the process at work on it still runs on this computer."""
        return is_process(self.pid, self.pid_started)


class Order(StateFolder):
    """One order, by its folder: every call reads what is on disk.

    KIND: what its id begins with, and with an s the folder it lies in. KEEP: how many stay; the worker removes older
    ones. UNDONE: what was not yet so when its process ended, for a person. AGAIN: what to do then. SMALLER: what to do
    where memory ran out.
    """

    KIND: ClassVar[str]
    KEEP: ClassVar[int]
    UNDONE: ClassVar[str]
    AGAIN: ClassVar[str]
    SMALLER: ClassVar[str]

    def request(self) -> BaseModel:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        raise NotImplementedError

    def state(self) -> OrderState:
        """Where it stands. Raises BadInput where state.json is missing or damaged."""
        return jsonfile.load(self.path / "state.json", OrderState, self.AGAIN)

    @property
    def is_open(self) -> bool:
        """Whether something may still become of it; a damaged one counts as ended."""
        with contextlib.suppress(StudioError):
            return not self.state().ended
        return False

    def set_state(self, name: Name | None = None, **changes: Any) -> OrderState:
        """Move to the state `name` (None stays) and change other fields; returns the new state.

        Raises BadInput for a move that there is not, as out of an ended state.
        """
        with self.locked():
            now = self.state()
            name = name or now.name
            if name != now.name and name not in MOVES.get(now.name, ()):
                raise BadInput(f"{self.id} is {now.name} and cannot become {name}.")
            if name not in ("waiting", now.name):
                changes = {"waits_for": "", **changes}
            if name not in MOVES:
                changes = {"pid": None, "pid_started": None, **changes}
            moved = OrderState(**{**now.model_dump(), **changes, "name": name, "updated": time.time()})
            self.write_state(moved)
            return moved

    def fault(self) -> str:
        """What of it cannot be read, naming the file; "" where all of it can."""
        try:
            self.state(), self.request()
        except BadInput as error:
            return error.message.replace(f"{self.path}/", "")
        return ""

    def delete(self) -> None:
        """Remove it with all that it made. Raises BadInput for one that has not ended, unless it is damaged."""
        if self.is_open and not self.fault():
            raise BadInput(f"{self.id} has not ended.", "Stop it first.")
        try:
            atomic.remove_folder(self.path)
        except OSError as error:
            raise from_os_error(error, self.path) from error

    @classmethod
    def folder(cls, data: Path) -> Path:
        """Where orders of this kind lie."""
        return Path(data) / f"{cls.KIND}s"

    @classmethod
    @contextlib.contextmanager
    def alone(cls, data: Path) -> Iterator[None]:
        """Be the only one who makes an order of this kind, to look for one like it first. Raises as `from_os_error`."""
        lock = cls.folder(data) / ".lock"
        with contextlib.ExitStack() as held:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(atomic.locked(lock))
            except OSError as error:
                raise from_os_error(error, lock) from error
            yield

    @classmethod
    def make(cls, data: Path, request: BaseModel, total: int = 0, files: dict[str, Path | bytes] | None = None) -> Self:
        """A new order in state queued; it appears whole or not at all.

        files: what is to lie in its folder, by name; copied there, or written. Raises as `from_os_error`.
        """
        now = time.time()
        stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"
        path = cls.folder(data) / f"{cls.KIND}-{stamp}-{secrets.token_hex(2)}"
        state = OrderState(total=total, reach=modelref.reach(data), created=now, updated=now)
        try:
            with atomic.new_folder(path) as folder:
                (folder / "request.json").write_text(request.model_dump_json(indent=2) + "\n", "utf-8")
                (folder / "state.json").write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
                for name, file in (files or {}).items():
                    if isinstance(file, bytes):
                        (folder / name).write_bytes(file)
                    else:
                        shutil.copyfile(file, folder / name)
        except OSError as error:
            raise from_os_error(error, path) from error
        return cls(path)

    @classmethod
    def all(cls, data: Path) -> list[Self]:
        """All orders of this kind, newest first, damaged ones among them."""
        folder = cls.folder(data)
        paths = sorted(folder.glob(f"{cls.KIND}-*"), reverse=True) if folder.is_dir() else []
        return [cls(path) for path in paths if path.is_dir()]

    @classmethod
    def prune(cls, data: Path, keep: int | None = None) -> list[str]:
        """Remove all but the newest `keep`, though none that has not ended; returns the ids of those removed."""
        removed = []
        for order in cls.all(data)[cls.KEEP if keep is None else keep :]:
            with contextlib.suppress(BadInput, OSError):  # damaged, or removed in this moment
                if order.state().ended:
                    atomic.remove_folder(order.path)
                    removed.append(order.id)
        return removed
