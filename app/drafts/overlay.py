"""What a pair looks like: the square that training uses of its picture, and beside it the same with its map over it."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np

from training.errors import BadInput
from training.maps import IGNORED, colours, geometry, intake, reading
from training.maps.intake import Checked
from training.maps.reading import Answers
from training.subject import pictures

EDGE_PX = 192
SHADE = 0.55  # of the map's colour in what is laid over
NOTHING = (128, 128, 128)  # in the place of a picture that cannot be read


def draw(pair: Checked, answers: Answers) -> bytes:
    """The PNG of a pair, twice as wide as high; grey stands for a picture that cannot be read."""
    stamps = tuple(_stamp(path) for path in (pair.pair.picture, pair.pair.map))
    return _drawn(pair.pair.picture, pair.pair.map, intake.as_read(pair, answers), stamps)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=64)
def _drawn(picture: Path, map_: Path, answers: Answers, stamps: tuple) -> bytes:
    from PIL import Image

    try:
        image = pictures.read(picture).image
        image = geometry.cut_picture(image, geometry.frame(image.size, EDGE_PX))
    except BadInput:
        image = Image.new("RGB", (EDGE_PX, EDGE_PX), NOTHING)
    plain = np.asarray(image).astype(np.float32)  # (h, w, 3)
    laid, labels = plain, reading.read(map_, answers).labels
    if labels is not None:
        cut = geometry.cut_labels(labels, geometry.frame(labels.shape[::-1], EDGE_PX))
        share = np.where(cut == IGNORED, 0.0, SHADE)[..., None]  # (h, w, 1)
        laid = (1 - share) * plain + share * colours.paint(cut)
    both = np.concatenate([plain, laid], axis=1).round().astype(np.uint8)  # (h, 2 w, 3)
    buffer = io.BytesIO()
    Image.fromarray(both).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
