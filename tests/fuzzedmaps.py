"""What `fuzzers` changes by chance of semantic maps: files as people have them, zips of pairs, and lists of pairs."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import mapfiles
import numpy as np
from PIL import Image

from training.maps import archive, captions, colours, intake, pairs, reading

LIST = "list of pairs"


def readers(folder: Path) -> list[tuple[str, tuple[bytes, ...], Callable[[bytes], None]]]:
    """Each reader's name, valid inputs for it, and what reads one in `folder`."""
    labels = mapfiles.scene()
    greys = Image.fromarray(np.stack([labels] * 3, axis=-1))  # numbers that were saved as colours
    found = []
    for name, images in {
        "png": [Image.fromarray(labels), Image.fromarray(colours.paint(labels)), greys],
        "jpg": [Image.fromarray(colours.paint(labels)), greys],
        "webp": [Image.fromarray(colours.paint(labels)), greys],
        "tif": [Image.fromarray(labels.astype(np.uint16)), greys],
    }.items():
        path = folder / f"map.{name}"

        def read(data: bytes, path: Path = path) -> None:
            path.write_bytes(data)
            for answers in (reading.NONE, reading.Answers("0-149", "road", True)):
                reading.read(path, answers)

        found.append((f"map {name}", tuple(_saved(image, path) for image in images), read))
    packed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    files = {"images/a.png": _saved(greys, folder / "a.png"), "maps/a.png": _saved(images[0], folder / "a.png")}
    files["metadata.jsonl"] = b'{"file_name": "images/a.png", "map": "maps/a.png", "text": "a hill"}\n'
    zips = tuple(_zipped(files, how) for how in packed)

    def unpack(data: bytes) -> None:
        (folder / "pairs.zip").write_bytes(data)
        shutil.rmtree(folder / "pairs", ignore_errors=True)
        intake.check(pairs.find(archive.unpack(folder / "pairs.zip", folder / "pairs")).pairs)

    def metadata(data: bytes) -> None:
        (folder / "metadata.jsonl").write_bytes(data)
        captions.rows(folder / "metadata.jsonl")

    return [*found, ("zip of pairs", zips, unpack), (LIST, (files["metadata.jsonl"] * 3,), metadata)]


def _saved(image: Image.Image, path: Path) -> bytes:
    image.save(path, quality=95)
    return path.read_bytes()


def _zipped(files: dict[str, bytes], packed: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()
