"""What was uploaded, by which session, and how much of it: no other file may be named by a request.

data/uploads/<app>/         what one running app is given, and what Gradio makes of it; with a lock held while it lives
data/uploads/<app>/<one>/   one upload; nobody can guess its name, so equal files of two persons are two files

The record is kept in memory: what an app that has ended left behind belongs to no session and is removed. Nothing else
is: a person may have put files of their own there, or a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from app import ownfolders
from training.errors import BadInput, from_os_error

FOLDER = "uploads"
MOST_MB_SESSION, MOST_MB = 1000, 4000  # that wait to be used, of one session and of all
APP = re.compile(r"[0-9a-f]{16}")  # the folder of an app
KEPT_SECONDS = 12 * 3600  # an upload that nothing was made of
SWEPT_SECONDS = 60
TOO_MUCH = "Uploads that wait to be used may have {most:,} MB in all{whose}. Use what was uploaded, or come back later."

Owner = tuple[str, str]  # the login's name and the session


@dataclass
class Upload:
    """One request's files, which lie somewhere below `folder`. size: bytes that have come so far."""

    owner: Owner
    folder: Path
    since: float
    size: int = 0
    files: dict[str, int] = field(default_factory=dict)  # path -> bytes; empty until all have come


class Uploads:
    """The uploads of one app on a data folder. Made at its start: that removes what ended apps left.

    A link or a file in the place of data/uploads is put aside. Raises StudioError where that cannot be.
    """

    def __init__(self, data: Path):
        self.root = Path(data).resolve() / FOLDER
        self.folder = self.root / secrets.token_hex(8)
        self._held: list[Upload] = []
        self._lock, self._alive, self._swept = threading.Lock(), None, 0.0
        try:
            ownfolders.clear_the_way(self.root)
        except OSError as error:
            raise from_os_error(error, self.root) from error
        self.sweep()

    def begin(self, owner: Owner) -> Upload:
        """An upload that is coming in, with an empty folder for it. Raises OSError, and BadInput as `count`."""
        self.sweep()
        self.hold()
        upload = Upload(owner, self.folder / secrets.token_hex(16), time.monotonic())
        upload.folder.mkdir()
        with self._lock:
            self._held.append(upload)
        return upload

    def hold(self) -> Path:
        """The app's folder, made and locked where it is not yet. Raises OSError."""
        if self._alive is None:
            ownfolders.clear_the_way(self.root)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._alive = (self.folder / ".lock").open("a")
            fcntl.flock(self._alive, fcntl.LOCK_SH)
        return self.folder

    def count(self, upload: Upload, size: int) -> None:
        """Count `size` bytes that are about to come. Raises BadInput where that is more than is taken."""
        with self._lock:
            own = sum(other.size for other in self._held if other.owner == upload.owner)
            everything = sum(other.size for other in self._held)
            upload.size += size
        if own + size > MOST_MB_SESSION * 1e6:
            raise BadInput(TOO_MUCH.format(most=MOST_MB_SESSION, whose=""))
        if everything + size > MOST_MB * 1e6:
            raise BadInput(TOO_MUCH.format(most=MOST_MB, whose=", of all who use this app"))

    def done(self, upload: Upload, files: list[str]) -> None:
        """All of an upload has come."""
        upload.files = {path: Path(path).stat().st_size for path in files}
        upload.size = sum(upload.files.values())

    def drop(self, upload: Upload) -> None:
        """Forget an upload and remove what there is of it."""
        shutil.rmtree(upload.folder, ignore_errors=True)
        with self._lock, contextlib.suppress(ValueError):
            self._held.remove(upload)

    def find(self, owner: Owner, path: str) -> Path | None:
        """The upload of a session at `path`; None for any other file, for a link, and for one that was used."""
        with self._lock:
            size = next((u.files[path] for u in self._held if u.owner == owner and path in u.files), None)
        return Path(path) if size is not None and _is_file_of(path, size) else None

    def holds(self, path: str) -> bool:
        """Whether a path is an upload of any session."""
        with self._lock:
            return any(path in upload.files for upload in self._held)

    def sweep(self) -> None:
        """Remove what is too old, what was used, and what apps that have ended left; looks once a minute at most."""
        now = time.monotonic()
        if self._swept and now - self._swept < SWEPT_SECONDS:
            return
        self._swept = now
        with self._lock:
            held = list(self._held)
        for upload in held:
            used = upload.files and not any(map(os.path.exists, upload.files))
            if used or now - upload.since > KEPT_SECONDS:
                self.drop(upload)
        if not ownfolders.is_own(self.root):
            return
        for path in self.root.iterdir():
            if path != self.folder and _is_left(path):
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove all of it, at the app's end."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._alive:
            self._alive.close()
            self._alive = None


def _is_file_of(path: str, size: int) -> bool:
    """Whether a file is a regular one of that size, looked at without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        return stat.S_ISREG(found.st_mode) and found.st_size == size
    finally:
        os.close(descriptor)


def _is_left(path: Path) -> bool:
    """Whether an entry of the folder was made by an app that has ended, and not this very moment."""
    lock = path / ".lock"
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < SWEPT_SECONDS:
            return False
        if not APP.fullmatch(path.name) or not stat.S_ISREG(lock.lstat().st_mode):
            return False
        with lock.open("r+b") as file:  # to write, which a lock on a folder of the network needs
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:  # it is locked, it has no lock, or it went
        return False
