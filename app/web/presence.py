"""Which apps show a data folder: the worker ends with the last of them, if an app started it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training import atomic, jsonfile
from training.errors import BadInput
from training.jsonfile import Moment
from training.runs.states import Pid, is_process, started_at


@dataclass(frozen=True)
class _App:
    """What the file of an app says: when its process began."""

    began: Moment | None


@dataclass(frozen=True)
class _Started:
    """What started-by-app.json says: the worker's process."""

    pid: Pid


@contextlib.contextmanager
def present(data: Path) -> Iterator[None]:
    """Be known as an app of the data folder while inside. What a killed one left behind is passed over by `others`."""
    path = note(data, os.getpid())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def note(data: Path, pid: int) -> Path:
    """Write down that process `pid` is an app of the data folder; returns the file that says so."""
    path = _folder(data) / str(pid)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps({"began": started_at(pid)}))
    return path


def others(data: Path) -> list[int]:
    """The process ids of the other apps that live."""
    found = []
    for path in _folder(data).glob("[0-9]*"):
        with contextlib.suppress(BadInput, ValueError):  # removed in this moment, or not ours
            pid = int(path.name)
            if pid != os.getpid() and is_process(pid, jsonfile.load(path, _App).began):
                found.append(pid)
    return found


def note_worker(data: Path, pid: int) -> None:
    """Remember that an app started the worker `pid`, so that an app ends it."""
    path = _started(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps({"pid": pid}) + "\n")


def started_by_an_app(data: Path, pid: int | None) -> bool:
    """Whether an app started the worker `pid`; one that a person started is left to them."""
    try:
        return jsonfile.load(_started(data), _Started).pid == pid
    except BadInput:
        return False


def _started(data: Path) -> Path:
    return Path(data) / "queue" / "started-by-app.json"


def _folder(data: Path) -> Path:
    return Path(data) / "queue" / "apps"
