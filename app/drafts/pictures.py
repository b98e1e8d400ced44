"""The pictures of a draft: cleaned copies of what was uploaded, the squares that will be used, and what they are worth.

A copy is an upright RGB PNG without metadata; the uploaded file, which may say where it was taken, is not kept. A
client's file name is shown and never used as a path.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.errors import BadInput
from training.subject import intake, photographs, pictures

LONGEST_PX = 2048
THUMBNAIL_PX = 192
SEEN_PX = 512  # at which pictures are looked at while it is not known how large they will be used
CROPS = (0.0, 0.5, 1.0)
EVEN_PX = 2  # sides that differ by no more are equal: there is nothing to choose between their squares
FAST = {"compress_level": 1}  # three times as fast as the usual level for a tenth more bytes


class DraftPicture(BaseModel):
    """One picture of a draft.

    id: names its files. name: the client's, shown only. crop: where the square lies along the long side, 0 left or top,
    0.5 the middle, 1 the end. shape: which way it is longer. notes: what cleaning did. kind, words, same_as: see
    `training.subject.intake.Verdict`. photograph: whether it looks like one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(pattern=r"^[0-9a-f]{1,32}$")
    name: str
    crop: float = Field(0.5, ge=0, le=1, allow_inf_nan=False)
    shape: Literal["wide", "tall", "square"] = "wide"
    notes: tuple[str, ...] = ()
    kind: str = "good"
    words: str = ""
    same_as: int | None = None
    photograph: bool = False

    @property
    def file(self) -> str:
        """Its file name in the draft's folder of pictures."""
        return f"{self.id}.png"

    @property
    def thumbnail(self) -> str:
        """The file name of its thumbnail, a square that shows what will be used; another crop has another name."""
        return f"{self.id}-{round(self.crop * 100)}.png"

    @property
    def usable(self) -> bool:
        """Whether it can be trained on at all."""
        return self.kind != "unreadable"

    def changed(self, **fields: Any) -> DraftPicture:
        """The same picture with other values."""
        return DraftPicture.model_validate({**dict(self), **fields})


def shown_name(name: str) -> str:
    """A client's file name as it is shown: its last part, printable, at most 80 letters."""
    last = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable()).strip()
    return (last if len(last) <= 80 else f"{last[:70]}...{last[-7:]}") or "picture"


def take_in(path: Path, name: str, folder: Path) -> DraftPicture:
    """Clean the picture at `path` into `folder`: its copy, and a thumbnail for each crop.

    name: what to call it on the page.

    Raises BadInput, naming it so, where it cannot be used; OSError where `folder` cannot be written.
    """
    try:
        read = pictures.read(path)
    except BadInput as error:
        words = [text.replace(str(path), name).replace(Path(path).name, name) for text in (error.message, error.remedy)]
        raise BadInput(*words, field="pictures") from error
    image = read.image
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    picture = DraftPicture(
        id=secrets.token_hex(6),
        name=name,
        notes=read.notes,
        photograph=photographs.is_photograph(image),
    )
    image.save(folder / picture.file, **FAST)
    for crop in CROPS:
        pictures.square(image, THUMBNAIL_PX, crop).save(folder / picture.changed(crop=crop).thumbnail, **FAST)
    return picture


def judged(found: Sequence[DraftPicture], folder: Path, size_px: int) -> tuple[DraftPicture, ...]:
    """The pictures in `folder` with their verdicts for a base model of `size_px`, duplicates told from the first on.

    size_px: 0 where it is not known; no picture is too small then.
    """
    looks = [replace(_look(folder / p.file, size_px or SEEN_PX, p.crop), notes=p.notes) for p in found]
    verdicts = intake.judge(looks, size_px)
    told = []
    for picture, look, verdict in zip(found, looks, verdicts, strict=True):
        words = verdict.words.replace(str(folder / picture.file), picture.name).replace(picture.file, picture.name)
        shape = _shape(*look.size_px)
        told.append(picture.changed(shape=shape, kind=verdict.kind, words=words, same_as=verdict.same_as))
    return tuple(told)


def _shape(width: int, height: int) -> str:
    if abs(width - height) <= EVEN_PX:
        return "square"
    return "wide" if width > height else "tall"


# A copy never changes once it is made, so what was seen on it stays true: a press on a crop looks at one picture only.
_look = functools.lru_cache(maxsize=2000)(intake.look)
