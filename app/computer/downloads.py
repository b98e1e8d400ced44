"""Downloads that no page waits for: each is a process of its own that writes how far it is beside the model's parts.

    python -m app.computer.downloads DATA_FOLDER NAME

Stopped or cut off, it goes on where it was when it is started again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from app.work import launch
from training import atomic, jsonfile, room
from training.base import catalog
from training.errors import BadInput, StudioError
from training.jsonfile import Count, Moment
from training.runs.states import Pid, is_process, started_at, this_process

TELL_SECONDS = 0.5


@dataclass(frozen=True)
class Download:
    """How far a download is. words: of its end, where it failed. total: bytes, 0 while it is not known."""

    running: bool = False
    done: int = 0
    total: int = 0
    words: str = ""


def read(data: Path, name: str) -> Download:
    """What the last download of a model said, and whether it goes on."""
    said = _read(data, name)
    return Download(is_process(said.pid, said.pid_started), said.done, said.total, said.words) if said else Download()


def start(data: Path, name: str) -> None:
    """Download a model in the background; one that goes on already is left alone.

    Raises BadInput for another name, DiskFull where there is no room at all.
    """
    if name not in catalog.CATALOG:
        raise BadInput(f"{name!r} is no model that can be downloaded here.", "", "name")
    if read(data, name).running:
        return
    room.check(data, 0, "the download")
    command = [sys.executable, "-P", "-m", "app.computer.downloads", str(Path(data).resolve()), name]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    job = subprocess.Popen(command, env=launch.environment(), start_new_session=True, **quiet)
    _tell(data, name, 0, 0, "", {"pid": job.pid, "pid_started": started_at(job.pid)})
    _children.append(job)


def stop(data: Path, name: str) -> None:
    """Stop a download; its parts stay for the next time."""
    said = _read(data, name)
    if said and is_process(said.pid, said.pid_started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(said.pid, signal.SIGTERM)
    for job in list(_children):
        if job.poll() is not None:
            _children.remove(job)


def main(data: Path, name: str) -> int:
    """Be the download."""
    from training.base import hub

    done, total, told = 0, 0, 0.0

    def progress(now: int, whole: int, file: str) -> None:
        nonlocal done, total, told
        done, total = now, whole
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            _tell(data, name, done, total, "")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    _tell(data, name, 0, 0, "")
    try:
        hub.get(name, data, progress)
    except (StudioError, OSError) as error:
        _tell(data, name, done, total, str(error))
        return getattr(error, "exit_code", 1)
    _path(data, name).unlink(missing_ok=True)
    return 0


_children: list[subprocess.Popen] = []  # waited for when looked at, so that an ended one is no zombie


@dataclass(frozen=True)
class _Said:
    """What a download writes of itself."""

    pid: Pid
    pid_started: Moment | None
    done: Count
    total: Count
    words: str


def _read(data: Path, name: str) -> _Said | None:
    try:
        return jsonfile.load(_path(data, name), _Said)
    except BadInput:  # none was begun, or it is damaged: Download begins it anew
        return None


def _tell(data: Path, name: str, done: int, total: int, words: str, who: dict | None = None) -> None:
    said = {"done": done, "total": total, "words": words, **(who or this_process())}
    with contextlib.suppress(OSError):  # where that cannot be written the download cannot be either, and says so
        _path(data, name).parent.mkdir(parents=True, exist_ok=True)
        atomic.rewrite_text(_path(data, name), json.dumps(said) + "\n")


def _path(data: Path, name: str) -> Path:
    return Path(data) / "models" / f".download-{name}.json"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
