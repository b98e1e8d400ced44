"""Pictures inside the HTML of a report."""

import base64
import io
from html import escape
from pathlib import Path

from PIL import Image

from evaluation.pictures import read_pictures
from training.errors import BadInput

LARGEST_PX = 224


def images(paths: list[Path], kind: str = "") -> str:
    """The pictures at `paths`, small, of the CSS class `kind`; one that cannot be read is told in its place."""
    return "".join(_read(path, kind) for path in paths)


def image(picture: Image.Image, name: str, kind: str = "") -> str:
    """One picture, small."""
    return f'<img class="{kind}" alt="{escape(name)}" src="{_data(picture)}">'


def _read(path: Path, kind: str) -> str:
    try:
        (picture,) = read_pictures([path])
    except BadInput:
        return f'<span class="quiet">{escape(path.name)} cannot be read</span>'
    return image(picture, path.stem, kind)


def _data(picture: Image.Image) -> str:
    picture.thumbnail((LARGEST_PX, LARGEST_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
