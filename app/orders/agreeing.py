"""How well a drawing's pictures agree with the map that they follow: segmented again, and compared class by class."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from training import atomic, jsonfile
from training.jsonfile import Count, Figure

if TYPE_CHECKING:
    from app.orders.drawings import Drawing
    from evaluation.maps.agreement import Scores
    from evaluation.maps.segmentor import Segmentor

FILE, SEEN = "agreement.json", "seen-"
AGAIN = "Draw it again."


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ClassShare(_Kept):
    """A class of the map or of a picture: its IoU, and its pixels in the map."""

    index: Count
    name: str
    iou: Figure
    pixels: Count


class PictureScores(_Kept):
    """One picture's scores, or those of several together; see `evaluation.maps.agreement.Scores`."""

    miou: Figure
    miou_present: Figure
    pixel_accuracy: Figure
    classes: tuple[ClassShare, ...]


class Judged(_Kept):
    """What agreement.json holds.

    judge: what `Segmentor.describe` says. pictures: by the names of their files. together: all of the adapter's, or of
    the base model's where it draws alone.
    """

    judge: dict[str, str]
    pictures: dict[str, PictureScores]
    together: PictureScores


def judge(drawing: Drawing, segmentor: Segmentor, tell: Callable[[], None] = lambda: None) -> Judged:
    """Segment a drawing's pictures, write what was seen and agreement.json, and return what that holds.

    tell: called before each picture; what it raises ends the work. OSError passes through.
    """
    from evaluation.maps.agreement import Agreement
    from evaluation.pictures import read_pictures
    from training.maps import writing

    labels, together, pictures = drawing.labels(), Agreement(), {}
    own = drawing.pictures()
    for seed, path in enumerate([*own, *drawing.base_pictures()]):
        tell()
        (seen,) = segmentor.segment(read_pictures([path]))
        writing.write(seen, path.with_name(SEEN + path.name), "index")
        one = Agreement()
        one.add("map", seen, labels)
        pictures[path.name] = _kept(one.scores())
        if seed < len(own):
            together.add("map", seen, labels, seed)
    made = Judged(judge=segmentor.describe(), pictures=pictures, together=_kept(together.scores()))
    atomic.write_text(drawing.path / FILE, json.dumps(made.model_dump(), indent=2) + "\n")
    return made


def read(drawing: Drawing) -> Judged | None:
    """How well a drawing agrees with its map; None where that was not looked at. Raises BadInput where damaged."""
    path = drawing.path / FILE
    return jsonfile.load(path, Judged, AGAIN) if path.exists() else None


def seen(drawing: Drawing, picture: Path) -> Path:
    """The file with what was seen in a picture, which is there once `read` tells of that picture."""
    return drawing.path / f"{SEEN}{picture.name}"


def _kept(scores: Scores) -> PictureScores:
    figures = {name: getattr(scores, name) for name in ("miou", "miou_present", "pixel_accuracy")}
    return PictureScores(**figures, classes=tuple(ClassShare(**asdict(one)) for one in scores.classes))
