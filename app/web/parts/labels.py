"""A square map as text, as the page's own scripts send and take it (static/map-labels.js).

128:eJzt...    the edge in pixels, a colon, and the labels, a byte each and row by row, packed by zlib in base64
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING

from training.errors import BadInput
from training.maps import IGNORED
from training.maps.classes import NAMES

if TYPE_CHECKING:
    import numpy as np

SMALLEST, LARGEST = 8, 2048  # edges, as for pictures
FIELD = "map"


def encode(labels: np.ndarray) -> str:
    """The text of labels (edge, edge) uint8."""
    return f"{len(labels)}:{base64.b64encode(zlib.compress(labels.tobytes())).decode()}"


def decode(text: object) -> np.ndarray:
    """The labels (edge, edge) uint8 of a text. Raises BadInput where it holds no map, whatever else it is."""
    import numpy as np

    if not isinstance(text, str) or not text:
        raise BadInput("There is no map yet.", "Paint one, or give a file.", FIELD)
    edge, _, packed = text.partition(":")
    size = int(edge) if edge.isascii() and edge.isdecimal() and len(edge) < 5 else 0
    if not SMALLEST <= size <= LARGEST:
        raise _damaged(f"its edge is not {SMALLEST} to {LARGEST} pixels")
    unpacked = zlib.decompressobj()
    try:
        data = unpacked.decompress(base64.b64decode(packed, validate=True), size * size + 1)  # and never more than that
    except (ValueError, binascii.Error, zlib.error):
        raise _damaged("it cannot be unpacked") from None
    if len(data) != size * size or not unpacked.eof:
        raise _damaged(f"it has not {size} x {size} pixels")
    labels = np.frombuffer(data, dtype=np.uint8).reshape(size, size)
    strange = set(np.unique(labels).tolist()) - {*range(len(NAMES)), IGNORED}
    if strange:
        raise _damaged(f"it holds the number {min(strange)}, which is no class")
    return labels.copy()


def _damaged(why: str) -> BadInput:
    return BadInput(f"The map that came from the page cannot be used: {why}.", "Load the page again.", FIELD)
