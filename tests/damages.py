"""Every file of a data folder, damaged in every way; see looks.py for what looks at the folder then."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

HUGE_BYTES = 80 * 2**20  # more than is ever read of one file, and sparse: it takes no room


def files(data: Path) -> list[Path]:
    """All files of the folder, without locks and single pictures of a kind: the first stands for all.

    Without queue.db-shm too: SQLite maps it into memory, and a file that is made shorter under such a map ends the
    process that looks there, whatever the program.
    """
    found, seen = [], set()
    for path in sorted(data.rglob("*")):
        kind = (path.parent.name.rstrip("0123456789"), path.suffix, path.name if path.suffix != ".png" else "")
        if path.is_file() and not path.name.endswith((".lock", "-shm")) and kind not in seen:
            seen.add(kind)
            found.append(path)
    return [*found, data / "queue" / "device.lock", data / "queue" / "worker.lock"]


# Each takes a path and a source of chance, and leaves something else there


def truncated(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))] if data else b"")


def flipped(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def other_values(path: Path, chance: random.Random) -> None:
    """A JSON file with wrong kinds of values in it, or wrong JSON as a whole."""
    try:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        values = [json.loads(line) for line in lines]
    except ValueError:
        path.write_bytes(chance.choice((b"[]", b"5", b"\xff\xfe", b"null", b"\x1b[31m")))
        return
    path.write_text("\n".join(json.dumps(spoiled(value, chance)) for value in values) + "\n")


def missing(path: Path, chance: random.Random) -> None:
    path.unlink()


def folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def link_to_nowhere(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def link_to_itself(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_a_device(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def deep(path: Path, chance: random.Random) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def huge(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(HUGE_BYTES)


def empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def no_text(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"\xc3\x28\xff" * 20)


DAMAGES = (
    truncated, flipped, other_values, missing, folder, link_to_nowhere, link_to_itself, link_to_a_device, pipe, deep,
    huge, empty, no_text,
)  # fmt: skip
STRANGE = (
    None,
    True,
    -1,
    0,
    5,
    1e300,
    10**30,
    -1e300,
    "",
    "x",
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": []},
    "../../etc",
    "9" * 40,
)


def spoiled(value, chance: random.Random):
    """A JSON value with one to three of the values in it replaced by others, or removed."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, 3)):
        places = list(_places(value))
        if not places or chance.random() < 0.05:
            return copy.deepcopy(chance.choice(STRANGE))
        inside, key = chance.choice(places)
        if chance.random() < 0.2:
            del inside[key]
        else:
            inside[key] = copy.deepcopy(chance.choice(STRANGE))
    return value


def _places(value) -> Iterator[tuple]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


@contextlib.contextmanager
def damaged(data: Path, path: Path, damage: Callable, chance: random.Random) -> Iterator[None]:
    """The folder with one file damaged, while inside; then all of it is as it was."""
    copy = data.with_name(data.name + "-whole")
    if not copy.exists():
        shutil.copytree(data, copy)
    damage(path, chance)
    try:
        yield
    finally:
        _restore(copy, data)


def _restore(copy: Path, data: Path) -> None:
    """Make `data` equal to `copy` again, by what differs: rewriting all of it would take most of the time."""
    for path in sorted(data.rglob("*"), reverse=True):
        if not os.path.lexists(copy / path.relative_to(data)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for whole in sorted(copy.rglob("*")):
        path = data / whole.relative_to(copy)
        if whole.is_dir():
            if path.is_symlink() or path.is_file():
                path.unlink()
            path.mkdir(exist_ok=True)
        elif path.is_symlink() or not path.is_file() or _differ(path, whole):
            if os.path.lexists(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            shutil.copy2(whole, path)


def _differ(path: Path, whole: Path) -> bool:
    a, b = path.stat(), whole.stat()
    return (a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns)
