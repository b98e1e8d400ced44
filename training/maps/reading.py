"""Reading a map in whatever way it says its classes, and saying which way that was and what is wrong.

A grey map holds ADEChallengeData2016's numbers (0 = other, 1-150) or labels (0-149, 255 = ignored); a coloured one
ADE20K's palette or the full set's encoding (class = R / 10 * 256 + G, B = instance). What can be told is told from the
pixels; what cannot is asked, and `Answers` holds what a person said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from training.errors import BadInput
from training.maps import IGNORED, coloured
from training.maps.classes import NAMES, ROAD, SKYSCRAPER
from training.maps.pixels import Pixels, load
from training.maps.problem import Problem

CHALLENGE, LABELS = "0-150 index", "0-149 index"
EITHER = f"{CHALLENGE} or {LABELS}"
# The benchmark's own maps are numbered 0-150, which a map without class 150 does not show.
BENCHMARK_NAME = re.compile(r"ADE_(train|val|test)_\d{8}")
CITYSCAPES_NAME = re.compile(r"_gt(Fine|Coarse)_(labelIds|labelTrainIds|instanceIds|color)")
SPECK = 0.001  # share of a map's pixels below which a damaged map's class is most likely not there


@dataclass(frozen=True)
class Answers:
    """What a person said about maps that leave something open.

    grey: which numbers a grey map holds. shared: what the colour of road and skyscraper means. nearest: take unknown
    colours for those of the nearest class.
    """

    grey: Literal["0-150", "0-149"] | None = None
    shared: Literal["road", "skyscraper"] | None = None
    nearest: bool = False


NONE = Answers()


@dataclass(frozen=True)
class Reading:
    """A map as it was read.

    way: how, in words, "" where the file is no map. labels: (H, W) uint8; None where the way is not known, or where
    `read_all` left them. counts: (256,) pixels of each label; None where the way is not known. problems: what is wrong
    with it and what is asked, the gravest first. size: width and height. ours: an index PNG of this program.
    """

    path: Path
    way: str
    labels: np.ndarray | None = None
    counts: np.ndarray | None = None
    problems: tuple[Problem, ...] = ()
    size: tuple[int, int] | None = None
    ours: bool = False

    @property
    def usable(self) -> bool:
        """Whether its labels can be taken as they are."""
        return self.counts is not None and not any(problem.stops for problem in self.problems)

    def shares(self) -> dict[int, float]:
        """The share of all pixels of each class in it, the largest first."""
        if self.counts is None:
            return {}
        order = sorted(np.flatnonzero(self.counts[:IGNORED]).tolist(), key=lambda i: -self.counts[i])
        return {i: float(self.counts[i] / self.counts.sum()) for i in order}

    @property
    def ignored(self) -> float | None:
        """The share of pixels of no class; None where the way is not known."""
        return None if self.counts is None else float(self.counts[IGNORED] / self.counts.sum())


def read(path: Path, answers: Answers = NONE) -> Reading:
    """Read one map. Never raises for what is in the file; a file that is not there or not a map is a problem of it."""
    path = Path(path)
    try:
        pixels = load(path)
    except BadInput as error:
        return Reading(path, "", problems=(Problem("unreadable", str(error)),))
    if found := CITYSCAPES_NAME.search(path.stem):
        words = f"Its name ({found[0]}) is Cityscapes', whose classes are others. Only ADE20K's 150 classes are read."
        return Reading(path, "Cityscapes", problems=(Problem("foreign", words),), size=pixels.size)
    if pixels.colours is None:
        way, labels, problems = _grey(pixels.values, pixels.ours, path, answers)
    else:
        way, labels, problems = coloured.read(pixels.colours, bool(pixels.lossy), answers.nearest)
        if way == coloured.GREY:
            way, labels, problems = _grey(pixels.colours[..., 0].astype(np.int32), False, path, answers)
        elif way in ("", coloured.FULL) and pixels.values is not None:  # colours that some tool gave its numbers
            way, labels, problems = _grey(pixels.values, False, path, answers)
    if labels is None:
        return Reading(path, way, problems=tuple(problems), size=pixels.size)
    if pixels.hidden is not None:
        labels = np.where(pixels.hidden, np.uint8(IGNORED), labels)
    if way == coloured.PALETTE:
        labels, asked = _shared(labels, answers)
        problems += asked
    problems = sorted(problems + _lossy(pixels, labels), key=lambda problem: not problem.stops)
    return Reading(path, way, labels, count(labels), tuple(problems), pixels.size, pixels.ours)


def read_all(paths: Iterable[Path], answers: Answers = NONE) -> list[Reading]:
    """Read maps that belong together, without keeping their labels: a grey one that could be two things follows the
    others of its folder. One with class 150 shows that the folder is numbered 0-150, one with 255 that it holds labels.
    What this program wrote itself says nothing about the others.
    """
    readings = [replace(read(path, answers), labels=None) for path in paths]
    ways: dict[Path, set[str]] = {}
    for reading in readings:
        if reading.way in (CHALLENGE, LABELS) and not reading.ours:
            ways.setdefault(reading.path.parent, set()).add(reading.way)
    for i, reading in enumerate(readings):
        known = ways.get(reading.path.parent, set())
        if reading.way == EITHER and len(known) == 1:
            grey = "0-150" if known == {CHALLENGE} else "0-149"
            readings[i] = replace(read(reading.path, replace(answers, grey=grey)), labels=None)
    return readings


def count(labels: np.ndarray) -> np.ndarray:
    """Pixels of each label, (256,)."""
    return np.bincount(labels.ravel(), minlength=256)


def labels_of(path: Path, answers: Answers = NONE) -> np.ndarray:
    """The labels of one map, (H, W) uint8. Raises BadInput, naming the file, where `read` finds what stops it."""
    return need(read(path, answers))


def need(reading: Reading) -> np.ndarray:
    """The labels of a reading. Raises BadInput with what stops it."""
    if reading.usable:
        return reading.labels
    problem = reading.problems[0]
    words = problem.words if reading.path.name in problem.words else f"{reading.path.name}: {problem.words}"
    raise BadInput(words, problem.offer, field=problem.kind)


def _grey(values: np.ndarray, ours: bool, path: Path, answers: Answers) -> tuple[str, np.ndarray | None, list]:
    """Way, labels and problems of grey values (H, W)."""
    used = _used(values)
    strange = [value for value in used if not 0 <= value <= 150 and value != IGNORED]
    if strange:
        words = f"It is no map of ADE20K's 150 classes: its {len(used)} grey values go up to {used[-1]}."
        return "", None, [Problem("not a map", words, "Give a PNG of class numbers or of ADE20K's colours.")]
    if set(used) == {0, IGNORED} and not (ours or answers.grey):
        words = "It holds 0 and 255 only: a mask of one thing, not a map of classes."
        return "", None, [Problem("not a map", words, "If it is a map of walls, say that its numbers are 0-149.")]
    way = _grey_way(used, ours, path, answers)
    if way == EITHER:
        return way, None, [_which_grey(used)]
    if way == LABELS and 150 in used:
        words = "It holds the number 150, and labels end at 149."
        return way, None, [Problem("not a map", words, "Read it as 0-150.")]
    if way == LABELS:
        return way, values.astype(np.uint8), []
    # In wider numbers: uint8's 255 - 1 would be class 254, and its 0 - 1 only by luck the 255 of ignored.
    shifted = np.where((values == 0) | (values == IGNORED), IGNORED, values - 1)
    return way, shifted.astype(np.uint8), []


def _used(values: np.ndarray) -> list[int]:
    """The numbers in an array, ascending; counted where they allow it, which is ten times faster than sorting."""
    if 0 <= values.min() and values.max() < 1 << 16:
        return np.flatnonzero(np.bincount(values.ravel())).tolist()
    return np.unique(values).tolist()


def _grey_way(used: list[int], ours: bool, path: Path, answers: Answers) -> str:
    if ours:
        return LABELS
    if answers.grey:
        return CHALLENGE if answers.grey == "0-150" else LABELS
    if 150 in used:
        return CHALLENGE
    if IGNORED in used:
        return LABELS
    return CHALLENGE if BENCHMARK_NAME.search(path.name) else EITHER


def _which_grey(used: list[int]) -> Problem:
    as_labels = [NAMES[value] for value in used]
    as_challenge = ["other" if value == 0 else NAMES[value - 1] for value in used]
    words = (
        "Its numbers could mean two things. As 0-150 (ADEChallengeData2016, 0 is other) it shows "
        f"{_some(as_challenge)}; as 0-149 (labels, 255 is ignored) {_some(as_labels)}."
    )
    return Problem("which numbers", words, "Say which: 0-150 or 0-149.")


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _shared(labels: np.ndarray, answers: Answers) -> tuple[np.ndarray, list[Problem]]:
    """Road's colour is skyscraper's too: what was said it means, or road with the question."""
    if not (labels == ROAD).any():
        return labels, []
    if answers.shared == "skyscraper":
        return np.where(labels == ROAD, np.uint8(SKYSCRAPER), labels), []
    if answers.shared == "road":
        return labels, []
    share = (labels == ROAD).mean()
    words = f"Road and skyscraper have the same colour (140, 140, 140); its {_percent(share)} are read as road."
    return labels, [Problem("road or skyscraper", words, "Say which is meant.", stops=False)]


def _lossy(pixels: Pixels, labels: np.ndarray) -> list[Problem]:
    if not pixels.lossy:
        return []
    if (
        pixels.colours is not None
        and (nearest := coloured.read(pixels.colours, True, take_nearest=True)[1]) is not None
    ):
        labels = nearest  # with the colours that were damaged; numbers saved as grey colours stay as they were read
    counts = count(labels)[:IGNORED]
    found, specks = int((counts > 0).sum()), int(((counts > 0) & (counts < SPECK * labels.size)).sum())
    words = f"It is {pixels.lossy}, which damages classes at every edge."
    if specks:
        words += f" {specks} of the {found} classes read from it are specks of less than 0.1 %, most likely damage."
    return [Problem("lossy", words, "Take the PNG that it was made from.", stops=False)]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"
