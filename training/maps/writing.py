"""Maps as files: an index PNG holds the labels themselves, a palette PNG their colours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from training import atomic
from training.maps.colours import paint

KEY, INDEX = "delora-map", "0-149 index, 255 ignored"  # a text in our files, so that a grey map says what it is


def encode(labels: np.ndarray, kind: str, facts: dict[str, str] | None = None) -> bytes:
    """The PNG of labels (H, W). kind: "index" or "palette". facts: further texts to put in, name -> text."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in (facts or {}).items():
        info.add_itxt(name, text)
    if kind == "index":
        info.add_text(KEY, INDEX)
        image = Image.fromarray(labels)
    else:
        image = Image.fromarray(paint(labels))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def write(labels: np.ndarray, path: Path, kind: str, facts: dict[str, str] | None = None) -> None:
    """Write a map, whole or not at all. Arguments as `encode`. OSError passes through."""
    atomic.write_bytes(path, encode(labels, kind, facts))
