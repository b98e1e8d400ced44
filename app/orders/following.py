"""Pictures that follow a map: the map as files of an order, and what is drawn of it, for pages and commands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import BadInput
from training.maps import IGNORED, geometry, reading, writing

if TYPE_CHECKING:
    import numpy as np

    from app.orders.request import DrawRequest
    from training.maps.steering.drawing import Wish

MAP, PALETTE = "map.png", "map-palette.png"
EMPTY = "The map is empty: no pixel of it has a class."


def name(labels: np.ndarray) -> str:
    """16 hex digits that name a map by its labels (H, W)."""
    return hashlib.sha256(f"{labels.shape}".encode() + labels.tobytes()).hexdigest()[:16]


def square(labels: np.ndarray, edge: int) -> np.ndarray:
    """The middle square of a map, (edge, edge)."""
    height, width = labels.shape
    return geometry.cut_labels(labels, geometry.frame((width, height), edge))


def files(labels: np.ndarray, request: DrawRequest, data: Path) -> dict[str, bytes]:
    """What a drawing keeps of its map: name -> content, at the size of the pictures that `request` asks for.

    Raises BadInput where no pixel of that square has a class.
    """
    from training.base import models

    cut = square(labels, request.size or models.describe(request.base, data).size_px)
    if (cut == IGNORED).all():
        raise BadInput(EMPTY, "Paint something, or start from a base layer.", "map")
    return {MAP: writing.encode(cut, "index"), PALETTE: writing.encode(cut, "palette")}


def read(path: Path) -> np.ndarray:
    """The labels of an index PNG of ours. Raises BadInput where it is missing, damaged, or another file."""
    if path.is_symlink():
        raise BadInput(f"{path} is a link, which is not followed.", "Put the file itself there.")
    return reading.labels_of(path)


def wishes(labels: np.ndarray, prompts: Sequence[str], seeds: Sequence[int]) -> list[Wish]:
    """What to draw of one square map, prompt by prompt."""
    from training.maps.steering.drawing import Wish

    return [Wish(labels, prompt, seed) for prompt in prompts for seed in seeds]
