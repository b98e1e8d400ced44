"""A map file's pixels as they stand, before anyone says what they mean: grey values, or colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.errors import BadInput
from training.maps import colours, writing
from training.subject import pictures

LOSSY = {"JPEG": "a JPEG", "MPO": "a JPEG", "WEBP": "a lossy WebP", "AVIF": "an AVIF"}
HALF = 128  # of alpha


@dataclass(frozen=True)
class Pixels:
    """What a file holds.

    values: (H, W) uint8 or int32 grey values, or the numbers of a PNG with a palette; None where it holds only colours.
    colours: (H, W, 3) uint8; None where the values alone mean something.
    hidden: (H, W) bool, the transparent pixels; None where there are none.
    lossy: the format in words where it changes pixels, or "". ours: an index PNG that this program wrote.
    """

    values: np.ndarray | None
    colours: np.ndarray | None
    hidden: np.ndarray | None
    lossy: str
    ours: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        array = self.colours if self.values is None else self.values
        return array.shape[1], array.shape[0]


def load(path: Path) -> Pixels:
    """Decode a map file. Raises BadInput as `pictures.decoded`, and for black and white or measurements."""
    from PIL import ImageOps

    with pictures.decoded(path) as image:
        lossy = "" if _lossless_webp(path) else LOSSY.get(image.format, "")
        ours = writing.is_ours(Path(path))
        image = ImageOps.exif_transpose(image)  # as its picture is turned
        if image.mode == "1" or image.mode in ("CMYK", "F", "LAB", "HSV"):
            raise BadInput(
                f"{Path(path).name} is no map: it holds {_MODES.get(image.mode, image.mode)}.",
                "Give a PNG of class numbers or of ADE20K's colours.",
            )
        hidden = None
        if image.has_transparency_data:
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            hidden = alpha < HALF if alpha.min() < HALF else None
        if image.mode == "P":
            values, rgb = np.asarray(image), np.asarray(image.convert("RGB"))
            if _numbers_count(values, rgb):
                return Pixels(values, None, hidden, lossy, ours)
            return Pixels(values, rgb, hidden, lossy, ours)
        if image.mode in ("L", "LA") or image.mode.startswith("I"):
            grey = image.getchannel(0) if image.mode == "LA" else image
            return Pixels(np.asarray(grey).astype(np.int32), None, hidden, lossy, ours)
        return Pixels(None, np.asarray(image.convert("RGB")), hidden, lossy, ours)


_MODES = {"1": "black and white only", "F": "measurements", "CMYK": "print colours"}


def _numbers_count(values: np.ndarray, rgb: np.ndarray) -> bool:
    """Whether a PNG with a palette means its numbers: its palette is a row of greys, or one class after another.

    ADE20K's colours in their own order are read by number as well, which tells road from skyscraper.
    """
    used, places = np.unique(values, return_index=True)
    shown = rgb.reshape(-1, 3)[places]
    if (shown == used[:, None]).all():
        return True
    in_order = colours.paint(used)
    return bool((shown == in_order).all() and (used < 150).any())


def _lossless_webp(path: Path) -> bool:
    """Whether a file is WebP with its lossless kind of picture inside."""
    with Path(path).open("rb") as file:
        head = file.read(64)
    return head[:4] == b"RIFF" and b"VP8L" in head
