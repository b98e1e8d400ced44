"""One owner per device: training and generation take it in turn, through two lock files.

Who holds `device.lock` has the device. Who wants it holds `device.line` while waiting, so at most one waits at the
door, and an owner who gives the device up and wants it back comes after that one. A training holds `device.training`
as well, from its first wait to its end: a second training waits there, so that a training hands the device over to
short work only. The locks go with their processes, however those end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from training import atomic, jsonfile
from training.errors import BadInput, Stopped
from training.jsonfile import Moment
from training.runs.states import Pid

LOOK_SECONDS = 0.2
SIGNED_LETTERS = 10_000  # longer than any holder signs


@dataclass(frozen=True)
class Holder:
    """Who holds the device: in words, its process, since when (seconds since 1970), and the run it trains or ""."""

    who: str = "another program"
    pid: Pid | None = None
    since: Moment | None = None
    run: str = ""


class Lease:
    """The device, held. Made by `owner`."""

    def __init__(self, folder: Path, who: str, run: str = ""):
        self.folder, self.who, self.run = folder, who, run
        self._file: IO[str] | None = None

    def say(self, who: str) -> None:
        """Change the words for those who wait."""
        self.who = who
        self._sign(self._file)

    def wanted(self) -> bool:
        """Whether somebody waits for the device."""
        with atomic.open_own(self.folder / "device.line") as line:
            return not _try(line)

    def hand_over(self, ask: Callable[[str], None] | None = None) -> bool:
        """Let the one who waits have the device and take it back after; False where nobody waits.

        To be called at a save, with nothing on the device that another could not live beside.
        """
        if not self.wanted():
            return False
        self._release()
        self._acquire(ask)
        return True

    def _acquire(self, ask: Callable[[str], None] | None) -> None:
        with atomic.open_own(self.folder / "device.line") as line:
            self._wait(line, ask)
            self._sign(line)
            file = atomic.open_own(self.folder / "device.lock")
            try:
                self._wait(file, ask)
            except BaseException:
                file.close()
                raise
        self._file = file
        self._sign(file)

    def _wait(self, file: IO[str], ask: Callable[[str], None] | None) -> None:
        while not _try(file):
            now = present(self.folder.parent) or _read(file)  # in between it is the one who waits at the door
            if ask and now.pid:
                ask(now.who)
            time.sleep(LOOK_SECONDS)

    def _sign(self, file: IO[str]) -> None:
        """Write into a lock file who holds it, where the disk has room: the lock holds without a word."""
        said = {"who": self.who, "pid": os.getpid(), "since": time.time(), "run": self.run}
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), json.dumps(said).encode())

    def _release(self) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
            self._file.close()
            self._file = None


@contextlib.contextmanager
def owner(data: Path, who: str, ask: Callable[[str], None] | None = None, run: str = "") -> Iterator[Lease]:
    """Hold the device of a data folder while inside, after waiting for it.

    Args:
        who: the holder in words, for those who wait ("Biscuit: training").
        ask: called several times a second while waiting, with the present holder's words; whatever it raises
            (`training.errors.Stopped`) ends the waiting.
        run: the id of the run that is trained; "" for everything shorter than a training.
    """
    lease = Lease(Path(data) / "queue", who, run)
    lease.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if run:
            lease._wait(held.enter_context(atomic.open_own(lease.folder / "device.training")), ask)
        lease._acquire(ask)
        try:
            yield lease
        finally:
            lease._release()


def present(data: Path) -> Holder | None:
    """Who holds the device of a data folder; None where it is free."""
    try:
        with jsonfile.open_regular(Path(data) / "queue" / "device.lock") as file:
            return None if _try(file, fcntl.LOCK_SH) else _read(file)
    except OSError:  # not there, or something else that has its name: nobody can hold that
        return None


def holder(data: Path) -> str | None:
    """The words of who holds the device of a data folder; None where it is free."""
    now = present(data)
    return now and now.who


def stop_if(asked: Callable[[], bool]) -> Callable[[str], None]:
    """An `ask` for `owner` that ends the waiting once `asked()` is true."""

    def ask(present: str) -> None:
        if asked():
            raise Stopped(f"Stopped while waiting for {present}.")

    return ask


def _read(file: IO) -> Holder:
    """Who signed an open lock file; a Holder without a process where that is just being written."""
    file.seek(0)
    try:
        return jsonfile.check(Path(str(file.name)), jsonfile.from_json(file.read(SIGNED_LETTERS)), Holder)
    except (BadInput, ValueError):  # ValueError: no text, or no JSON
        return Holder()


def _try(file: IO, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock on an open file if it is free; it goes when the file is closed. Readers share theirs (LOCK_SH)."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
