"""Which picture belongs to which map, by folders and names.

images/training/ADE_train_1.jpg    annotations/training/ADE_train_1.png     ADEChallengeData2016
street/ADE_train_1.jpg             street/ADE_train_1_seg.png               the full set
beach.jpg                          beach.png                                the one that can hold a map exactly
beach.png                          beach_map.png
metadata.jsonl                     {"file_name": ..., "conditioning_image": ..., "text": ...}
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import BadInput
from training.maps import captions
from training.maps.archive import LEFT
from training.maps.problem import Problem

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif")
EXACT = (".png", ".bmp", ".tif", ".tiff", ".gif")
MAP_FOLDERS = set("annotations annotation maps map labels label masks mask segmentations segmentation seg".split())
MAP_FOLDERS |= {"conditioning_images", "conditioning", "semantic"}
PICTURE_FOLDERS = set("images image pictures photos img imgs jpegimages".split())
MARK = re.compile(r"[._ -](seg|segmentation|maps?|mask|labels?|annotation|semantic|index|palette)$", re.IGNORECASE)
PARTS = re.compile(r"_parts_\d+$")  # the full set's maps of parts, which hold no scene

Key = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A picture and its map. caption: what came with it, "" for none."""

    picture: Path
    map: Path
    caption: str = ""


@dataclass
class Found:
    """The pairs in a folder, and what is wrong with which file. alone: pictures without a map, which are faults too,
    with their captions."""

    pairs: list[Pair] = field(default_factory=list)
    faults: list[tuple[Path, Problem]] = field(default_factory=list)
    alone: dict[Path, str] = field(default_factory=dict)


def find(folder: Path) -> Found:
    """The pairs below a folder, in order of name. Raises BadInput where there is no folder, or no picture in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder.", "Give a folder of pictures and maps.", field="pairs")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _left(path.relative_to(folder))]
    found = Found()
    words: dict[Path, str] = {}
    listed: set[Path] = set()
    for path in files:
        if path.name == captions.METADATA:
            try:
                for row in captions.rows(path):
                    listed |= _take_row(row, found, words)
            except BadInput as error:
                found.faults.append((path, Problem("captions", str(error))))
    images = [path for path in files if path.suffix.lower() in IMAGES and path not in listed]
    if not images and not found.pairs:
        raise BadInput(f"{folder} holds no pictures.", "Give a folder of pictures and maps.", field="pairs")
    _match(folder, images, found)
    found.pairs = sorted(
        (Pair(p.picture, p.map, p.caption or _caption(p.picture, words, found)) for p in found.pairs),
        key=lambda pair: pair.picture,
    )
    found.alone = {path: _caption(path, words, found) for path in found.alone}
    return found


def _take_row(row: captions.Row, found: Found, words: dict[Path, str]) -> set[Path]:
    """Use one line of metadata.jsonl; returns the files that it speaks for."""
    words[row.picture] = row.caption
    if row.map is None:
        return set()
    for path, other in ((row.picture, row.map), (row.map, row.picture)):
        if not os.path.isfile(path):  # which takes a name that is too long as well
            words_ = f"{path.name}, which {captions.METADATA} names, is not there."
            found.faults.append((other, Problem("no partner", words_, "Add it, or take the line away.")))
            return {row.picture, row.map}
    found.pairs.append(Pair(row.picture, row.map, row.caption))
    return {row.picture, row.map}


def _match(folder: Path, images: list[Path], found: Found) -> None:
    """Add the pairs among `images`, and a fault for each one that stays alone."""
    stems = {path.with_suffix("") for path in images}
    maps: dict[Key, list[Path]] = defaultdict(list)
    photos: dict[Key, list[Path]] = defaultdict(list)
    open_: dict[Key, list[Path]] = defaultdict(list)  # those that folder and name say nothing about
    for path in images:
        *parents, _ = path.relative_to(folder).parts
        roles = [
            ("map" if part.lower() in MAP_FOLDERS else "picture", i)
            for i, part in enumerate(parents)
            if part.lower() in MAP_FOLDERS | PICTURE_FOLDERS
        ]
        role, at = roles[-1] if roles else ("", None)
        place = tuple(part for i, part in enumerate(parents) if i != at)
        bare = MARK.sub("", path.stem)
        if PARTS.search(path.stem):
            continue
        if role != "map" and bare != path.stem and path.with_name(bare) in stems:
            maps[*place, bare].append(path)
        elif role == "map":
            maps[*place, path.stem].append(path)
        else:
            (photos if role else open_)[*place, path.stem].append(path)
    for key, paths in open_.items():
        exact = [path for path in paths if path.suffix.lower() in EXACT]
        if key not in maps and len(paths) == 2 and len(exact) == 1:  # beach.jpg and beach.png
            maps[key] = exact
            paths = [path for path in paths if path not in exact]
        photos[key] += paths
    _unmarked(maps, photos)
    for key in sorted(maps.keys() | photos.keys()):
        _join(photos.get(key, []), maps.get(key, []), found)


def _unmarked(maps: dict[Key, list[Path]], photos: dict[Key, list[Path]]) -> None:
    """Give maps that found no picture the key of one: its name without "_seg", then its name alone, if only one has
    it."""
    for key in [key for key in maps if key not in photos]:
        bare = (*key[:-1], MARK.sub("", key[-1]))
        alone = [other for other in photos if other[-1] in (key[-1], bare[-1]) and other not in maps]
        target = bare if bare in photos and bare not in maps else alone[0] if len(alone) == 1 else None
        if target:
            maps[target] = maps.pop(key)


def _join(photos: list[Path], maps: list[Path], found: Found) -> None:
    if len(photos) == len(maps) == 1:
        found.pairs.append(Pair(photos[0], maps[0]))
        return
    for several, kind in ((photos, "pictures"), (maps, "maps")):
        if len(several) > 1:
            names = ", ".join(path.name for path in several)
            problem = Problem("twice", f"{len(several)} {kind} have one name: {names}.", "Leave one.")
            found.faults.append((several[0], problem))
            return
    found.alone |= dict.fromkeys(photos, "")
    for path, other in [(path, "map") for path in photos] + [(path, "picture") for path in maps]:
        words = f"{path.name} has no partner: no {other} has its name."
        found.faults.append((path, Problem("no partner", words, f"Add its {other}, or leave it out.")))


def _caption(picture: Path, words: dict[Path, str], found: Found) -> str:
    """The caption that came with a picture, "" where none did."""
    caption = words.get(picture, "")
    if not caption:
        try:
            caption = captions.beside(picture)
        except BadInput as error:
            found.faults.append((picture.with_suffix(".txt"), Problem("captions", str(error), stops=False)))
    return caption


def _left(path: Path) -> bool:
    """Whether a file is none of a person's: hidden, or beside the point."""
    return any(part.startswith(".") or part in LEFT for part in path.parts)
