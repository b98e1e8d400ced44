"""Huey's database in the data folder, put right by itself: what waits in it is known from run folders and orders.

A file that is no database is put aside (its name then says when) and a new one begun; `app.work.reconcile` and the
drawing process's minder put back what was waiting.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

from huey.storage import SqliteStorage

from training import atomic, jsonfile, room
from training.errors import DiskFull, RunFailed, disk_full

OURS_TO_WAIT_FOR = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_INTERRUPT")
COMPANIONS = ("-wal", "-shm", "-journal")  # SQLite's own files beside a database


class MendingStorage(SqliteStorage):
    """Huey's storage, which begins a new database where the old one is damaged, gone or replaced."""

    def __init__(self, *args: Any, **settings: Any):
        self._file: tuple[int, int] | None = None  # of the database that is open
        super().__init__(*args, **settings)

    def initialize_schema(self) -> None:
        self._mended(super().initialize_schema)

    def sql(self, *args: Any, **settings: Any) -> Any:
        return self._mended(super().sql, *args, **settings)

    def dequeue(self) -> Any:
        return self._mended(super().dequeue)

    def _create_connection(self) -> sqlite3.Connection:
        connection = super()._create_connection()
        self._file = _identity(self.filename)
        return connection

    def _mended(self, do, *args: Any, **settings: Any) -> Any:
        """`do(...)`, once more where the database had to be begun anew. Raises as `_told` where that does not help."""
        if self._conn is not None and _identity(self.filename) != self._file:
            self._begin_anew()  # another process did, or somebody removed the file: ours is no longer the one in use
        try:
            try:
                return do(*args, **settings)
            except sqlite3.DatabaseError as error:
                if not _may_be_damage(error, Path(self.filename)):
                    raise
            self._begin_anew()
            return do(*args, **settings)
        except sqlite3.Error as error:
            raise _told(error, Path(self.filename)) from error

    def _begin_anew(self) -> None:
        path = Path(self.filename)
        with contextlib.suppress(sqlite3.Error):
            self.close()
        self._conn = None
        with atomic.locked(path.with_name("mend.lock")):  # of several processes the first one does it
            if _is_damaged(path):
                for file in (path, *(Path(f"{path}{end}") for end in COMPANIONS)):
                    jsonfile.put_aside(file)
            super().initialize_schema()


def _identity(filename: str) -> tuple[int, int] | None:
    try:
        found = os.stat(filename)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _told(error: sqlite3.Error, path: Path) -> RunFailed:
    """What SQLite cannot do, in words for a person."""
    if full := disk_full(error):
        return full
    if isinstance(error, sqlite3.OperationalError) and room.is_full(path.parent):  # it says "disk I/O error"
        words = f"{room.warning(path.parent)} The queue cannot be used."
        return DiskFull(words, "Free some space, then try again.")
    told = f"The queue in {path} cannot be used: {error}."
    return RunFailed(told, "Check the disk and the folder's permissions, then try again.")


def _may_be_damage(error: sqlite3.DatabaseError, path: Path) -> bool:
    """Whether an error can come from what is in the file, and not from a full disk or from another process."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(OURS_TO_WAIT_FOR) or isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return False
    return os.access(path.parent, os.W_OK)


def _is_damaged(path: Path) -> bool:
    """Whether what lies at `path` cannot be used as the queue's database, and can be put aside."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.lexists(path)  # a link to nowhere, or to itself
    if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
        return True
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as database:
            database.execute("select id, queue, data, priority from task limit 1")
            return database.execute("pragma quick_check(1)").fetchone() != ("ok",)
    except sqlite3.DatabaseError as error:
        return not getattr(error, "sqlite_errorname", "").startswith(OURS_TO_WAIT_FOR)
