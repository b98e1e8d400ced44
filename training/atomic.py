"""Writes that appear whole or not at all: beside their place first, then renamed.

On a full disk there is no room beside: `rewrite_text` then writes a small file over its own blocks, in one write.

Names that begin with a dot and end in `.part` are unfinished and are ignored everywhere; `sweep` removes those that a
killed process left behind.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from training import jsonfile
from training.errors import FULL

PART = ".part"
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8; its folder must exist. OSError passes through, with nothing left behind."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; readers see the old content or the new, never a mixture."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.chmod(0o644)  # mkstemp's 0600 would hide run folders from a second account that may read the rest
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def rewrite_text(path: Path, text: str) -> None:
    """Write a small text file that must be written even on a full disk, such as a run's state.

    Where there is no room beside it, the old file is written over, in its own blocks and with one write, filled up with
    spaces to its old length: readers must take these, as JSON's do. Raises OSError where that cannot be either.
    """
    try:
        write_text(path, text)
    except OSError as error:
        if error.errno not in FULL or not _write_over(path, text.encode("utf-8")):
            raise


def _write_over(path: Path, data: bytes) -> bool:
    """Whether `data` went into the blocks that the file has: 700 bytes fit into the 4096 of one with 600."""
    try:
        with os.fdopen(jsonfile.descriptor(path, os.O_RDWR), "r+b", buffering=0) as file:
            there = os.fstat(file.fileno())
            if len(data) > there.st_blocks * 512:
                return False
            return file.write(data.ljust(there.st_size)) >= len(data)
    except OSError:
        return False


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill the folder this yields; it takes the name `path` when the block ends well, and vanishes otherwise.

    A folder that had the name is replaced. Files are on the disk before the name is, so that a power cut cannot leave
    a finished name on unfinished content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent))
    try:
        beside.chmod(0o755)
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                flush(file)
        replace_dir(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def replace_dir(new: Path, path: Path) -> None:
    """Give the folder `new` the name `path`. A folder that had the name is put aside first and then removed."""
    if path.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent))
        path.rename(aside / path.name)
        new.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        new.rename(path)


def remove_folder(path: Path) -> None:
    """Remove a folder so that it vanishes whole: first its name, then its files. Raises OSError as `Path.rename`."""
    aside = path.rename(path.with_name(f".{path.name}{PART}"))
    shutil.rmtree(aside, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str) -> None:
    """Append one line with one write. A last line that a crash tore is closed first, so that it spoils no other.

    Raises OSError with nothing appended: for a link and what else is no regular file, and for a disk that fills up: it
    takes the first part of a write and says nothing.
    """
    with os.fdopen(jsonfile.descriptor(path, APPEND), "a+b", buffering=0) as file:
        data = line.encode("utf-8") + b"\n"
        before = file.tell()
        if before and not _ends_in_newline(file):
            data = b"\n" + data
        if file.write(data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def open_own(path: Path, mode: str = "a+") -> IO:
    """A lock or a log of ours, open for appending; a link, a pipe or whatever else has its name is put aside.

    Raises OSError, as where its folder is not there.
    """
    if os.path.lexists(path) and not jsonfile.is_regular(path):
        jsonfile.put_aside(path)
    return os.fdopen(jsonfile.descriptor(path, APPEND), mode)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one inside, of all processes that name this lock file; others wait. It goes with the process."""
    with open_own(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(folder: Path) -> None:
    """Remove the unfinished files and folders directly in `folder`. Only for a folder with no other writer."""
    for path in folder.glob(f".*{PART}"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _ends_in_newline(file) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
