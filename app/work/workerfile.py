"""One worker per data folder: the lock it holds and what it says about itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from training import atomic, jsonfile
from training.errors import BadInput
from training.jsonfile import Moment
from training.runs.states import Pid, started_at


@dataclass(frozen=True)
class WorkerState:
    """Whether a worker is there. All else is of the last one, None if never; times are seconds since 1970.

    by_app: whether an app started it, which then ends it; one that a person started is left to them. ended: whether it
    was asked to end and did.
    """

    working: bool
    pid: int | None = None
    pid_started: float | None = None
    node: str = ""
    since: float | None = None
    heartbeat: float | None = None
    by_app: bool = False
    ended: bool = False


@dataclass(frozen=True)
class _Said:
    """What worker.json says."""

    pid: Pid | None = None
    pid_started: Moment | None = None
    node: str = ""
    since: Moment | None = None
    heartbeat: Moment | None = None
    by_app: bool = False
    ended: bool = False


@contextlib.contextmanager
def hold(data: Path) -> Iterator[None]:
    """Be the worker of a data folder while inside. The lock goes with the process, however it ends.

    Raises BadInput where another process is.
    """
    folder = Path(data) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.open_own(folder / "worker.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read(data)
            when = time.strftime("%a %d %b %H:%M", time.localtime(other.since)) if other.since else "a moment ago"
            raise BadInput(
                f"A worker already works on {data} (process {other.pid or 'unknown'}, since {when}).",
                "One is enough. To start another, end that one first, or choose another --data folder.",
                "data",
            ) from None
        yield


def held(data: Path) -> bool:
    """Whether a worker holds the data folder."""
    try:
        with jsonfile.open_regular(Path(data) / "queue" / "worker.lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:  # not there, or something else that has its name: nobody can hold that
        return False


def read(data: Path) -> WorkerState:
    """What the worker of a data folder last said, and whether it is still there."""
    try:
        said = jsonfile.load(_path(data), _Said)
    except BadInput:
        said = _Said()
    return WorkerState(held(data), **asdict(said))


def write(data: Path, node: str, since: float, *, by_app: bool = False, ended: bool = False) -> None:
    """Say that this process is the worker and alive, or that it ends in order."""
    said = {"pid": os.getpid(), "pid_started": started_at(os.getpid()), "node": node, "since": since}
    said |= {"by_app": by_app, "ended": ended}
    atomic.rewrite_text(_path(data), json.dumps({**said, "heartbeat": time.time()}) + "\n")


def _path(data: Path) -> Path:
    return Path(data) / "queue" / "worker.json"
