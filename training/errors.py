"""Errors for a person: what was wrong with which file or field, and what to do."""

import errno
from pathlib import Path


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


class Stopped(StudioError):
    """A run was stopped on request."""

    exit_code = 130


class Superseded(RunFailed):
    """Another process has taken the run up; this one must not write to it any more."""


def from_os_error(error: OSError, path: Path) -> StudioError:
    """The error that a person understands when `path` cannot be written or read."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunFailed(f"The disk is full: {path} could not be written.", "Free some space, then resume.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadInput(
            f"{path} may not be written or read.", "Check its permissions, or choose another --data folder."
        )
    return RunFailed(f"{path}: {error.strerror or error}.", "Check the disk and the folder, then try again.")
