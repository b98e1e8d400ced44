"""Which apps show a data folder: the worker ends with the last of them, if an app started it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from training import atomic, jsonfile
from training.errors import BadInput, disk_full
from training.jsonfile import Moment
from training.runs.states import is_process, started_at


@dataclass(frozen=True)
class _App:
    """What the file of an app says: when its process began."""

    began: Moment | None


def join(data: Path) -> None:
    """Be known as an app of the data folder from here on. What a killed one left behind is passed over by `others`.

    Without room on the disk it is not known yet; called again, it does what is left to do.
    """
    if os.getpid() not in _apps(data):
        with _alone(data):
            note(data, os.getpid())


def leave(data: Path) -> bool:
    """Be none any more; whether this was the last one. Of two that leave at once, one is."""
    with _alone(data):
        (_folder(data) / str(os.getpid())).unlink(missing_ok=True)
        return not others(data)


def note(data: Path, pid: int) -> None:
    """Write down that process `pid` is an app of the data folder; without room for it, it is none for the others."""
    path = _folder(data) / str(pid)
    try:
        atomic.write_text(path, json.dumps({"began": started_at(pid)}))
    except OSError as error:
        if not disk_full(error):
            raise


def others(data: Path) -> list[int]:
    """The process ids of the other apps that live."""
    return [pid for pid in _apps(data) if pid != os.getpid()]


def _apps(data: Path) -> list[int]:
    found = []
    for path in _folder(data).glob("[0-9]*"):
        with contextlib.suppress(BadInput, ValueError):  # removed in this moment, or not ours
            if is_process(int(path.name), jsonfile.load(path, _App).began):
                found.append(int(path.name))
    return found


def _alone(data: Path) -> contextlib.AbstractContextManager[None]:
    _folder(data).mkdir(parents=True, exist_ok=True)
    return atomic.locked(_folder(data) / ".lock")


def _folder(data: Path) -> Path:
    return Path(data) / "queue" / "apps"
