"""What a pair's picture is called in training: words that came with it, or its largest classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from training import jsonfile
from training.errors import BadInput
from training.maps.classes import NAMES

METADATA = "metadata.jsonl"
PICTURE, MAP, TEXT = (
    ("file_name", "image"),
    ("conditioning_image", "map", "annotation", "segmentation", "label"),
    ("text", "caption", "prompt"),
)
MOST_CLASSES, LEAST_SHARE = 5, 0.02


class Row(NamedTuple):
    """A line of metadata.jsonl. map: None where it does not name one. caption: "" where it has none."""

    picture: Path
    map: Path | None
    caption: str


def rows(path: Path) -> list[Row]:
    """The lines of a metadata.jsonl, as datasets' image folders and diffusers' ControlNet script have it.

    Raises BadInput, naming file and line, for one that is no JSON, names no picture, or leads outside its folder.
    """
    found = []
    for i, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = jsonfile.from_json(line)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise BadInput(f"{path.name}, line {i}, is no JSON object.", "Correct it, or take the file away.")
        picture, shown, text = (_first(values, keys) for keys in (PICTURE, MAP, TEXT))
        if not picture:
            raise BadInput(f"{path.name}, line {i}, names no picture.", 'It needs a "file_name".')
        for name in filter(None, (picture, shown)):
            if not _is_inside(name, path.parent):
                raise BadInput(f"{path.name}, line {i}: {name} lies outside of its folder.", "Give names inside it.")
        found.append(Row(path.parent / picture, path.parent / shown if shown else None, " ".join(text.split())))
    return found


def beside(picture: Path) -> str:
    """The caption in the .txt beside a picture, "" where there is none. Raises BadInput where it is not text."""
    path = picture.with_suffix(".txt")
    return " ".join(_text(path).split()) if path.is_file() else ""


def from_classes(shares: Mapping[int, float]) -> str:
    """A caption of the largest classes: {2: 0.5, 1: 0.3} -> "a photo of sky and building"."""
    names = [NAMES[i] for i, share in sorted(shares.items(), key=lambda pair: -pair[1]) if share >= LEAST_SHARE]
    names = names[:MOST_CLASSES]
    if not names:
        return "a photo"
    return "a photo of " + (names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}")


def _is_inside(name: str, folder: Path) -> bool:
    """Whether a name leads to a place in a folder, also where links are followed."""
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, links in a ring, or a name that no file can have
        return False


def _text(path: Path) -> str:
    try:
        return jsonfile.read_bytes(path, follow=True).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8 text.", "Save it as UTF-8.") from error


def _first(values: dict, keys: tuple[str, ...]) -> str:
    return next((values[key] for key in keys if isinstance(values.get(key), str) and values[key].strip()), "")
