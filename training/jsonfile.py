"""The one door for what is read from the data folder: regular files of a limited size, UTF-8, JSON of a known shape.

A file there may have been cut off, edited, put there by another program, or be no file at all. Whatever it is, the one
error that comes out is BadInput, which names the file and says what is wrong with it. A link is followed only where it
is there by right, as in the hub's cache and in model folders: in a run folder from elsewhere it could lead anywhere.
"""

from __future__ import annotations

import errno
import fnmatch
import functools
import json
import os
import re
import secrets
import stat
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from training.errors import BadInput

LINK = "it is a link, which is not followed"
RESTORE = "Put it back from a copy of the folder, if there is one."
LARGEST_BYTES = 64 * 2**20  # a thousand times the usual; the largest are scores.json of many pictures
LARGEST_NUMBER = 1e18  # no time, count or measurement of ours comes near it; larger ones overflow what is made of them
LARGE = re.compile(rb"[eE]\+?[0-9]|[0-9]{18}|NaN|Infinity")  # what a number beyond that has in its letters

Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]  # seconds since 1970; what a calendar can show
Count = Annotated[int, Field(ge=0, le=10**12)]
Figure = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]{0,250}$")]  # of a file in one folder, never a path
T = TypeVar("T")


def read(path: Path, remedy: str = RESTORE) -> dict[str, Any]:
    """The object in a JSON file, of finite numbers. Raises BadInput as `load`."""
    values = parse(path, remedy)
    if not isinstance(values, dict):
        raise BadInput(f"{path} is damaged: something else is in it.", remedy)
    return values


def load(path: Path, kind: type[T], remedy: str = RESTORE, follow: bool = False) -> T:
    """What a JSON file holds, as a `kind` that pydantic can check (a model, a dataclass, a TypedDict, dict[str, int]).

    follow: also through a link. Raises BadInput where the file is missing, closed to us, no regular file, too large,
    cut off, nested too deep, or holds anything that the kind does not allow.
    """
    return check(path, parse(path, remedy, follow), kind, remedy)


def check(path: Path, values: Any, kind: type[T], remedy: str = RESTORE) -> T:
    """Values read from `path`, as a `kind`. Raises BadInput naming the first that is wrong."""
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False, include_context=False)[0]["loc"]))[:80]
        about = f"what it says of {where} cannot be" if where else "something else is in it"
        raise BadInput(f"{path} is damaged: {about}.", remedy) from error


def parse(path: Path, remedy: str = RESTORE, follow: bool = False) -> Any:
    """The JSON value in a file, checked for nothing but its size, depth and numbers."""
    data = read_bytes(path, remedy, follow=follow)
    try:
        values = from_json(data)
    except ValueError as error:
        raise BadInput(f"{path} is damaged: it is cut off or no JSON.", remedy) from error
    if LARGE.search(data) and not _usual(values):
        raise BadInput(f"{path} is damaged: a number in it is out of all bounds.", remedy)
    return values


def keeps(value: Any) -> bool:
    """Whether a value comes back as it is when it was written: no number out of bounds, no half letter in a text."""
    try:
        return _usual(from_json(json.dumps(value)))
    except ValueError:
        return False


def from_json(data: bytes | str) -> Any:
    """A JSON value. Raises ValueError for what is none, is nested deeper than 200, or holds half a letter."""
    return _adapter(Any).validate_json(data)


def read_text(path: Path, remedy: str = RESTORE, most: int = LARGEST_BYTES, follow: bool = False) -> str:
    """The text in a file. Raises BadInput as `read_bytes`, and where it is not UTF-8."""
    try:
        return read_bytes(path, remedy, most, follow).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is damaged: it is no text in UTF-8.", remedy) from error


def read_bytes(path: Path, remedy: str = RESTORE, most: int = LARGEST_BYTES, follow: bool = False) -> bytes:
    """A regular file's content.

    follow: also through a link. Raises BadInput where it is missing, closed to us, no regular file, or larger than
    `most` bytes.
    """
    try:
        with open_regular(path, follow) as file:
            if (size := os.fstat(file.fileno()).st_size) > most:
                raise BadInput(f"{path} is damaged: it is far too large ({size / 1e6:,.0f} MB).", remedy)
            return file.read(most)
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing.", remedy) from error
    except IsADirectoryError as error:
        raise BadInput(f"{path} cannot be read: it is a folder.", "Move it away.") from error
    except OSError as error:
        what_to_do = "Put the file itself there." if error.strerror == LINK else "Check its permissions."
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", what_to_do) from error
    except ValueError as error:  # a name that no file can have
        raise BadInput(f"{str(path)!r} is no file's name.", remedy) from error


def open_regular(path: Path, follow: bool = False) -> BinaryIO:
    """A regular file, open for reading. Raises OSError as `descriptor`."""
    return os.fdopen(descriptor(path, os.O_RDONLY, follow), "rb")


def descriptor(path: Path, flags: int, follow: bool = False) -> int:
    """A regular file, opened as `os.open` does; a pipe or a device could keep us waiting for ever.

    flags: O_RDONLY or O_RDWR, and others; O_WRONLY would be refused for pipes in other words. Raises OSError, and
    for a link that is not to be followed one whose words are LINK.
    """
    try:
        opened = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, LINK, str(path)) from error
        raise
    kind = os.fstat(opened).st_mode
    if stat.S_ISREG(kind):
        return opened
    os.close(opened)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def is_regular(path: Path) -> bool:
    """Whether a regular file lies there, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def files(top: Path, inner: str, pattern: str) -> list[Path]:
    """The regular files in the folder `inner` of `top` whose names fit, sorted. No link is followed below `top`."""
    folder = top
    for part in Path(inner).parts:
        folder /= part
        if folder.is_symlink():
            return []
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:  # not there, no folder, or closed to us
        return []
    return sorted(folder / name for name in fnmatch.filter(names, pattern))


def put_aside(path: Path) -> Path | None:
    """Give what lies at `path` another name beside it, so that nothing is lost; None where nothing does."""
    made = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"  # two of one second are two files
    aside = path.with_name(f"{path.name}.damaged-{made}")
    try:
        return path.rename(aside)
    except FileNotFoundError:
        return None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)


def _usual(value: Any) -> bool:
    """Whether no number is infinite (1e999) or far beyond all of ours."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            return False
    return True
