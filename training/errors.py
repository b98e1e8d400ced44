"""Errors for a person: what was wrong with which file or field, and what to do."""

import errno
import re
import sqlite3
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_IN_RUST = re.compile(rf"\(os error ({'|'.join(map(str, FULL))})\)")


class StudioError(Exception):
    """Base of all errors that are shown as they are.

    message: what was wrong, naming the file or field. remedy: what to do. field: the RunSpec field, if one is meant.
    on_page: what to do for those who look at a page, where `remedy` names a command and a page does the same.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "", field: str | None = None, on_page: str = ""):
        super().__init__(f"{message} {remedy}".strip())
        self.message, self.remedy, self.field, self.on_page = message, remedy, field, on_page or remedy


class BadInput(StudioError):
    """Something the person gave cannot be used."""

    exit_code = 2


class MissingModel(StudioError):
    """A model is not on this computer."""

    exit_code = 3


class RunFailed(StudioError):
    """A run could not go on."""

    exit_code = 4


class DiskFull(RunFailed):
    """The disk has no room for what has to be written. Nothing else is wrong: with room the same thing works."""


class Stopped(StudioError):
    """A run was stopped on request."""

    exit_code = 130


class Superseded(RunFailed):
    """Another process has taken the run up; this one must not write to it any more."""


def from_os_error(error: OSError, path: Path) -> StudioError:
    """The error that a person understands when `path` cannot be written or read."""
    if error.errno in FULL:
        return DiskFull(f"The disk is full: {path} could not be written.", "Free some space, then try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadInput(
            f"{path} may not be written or read.", "Check its permissions, or choose another --data folder."
        )
    return RunFailed(f"{path}: {error.strerror or error}.", "Check the disk and the folder, then try again.")


def disk_full(error: BaseException) -> DiskFull | None:
    """The error as a full disk's, None where it is another: our own, the system's, SQLite's, or safetensors'."""
    if isinstance(error, DiskFull):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        return from_os_error(error, Path(error.filename or "a file"))
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFull("The disk is full: the queue could not be written.", "What waits begins when there is room.")
    if FULL_IN_RUST.search(str(error)):  # safetensors' own error says so only in its text
        return DiskFull("The disk is full: a file could not be written.", "Free some space, then try again.")
    return None
