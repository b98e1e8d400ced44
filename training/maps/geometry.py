"""One geometry for a picture and its map: the short side scaled to the target, then one square cut out of both.

Nothing is squashed. Labels take the pixel whose centre is nearest, as MIT's own conversion of the full set does;
pictures are scaled with antialiased bicubic weights, and never with Lanczos, whose overshoot makes colours of no class.

    1024 x 768 to 512: scaled to 683 x 512, then 512 x 512 from x = 86 (position 0.5: half of 683 - 512).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Frame:
    """Where the square of a picture lies. scaled: (width, height) before the cut. left, top, edge: the square, px."""

    scaled: tuple[int, int]
    left: int
    top: int
    edge: int


def frame(size: tuple[int, int], edge: int, position: float = 0.5) -> Frame:
    """The square of a picture of `size` (width, height). position: 0 is left or top, 0.5 the middle, 1 the end."""
    short = min(size)
    width, height = (max(round(length * edge / short), edge) for length in size)
    position = min(max(position, 0.0), 1.0)
    return Frame((width, height), round((width - edge) * position), round((height - edge) * position), edge)


def cut_picture(image: Image.Image, where: Frame) -> Image.Image:
    """The square of a picture, edge x edge."""
    from PIL import Image

    image = image if image.size == where.scaled else image.resize(where.scaled, Image.Resampling.BICUBIC)
    return image.crop((where.left, where.top, where.left + where.edge, where.top + where.edge))


def cut_labels(labels: np.ndarray, where: Frame) -> np.ndarray:
    """The square of a map: (H, W) to (edge, edge), every label one that was there."""
    scaled = scale_labels(labels, where.scaled)
    return np.ascontiguousarray(scaled[where.top : where.top + where.edge, where.left : where.left + where.edge])


def scale_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (H, W) scaled to (width, height) by the nearest pixel centre."""
    rows, columns = (
        # Output pixel i has its centre at (i + 0.5) * old / new of the input, in whole numbers to be exact.
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size[::-1], labels.shape, strict=True)
    )
    return labels[rows[:, None], columns[None]]
