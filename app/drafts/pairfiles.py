"""Files of pairs as a person drops them: checked by kind and size, zips unpacked, put in their place in the draft.

A browser sends no folders, only names: of two files of one name that came together, the one that reads as a map is
laid into `annotations/`, as in ADEChallengeData2016. In a zip the folders stay. What lies in a folder named
"validation", "val" or "test" is held out.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from app.drafts.pairs import MOST_FILES, PARTS, Part
from app.drafts.pictures import FAST, shown_name
from app.drafts.store import Draft, changing, scratch, write
from training.errors import BadInput, from_os_error
from training.maps import archive, pairs, reading
from training.subject import pictures
from training.subject.pictures import LARGEST_FILE_MB

HELD_OUT = {"validation", "val", "test", "testing", "held-out", "held_out", "heldout"}
KINDS = "pictures, maps, captions (.txt, metadata.jsonl) and zips of them"
TOO_MANY = (
    f"{{name}} was left out: the page takes {MOST_FILES:,} files. For more there is `delora train PAIRS --task maps`."
)
# What a picture file may say about itself without telling anything about a person or a place.
HARMLESS = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression", "gamma", "srgb"}
HARMLESS |= {"icc_profile", "transparency", "interlace", "chromaticity", "adobe", "adobe_transform", "background"}
HARMLESS |= {"compression", "version", "duration", "extension", "loop", "timestamp"}


def add(draft: Draft, files: Sequence[tuple[str, Path]], part: Part = "training", *, delete: bool = True):
    """Take in dropped files: (the client's name, where the upload lies). A file of a name that is there replaces it.

    Args:
        delete: remove the uploads, whether they could be used or not.

    Returns:
        The draft, and a sentence for each file that was refused.

    Raises:
        StudioError: the copies cannot be written.
    """
    refused: list[str] = []
    try:
        with scratch(draft.folder) as new:
            for given, path in files:
                name = shown_name(given)
                try:
                    _unpack_or_take(Path(path), name, new)
                except BadInput as error:
                    refused.append(str(error).replace(Path(path).name, name))
            found = sorted(file for file in new.glob("*/**/*") if file.is_file())
            with changing(draft) as now:
                folder = now.pairs_folder
                there = sum(file.is_file() for file in folder.rglob("*"))
                for file in found:
                    place = Path(*map(_safe, file.relative_to(new).parts[1:]))  # without the folder of its drop
                    target = folder / _part(place, part) / place
                    if not target.exists() and there >= MOST_FILES:
                        refused.append(TOO_MANY.format(name=place.name))
                        continue
                    there += not target.exists()
                    _settle(file, target)
                _clean(folder)
                return write(now.with_pairs(stamp=secrets.token_hex(8))), refused
    finally:
        for _, path in files if delete else ():
            Path(path).unlink(missing_ok=True)


def remove(draft: Draft, part: Part, names: Sequence[str]) -> Draft:
    """Take files out, by their paths in a part; one that is gone already is no error.

    Raises BadInput for a name that leads outside.
    """
    for name in names:
        if part not in PARTS or ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise BadInput(f"{name} is no file of this draft.", "Load the page again.", "pairs")
    with changing(draft) as now:
        for name in names:
            path = now.pairs_folder / part / name
            with contextlib.suppress(OSError):  # gone, or a folder
                path.unlink()
        return write(now.with_pairs(stamp=secrets.token_hex(8)))


def clear(draft: Draft) -> Draft:
    """Take all files out, with what was said about them."""
    with changing(draft) as now:
        shutil.rmtree(now.pairs_folder, ignore_errors=True)
        return write(now.changed(pairs={}))


def lay(files: Sequence[Path], folder: Path, draft: Draft) -> None:
    """Copy files of this program, by their paths in `folder`, into a draft's place for pairs."""
    try:
        for file in files:
            place = file.relative_to(folder)
            target = draft.pairs_folder / _part(place, "training") / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    except OSError as error:
        raise from_os_error(error, draft.pairs_folder) from error


def _unpack_or_take(path: Path, name: str, new: Path) -> None:
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
    shutil.copyfile(path, place / _safe(name))


def _settle(file: Path, target: Path) -> None:
    """Put a file in its place. Where another has its name, a map and a picture both stay, and else the new one does."""
    apart = target.parent / "annotations" / target.name
    if target.is_file() and target.parent.name.lower() not in pairs.MAP_FOLDERS | pairs.PICTURE_FOLDERS:
        new, old = _is_map(file), _is_map(target)
        if new and not old:
            target = apart
        elif old and not new:
            _put(target, apart)
    _put(file, target)


def _is_map(file: Path) -> bool:
    """Whether a file can be read as a map, or would be one of other classes."""
    return file.suffix.lower() in pairs.IMAGES and bool(reading.read(file).way)


def _part(place: Path, part: Part) -> Part:
    return "held-out" if HELD_OUT & {name.lower() for name in place.parts[:-1]} else part


def _put(file: Path, target: Path) -> None:
    """Move a file to its place; what else has the name of a folder on the way, or its own, goes."""
    for folder in reversed(target.parents):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            folder.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    file.replace(target)


def _safe(name: str) -> str:
    """A name that no folder can be left with, short enough for every disk, with its ending."""
    clean = re.sub(r"[/\\:\x00-\x1f]", "", shown_name(name)).lstrip(".")
    return clean or "file"


def _clean(folder: Path) -> None:
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
    """Whether a picture file has metadata; of one that cannot be read nothing is known."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return bool(image.getexif()) or bool(set(image.info) - HARMLESS)
    except Exception:  # Pillow's plugins raise whatever they like; it is told as a fault of the pair
        return False
