"""Pairs for a run: what each map was read as, what is wrong with which file, and the cut copies that training reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training import atomic, room
from training.errors import BadInput, StudioError, from_os_error
from training.maps import captions, geometry, reading, writing
from training.maps.dataset import LIST
from training.maps.pairs import Pair
from training.maps.problem import Problem
from training.maps.reading import NONE, Answers, Reading
from training.subject import pictures


@dataclass(frozen=True)
class Checked:
    """A pair that was looked at. reading: its map's, without labels. problems: of the pair, the map's among them.
    caption: what it will be trained with."""

    pair: Pair
    reading: Reading
    problems: tuple[Problem, ...]
    caption: str

    @property
    def usable(self) -> bool:
        """Whether it can be trained on as it is."""
        return self.reading.usable and not any(problem.stops for problem in self.problems)


def check(pairs: Sequence[Pair], answers: Answers = NONE) -> list[Checked]:
    """Look at every pair. Never raises for what is in the files."""
    readings = reading.read_all([pair.map for pair in pairs], answers)
    return [_checked(pair, found) for pair, found in zip(pairs, readings, strict=True)]


def _checked(pair: Pair, found: Reading) -> Checked:
    problems = list(found.problems)
    try:
        size = pictures.read(pair.picture).image.size
    except BadInput as error:
        problems.append(Problem("unreadable", str(error)))
    else:
        if found.size and size != found.size:
            words = f"Its map is {found.size[0]} x {found.size[1]} pixels and the picture {size[0]} x {size[1]}."
            problems.append(Problem("size", words, "Give the map that was made of this picture, at its size."))
    return Checked(pair, found, tuple(problems), pair.caption or captions.from_classes(found.shares()))


def prepare(checked: Sequence[Checked], folder: Path, edge: int, answers: Answers = NONE) -> list[Path]:
    """Write the pairs as a run reads them and return the pictures' paths: 0000.png and its index map 0000.map.png, both
    edge x edge of one cut, and pairs.jsonl with their captions and the names they had.

    Args:
        folder: it appears whole or not at all.
        answers: those that `check` was given.

    Raises:
        BadInput: no pairs, or one that cannot be used, naming its file. DiskFull: there is no room.
    """
    if not checked:
        raise BadInput("No pairs were given.", "Give pictures and their maps.", field="pairs")
    room.check(folder, 1.5 * room.pictures_bytes(len(checked), edge), "the pairs' copies")  # pictures, and small maps
    rows = []
    try:
        with atomic.new_folder(folder) as new:
            for i, each in enumerate(checked):
                if not each.usable:
                    raise _refused(each)
                labels = reading.labels_of(each.pair.map, as_read(each, answers))
                image = pictures.read(each.pair.picture).image
                where = geometry.frame(image.size, edge)
                geometry.cut_picture(image, where).save(new / f"{i:04d}.png")
                writing.write(geometry.cut_labels(labels, where), new / f"{i:04d}.map.png", "index")
                names = {"picture": each.pair.picture.name, "map": each.pair.map.name}
                rows.append({"file_name": f"{i:04d}.png", "text": each.caption, **names, "way": each.reading.way})
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            atomic.write_text(new / LIST, lines)
    except OSError as error:
        raise from_os_error(error, folder) from error
    except StudioError as error:
        error.field = error.field or "pairs"
        raise
    return [folder / row["file_name"] for row in rows]


def as_read(each: Checked, answers: Answers = NONE) -> Answers:
    """What reads a checked pair's map the way it was read when its folder was looked at."""
    grey = {reading.CHALLENGE: "0-150", reading.LABELS: "0-149"}.get(each.reading.way)
    return Answers(grey or answers.grey, answers.shared, answers.nearest)


def _refused(each: Checked) -> BadInput:
    problem = next(problem for problem in each.problems if problem.stops)
    name = each.pair.map.name if problem in each.reading.problems else each.pair.picture.name
    return BadInput(problem.words if name in problem.words else f"{name}: {problem.words}", problem.offer, "pairs")
