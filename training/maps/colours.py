"""Labels to colours and back, in ADE20K's palette; ignored pixels are black, which is no class's colour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

import assets
from training.maps import IGNORED
from training.maps.classes import CLASSES

if TYPE_CHECKING:
    from torch import Tensor

PALETTE = np.array([scene.colour for scene in CLASSES], dtype=np.uint8)  # (150, 3)
WITH_BLACK = np.concatenate([PALETTE, np.zeros((1, 3), dtype=np.uint8)])  # (151, 3)
_ROWS = np.zeros((256, 3), dtype=np.uint8)  # a colour for every value of a label
_ROWS[:150] = PALETTE


def paint(labels: np.ndarray) -> np.ndarray:
    """Labels (..., H, W) to colours (..., H, W, 3), uint8."""
    return _ROWS[labels]


def control(labels: np.ndarray) -> Tensor:
    """The ControlNet's picture of labels: (H, W) or (n, H, W) to float32 (n, 3, H, W) in [0, 1].

    Control pictures that are no maps (`controls.py`), (n, H, W, 3), are taken as they are.

    diffusers resizes PIL maps with Lanczos, reads uint8 tensors without dividing them by 255, and takes a float tensor
    of the picture's exact size as it is; this is that tensor.
    """
    import torch

    labels = labels[None] if labels.ndim == 2 else labels
    colours = torch.from_numpy(labels if labels.ndim == 4 else paint(labels))  # (n, H, W, 3)
    return colours.permute(0, 3, 1, 2).contiguous().float() / 255


def codes(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) as one number each, 0xRRGGBB."""
    r, g, b = (colours[..., i].astype(np.int32) for i in range(3))
    return (r << 16) | (g << 8) | b


def classes_of(colours: np.ndarray) -> np.ndarray:
    """The class of each colour (k, 3): (k,) int, 0-149, IGNORED for black, -1 for a colour of no class.

    The colour of road and skyscraper is road's here.
    """
    table = {code: i for i, code in reversed(list(enumerate(codes(PALETTE).tolist())))} | {0: IGNORED}
    return np.array([table.get(code, -1) for code in codes(colours).tolist()], dtype=np.int64)


def nearest(colours: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of a palette's colours (n, 3) to each of (k, 3), and how far off it is in its worst channel: (k,)."""
    given, known = colours.astype(np.float32), palette.astype(np.float32)  # whole numbers below 2^24 stay exact
    place = ((known**2).sum(-1) - 2 * given @ known.T).argmin(1)  # |g - k|^2 without |g|^2
    return place, np.abs(given - known[place]).max(-1)


def _others() -> dict[str, np.ndarray]:
    rows = json.loads(assets.path("ade20k", "others.json").read_text("utf-8"))
    return {name: np.array(row, dtype=np.uint8) for name, row in rows.items()}


OTHERS = _others()  # the palettes of data sets whose maps look like ours and mean something else
