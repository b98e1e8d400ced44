"""Generated pictures on disk: PNGs that carry how they were made (prompt, seed, steps, adapter) in a text chunk."""

import io
import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from training import jsonfile
from training.atomic import write_bytes
from training.errors import BadInput
from training.subject.pictures import source

KEY = "delora"


def write_picture(image: Image.Image, path: Path, facts: dict) -> None:
    """Write a PNG with its facts, whole or not at all."""
    info = PngInfo()
    info.add_text(KEY, json.dumps(facts))
    # A line that picture viewers for AUTOMATIC1111 and ComfyUI show as well.
    info.add_text("parameters", ", ".join(f"{key}: {value}" for key, value in facts.items() if value not in (None, "")))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    write_bytes(path, buffer.getvalue())


def read_facts(path: Path) -> dict:
    """The facts a picture carries, {} for a picture of another origin. Raises BadInput where it cannot be read."""
    try:
        try:
            with _open(path) as picture:
                text = getattr(picture, "text", {}).get(KEY, "{}")
        except ValueError:  # text larger than Pillow reads, so not ours
            text = "{}"
            _open_without_text(path).close()
        facts = json.loads(text)
    except Exception as error:  # see `read_pictures`; RecursionError: JSON nested too deep
        raise BadInput(f"{path.name} cannot be read as a picture.", "Take it out of the folder.") from error
    return facts if isinstance(facts, dict) else {}


def read_pictures(paths: list[Path]) -> list[Image.Image]:
    """The pictures at `paths`, as RGB. Raises BadInput naming the one that cannot be read."""
    pictures = []
    for path in paths:
        try:
            with _open_without_text(path) as picture:
                pictures.append(picture.convert("RGB"))
        except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error, EOFError, ...
            raise BadInput(f"{path.name} cannot be read as a picture.", "Take it out of the folder.") from error
    return pictures


def _open(path: Path) -> Image.Image:
    """A picture in a regular file: a pipe or a device could keep us waiting for ever."""
    return Image.open(io.BytesIO(jsonfile.read_bytes(path, follow=True)))


def _open_without_text(path: Path) -> Image.Image:
    """The same without a PNG's text, which Pillow refuses above a size."""
    return Image.open(source(path))
