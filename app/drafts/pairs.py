"""The pairs of a draft: pictures and maps as they came, what each map was read as, and what is wrong with which file.

data/draft/<user>/pairs/<key of the draft>/training/      the files, under the names that they came with
                                          /held-out/      those that only judge

A map stays as it came, byte for byte: what it means hangs on its format, and a person may still say how to read it.
A picture stays too, unless it carries more than its pixels, such as where it was taken (see `pairfiles.py`).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.errors import BadInput
from training.maps import intake, pairs, reading
from training.maps.dataset import MOST_HELD_OUT, split, usual_held_out
from training.maps.intake import Checked
from training.maps.problem import Problem
from training.maps.reading import Answers

Part = Literal["training", "held-out"]
PARTS: tuple[Part, ...] = ("training", "held-out")
MOST_FILES = 1200  # 600 pairs, which take about 15 s to look at; `delora train PAIRS --task maps` takes any number
LONGEST_CAPTION = 500  # letters


class DraftPairs(BaseModel):
    """What a draft keeps of its pairs beside the files.

    stamp: another one with every change of the files; "" before the first came. grey, shared, nearest: see `Answers`.
    captions: those that a person wrote, by "part/picture's path".
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    stamp: str = Field("", max_length=40)
    grey: Literal["0-150", "0-149"] | None = None
    shared: Literal["road", "skyscraper"] | None = None
    nearest: bool = False
    captions: dict[str, str] = {}

    @property
    def answers(self) -> Answers:
        """What the person said about maps that leave something open."""
        return Answers(self.grey, self.shared, self.nearest)

    def changed(self, **fields: Any) -> DraftPairs:
        """The same with other values."""
        return DraftPairs.model_validate({**dict(self), **fields})


@dataclass(frozen=True)
class Looked:
    """The files of one part.

    pairs: in order of their pictures' names. faults: what is wrong with which file that is in no pair, by its path in
    the part. folder: where they lie.
    """

    folder: Path
    pairs: tuple[Checked, ...] = ()
    faults: tuple[tuple[str, Problem], ...] = ()

    @property
    def usable(self) -> list[Checked]:
        """The pairs that can be used as they are."""
        return [pair for pair in self.pairs if pair.usable]

    def name(self, path: Path) -> str:
        """A file's path in the part."""
        return str(path.relative_to(self.folder))


@dataclass(frozen=True)
class Seen:
    """Both parts. taught, judged: the usable pairs by what they are for."""

    training: Looked
    held_out: Looked
    taught: tuple[Checked, ...]
    judged: tuple[Checked, ...]

    @property
    def all(self) -> list[tuple[Part, Checked]]:
        """Every pair with its part."""
        return [(part, pair) for part, looked in self.parts for pair in looked.pairs]

    @property
    def parts(self) -> list[tuple[Part, Looked]]:
        """The parts by name."""
        return [("training", self.training), ("held-out", self.held_out)]

    @property
    def unusable(self) -> int:
        """How many pairs cannot be used as they are."""
        return sum(not pair.usable for _, pair in self.all)

    def asked(self, kind: str) -> list[Checked]:
        """The pairs whose map leaves something open."""
        return [pair for _, pair in self.all if any(problem.kind == kind for problem in pair.reading.problems)]


def folder_of(draft_folder: Path, key: str) -> Path:
    """Where the files of a draft's pairs lie."""
    return draft_folder / "pairs" / key


def look(folder: Path, kept: DraftPairs, held_out: str = "") -> Seen:
    """Look at the files in `folder`; only after a change of them or of the answers is anything read again.

    held_out: how many pairs judge, as typed; the usual number for nothing, and for what is no number. Those that were
    given for it judge, or else so many are split off.
    """
    with _looking:  # the events of a page come side by side: the second waits for what the first reads
        training, held = (
            _with_captions(_look(folder / part, kept.stamp, kept.answers), part, kept.captions) for part in PARTS
        )
    taught, judged = training.usable, held.usable
    if held.pairs:
        judged = split(judged, _count(held_out, min(len(judged), MOST_HELD_OUT), len(judged)))[1]
    else:
        taught, judged = split(taught, _count(held_out, usual_held_out(len(taught)), len(taught)))
    return Seen(training, held, tuple(taught), tuple(judged))


def _count(typed: str, usual: int, most: int) -> int:
    return min(int(typed), most) if typed.strip().isdecimal() and len(typed) < 10 else usual


_looking = threading.Lock()


@functools.lru_cache(maxsize=16)
def _look(folder: Path, stamp: str, answers: Answers) -> Looked:
    if not stamp or not folder.is_dir():
        return Looked(folder)
    try:
        found = pairs.find(folder)
    except BadInput:  # nothing but captions
        return Looked(folder)
    faults = tuple((str(path.relative_to(folder)), _here(problem, folder)) for path, problem in found.faults)
    checked = tuple(
        replace(pair, problems=tuple(_here(problem, folder) for problem in pair.problems))
        for pair in intake.check(found.pairs, answers)
    )
    return Looked(folder, checked, faults)


def _here(problem: Problem, folder: Path) -> Problem:
    """A problem in words that do not tell where on this computer the file lies."""
    return replace(problem, words=problem.words.replace(f"{folder}/", ""))


def _with_captions(looked: Looked, part: Part, captions: Mapping[str, str]) -> Looked:
    if not captions:
        return looked
    told = (captions.get(f"{part}/{looked.name(pair.pair.picture)}") for pair in looked.pairs)
    given = tuple(
        replace(pair, caption=words) if words else pair for pair, words in zip(looked.pairs, told, strict=True)
    )
    return replace(looked, pairs=given)


def asks_numbers(seen: Seen) -> list[Checked]:
    """The pairs whose grey map could be two things."""
    return [pair for _, pair in seen.all if pair.reading.way == reading.EITHER]
