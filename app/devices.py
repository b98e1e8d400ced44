"""One owner per device: training and generation take it in turn, through two lock files.

Who holds `device.lock` has the device. Who wants it holds `device.line` while waiting, so at most one waits at the
door, and an owner who gives the device up and wants it back comes after that one. The locks go with their processes,
however those end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from training.errors import Stopped

LOOK_SECONDS = 0.2


class Lease:
    """The device, held. Made by `owner`."""

    def __init__(self, folder: Path, who: str):
        self.folder, self.who = folder, who
        self._file: IO[str] | None = None

    def wanted(self) -> bool:
        """Whether somebody waits for the device."""
        with (self.folder / "device.line").open("a") as line:
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
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "device.line").open("a") as line:
            self._wait(line, ask)
            file = (self.folder / "device.lock").open("a+")
            try:
                self._wait(file, ask)
            except BaseException:
                file.close()
                raise
        file.seek(0)
        file.truncate()
        json.dump({"who": self.who, "pid": os.getpid(), "since": time.time()}, file)
        file.flush()
        self._file = file

    def _wait(self, file: IO[str], ask: Callable[[str], None] | None) -> None:
        while not _try(file):
            if ask:
                ask(holder(self.folder.parent) or "another program")
            time.sleep(LOOK_SECONDS)

    def _release(self) -> None:
        if self._file:
            self._file.truncate(0)
            self._file.close()
            self._file = None


@contextlib.contextmanager
def owner(data: Path, who: str, ask: Callable[[str], None] | None = None) -> Iterator[Lease]:
    """Hold the device of a data folder while inside, after waiting for it.

    Args:
        who: the holder in words, for those who wait ("Biscuit: training").
        ask: called several times a second while waiting, with the present holder's words; whatever it raises
            (`training.errors.Stopped`) ends the waiting.
    """
    lease = Lease(Path(data) / "queue", who)
    lease._acquire(ask)
    try:
        yield lease
    finally:
        lease._release()


def holder(data: Path) -> str | None:
    """Who holds the device of a data folder, in its own words; None where it is free."""
    path = Path(data) / "queue" / "device.lock"
    try:
        with path.open("r") as file:
            if _try(file):
                return None
            return json.loads(file.read() or "{}").get("who", "another program")
    except FileNotFoundError:
        return None
    except ValueError:  # just being written
        return "another program"


def stop_if(asked: Callable[[], bool]) -> Callable[[str], None]:
    """An `ask` for `owner` that ends the waiting once `asked()` is true."""

    def ask(present: str) -> None:
        if asked():
            raise Stopped(f"Stopped while waiting for {present}.")

    return ask


def _try(file: IO[str]) -> bool:
    """Take the lock on an open file if it is free; it goes when the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
