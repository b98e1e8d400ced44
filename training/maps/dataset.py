"""The pairs of a run: which are held out to judge by, and how they are read back from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from training import jsonfile
from training.errors import BadInput

LIST = "pairs.jsonl"
TRAINING, HELD_OUT = "dataset", "held-out"  # folders of a run, as `intake.prepare` writes each
JUDGE = {"validation", "val", "test", "testing", "held-out", "held_out", "heldout"}  # folders of pairs to judge by
SHARE, MOST_HELD_OUT = 4, 64  # one pair in four, and no more than that
RESTORE = "Put it back from a copy of the folder, or make a new run of the same pairs."
T = TypeVar("T")


class Example(NamedTuple):
    """A pair of a run. picture, map: its files. caption: what it is drawn and trained with. name: its picture's own."""

    picture: Path
    map: Path
    caption: str
    name: str


class _Row(BaseModel):
    """A line of pairs.jsonl; what is not named here is let through."""

    model_config = ConfigDict(strict=True)

    file_name: str
    text: str
    picture: str


def is_held_out(path: Path) -> bool:
    """Whether a pair is one to judge by, from the folders that its picture lies in."""
    return any(part.lower() in JUDGE for part in path.parts[:-1])


def usual_held_out(count: int) -> int:
    """How many of so many pairs are split off where nobody says a number."""
    return min(count // SHARE, MOST_HELD_OUT)


def split(pairs: Sequence[T], count: int) -> tuple[list[T], list[T]]:
    """Pairs to train with and `count` to judge by, which are spread evenly: 8 and 2 give the 4th and the 8th."""
    places = {(i + 1) * len(pairs) // count - 1 for i in range(count)}
    return [pair for i, pair in enumerate(pairs) if i not in places], [pairs[i] for i in sorted(places)]


def read(run: Path, part: str) -> list[Example]:
    """The pairs in the folder `part` of a run, in their order.

    Raises BadInput, naming the file, where they are gone or damaged.
    """
    path = run / part / LIST
    files = set(jsonfile.files(run, part, "*.png"))
    found = []
    for i, line in enumerate(jsonfile.read_text(path, RESTORE).splitlines(), 1):
        try:
            row = _Row.model_validate(jsonfile.from_json(line))
        except ValueError as error:
            raise BadInput(f"{path}, line {i}, is damaged.", RESTORE, "pairs") from error
        picture = run / part / row.file_name
        shown = picture.with_suffix(".map.png")
        for file in (picture, shown):
            if file not in files:
                raise BadInput(f"{file} is gone.", RESTORE, "pairs")
        found.append(Example(picture, shown, row.text, row.picture))
    if not found:
        raise BadInput(f"{path} names no pairs.", RESTORE, "pairs")
    return found
