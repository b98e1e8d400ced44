"""Files of pairs: checked by kind and size, zips unpacked, put in their place below a draft's folder of pairs.

A browser sends no folders, only names: of two files of one name that came together, the one that reads as a map is
laid into `annotations/`, as in ADEChallengeData2016. In a zip the folders stay. What lies in a folder named
"validation", "val" or "test" is held out.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from app import ownfolders
from app.drafts.pairs import PARTS, Part
from app.drafts.pictures import FAST, shown_name
from training.errors import BadInput, from_os_error
from training.maps import archive, dataset, pairs, reading
from training.subject import pictures
from training.subject.pictures import LARGEST_FILE_MB

KINDS = "pictures, maps, captions (.txt, metadata.jsonl) and zips of them"
# What a picture file may say about itself without telling anything about a person or a place.
HARMLESS = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression", "gamma", "srgb"}
HARMLESS |= {"icc_profile", "transparency", "interlace", "chromaticity", "adobe", "adobe_transform", "background"}
HARMLESS |= {"compression", "version", "duration", "extension", "loop", "timestamp"}


def lay(files: Mapping[Path, str], folder: Path) -> None:
    """Copy files to their paths below `folder`, a draft's for pairs. Raises StudioError where it cannot be written."""
    try:
        for file, place in files.items():
            target = folder / part_of(Path(place), "training") / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    except OSError as error:
        raise from_os_error(error, folder) from error


def unpack_or_take(path: Path, name: str, new: Path) -> None:
    """Lay a dropped file into a folder of its own in `new`, a zip unpacked."""
    place = new / f"{len(list(new.iterdir())):04d}"
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        archive.unpack(path, place)
        return
    if suffix not in archive.WANTED and suffix not in pairs.IMAGES:
        raise BadInput(f"{name} was left out.", f"Give {KINDS}.")
    if path.stat().st_size > LARGEST_FILE_MB * 1e6:
        raise BadInput(f"{name} is larger than {LARGEST_FILE_MB} MB.", "Save it smaller.")
    place.mkdir()
    shutil.copyfile(path, place / safe(name))


def settle(file: Path, folder: Path, place: Path) -> None:
    """Put a file in its place below `folder`.

    Where another file has its name, both stay if one is a map and the other a picture; else the new one does.
    """
    target, apart = folder / place, folder / place.parent / "annotations" / place.name
    if target.is_file() and target.parent.name.lower() not in pairs.MAP_FOLDERS | pairs.PICTURE_FOLDERS:
        new, old = _is_map(file), _is_map(target)
        if new and not old:
            target = apart
        elif old and not new:
            _put(target, folder, apart)
    _put(file, folder, target)


def _is_map(file: Path) -> bool:
    """Whether a file can be read as a map, or would be one of other classes."""
    return file.suffix.lower() in pairs.IMAGES and bool(reading.read(file).way)


def part_of(place: Path, part: Part) -> Part:
    """Where a file belongs: what its folders say is to judge by is held out."""
    return "held-out" if dataset.is_held_out(place) else part


def _put(file: Path, folder: Path, target: Path) -> None:
    """Move a file to its place below `folder`; what else has the name of a folder on the way, or its own, goes."""
    for part in reversed(target.relative_to(folder).parents[:-1]):
        if os.path.lexists(folder / part) and not ownfolders.is_own(folder / part):
            (folder / part).unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    file.replace(target)


def safe(name: str) -> str:
    """A name that no folder can be left with, short enough for every disk, with its ending."""
    clean = re.sub(r"[/\\:\x00-\x1f]", "", shown_name(name)).lstrip(".")
    return clean or "file"


def clean(folder: Path) -> None:
    """Rewrite pictures of pairs that carry more than their pixels, under their names: content says what it is."""
    for part in PARTS:
        with contextlib.suppress(BadInput):
            for pair in pairs.find(folder / part).pairs:
                if stat.S_ISREG(pair.picture.lstat().st_mode) and _tells_more(pair.picture):
                    with contextlib.suppress(BadInput):  # it is told as a fault of the pair
                        image = pictures.read(pair.picture).image
                        other = pair.picture.with_name(f".{secrets.token_hex(6)}")
                        image.save(other, "PNG", **FAST)
                        other.replace(pair.picture)


def _tells_more(path: Path) -> bool:
    """Whether a picture file has metadata, or may have: it cannot be opened as it is."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return bool(image.getexif()) or bool(set(image.info) - HARMLESS)
    except Exception:  # Pillow's plugins raise whatever they like
        return True
