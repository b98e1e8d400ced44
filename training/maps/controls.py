"""What a ControlNet is shown of a pair: its map, or control pictures of edges that are made of its picture.

A control is an array from here to `colours.control`: labels (H, W) uint8, or a picture (H, W, 3) uint8 as it is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.maps import PICTURE, SEGMENTATION, colours, edges, geometry, reading

if TYPE_CHECKING:
    from PIL import Image


def of_pair(kind: str, picture: Path, labels: Path) -> np.ndarray:
    """The control of a run's pair, from its files. kind: `MapsSpec.control_kind`.

    Raises BadInput, naming the file, for one that cannot be read.
    """
    if kind == SEGMENTATION:
        return reading.labels_of(labels)
    from training.subject import pictures

    return edges.ANNOTATORS[kind](pictures.read(picture).image)


def of_picture(kind: str, image: Image.Image, edge_px: int) -> np.ndarray:
    """The edges in the middle square of a picture, or for PICTURE that square itself, (edge_px, edge_px, 3)."""
    square = geometry.cut_picture(image, geometry.frame(image.size, edge_px))
    return np.array(square.convert("RGB")) if kind == PICTURE else edges.ANNOTATORS[kind](square)


def painted(control: np.ndarray) -> np.ndarray:
    """A control as a person sees it, (H, W, 3) uint8."""
    return colours.paint(control) if control.ndim == 2 else control
