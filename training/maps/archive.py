"""A zip of pairs, unpacked so that nothing in it can reach outside its folder or fill the disk."""

from __future__ import annotations

import contextlib
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from training import atomic, jsonfile, room
from training.errors import BadInput, from_os_error
from training.subject.pictures import LARGEST_FILE_MB

MOST_FILES = 100_000  # ADEChallengeData2016 has 44,420
MOST_GB = 20
PIECE_BYTES = 1 << 20
WANTED = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".txt", ".jsonl")
LEFT = ("__MACOSX",)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the pictures, maps and captions of a zip into `folder`, which appears whole or not at all.

    Raises BadInput, naming the file and the entry: no zip, damaged, locked with a password, a name that leads outside,
    a link, twice the same name, too many or too large. DiskFull: there is no room for it.
    """
    archive = Path(archive)
    with _opened(archive) as opened:
        entries = _checked(opened, archive)
        total = sum(entry.file_size for entry in entries.values())
        room.check(folder, total, f"what {archive.name} holds")
        try:
            with atomic.new_folder(folder) as new:
                for name, entry in entries.items():
                    _write(opened, entry, new / name, archive)
        except OSError as error:
            raise from_os_error(error, folder) from error
    return folder


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, whose list of entries can be read."""
    with contextlib.ExitStack() as held:
        try:
            opened = held.enter_context(
                zipfile.ZipFile(held.enter_context(jsonfile.open_regular(archive, follow=True)))
            )
        except OSError as error:
            raise from_os_error(error, archive) from error
        except Exception as error:  # BadZipFile, NotImplementedError, and what struct and codecs say of odd bytes
            told = f"{archive.name} is no zip, or it is damaged ({error})."
            raise BadInput(told, "Make or copy it again.") from error
        yield opened


def _checked(opened: zipfile.ZipFile, archive: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The wanted entries by the path that each gets."""
    listed = opened.infolist()
    if len(listed) > MOST_FILES:
        raise BadInput(f"{archive.name} holds {len(listed):,} files; up to {MOST_FILES:,} are read.", "Give a part.")
    entries, seen = {}, set()
    for entry in listed:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in entry.filename or "\0" in entry.filename:
            raise _refused(archive, entry, "leads outside of the folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refused(archive, entry, "is a link")
        hidden = any(part.startswith(".") or part in LEFT for part in name.parts)
        if entry.filename.endswith("/") or hidden or name.suffix.lower() not in WANTED:
            continue
        if entry.flag_bits & 1:
            raise _refused(archive, entry, "is locked with a password")
        if str(name).lower() in seen:
            raise _refused(archive, entry, "is there twice")
        if entry.file_size > LARGEST_FILE_MB * 1e6:
            raise _refused(archive, entry, f"is larger than {LARGEST_FILE_MB} MB")
        seen.add(str(name).lower())
        entries[name] = entry
    total = sum(entry.file_size for entry in entries.values())
    if total > MOST_GB * 1e9:
        raise BadInput(f"{archive.name} unpacks to {total / 1e9:.0f} GB; up to {MOST_GB} are read.", "Give a part.")
    return entries


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, archive: Path) -> None:
    """Write one entry. zipfile ends at the stated size and checks the sum, so a false statement cannot pass."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        for part in _parts(opened, entry, archive):
            target.write(part)


def _parts(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, archive: Path) -> Iterator[bytes]:
    """What an entry holds, piece by piece. Raises BadInput where it is damaged."""
    try:
        with opened.open(entry) as source:
            while part := source.read(PIECE_BYTES):
                yield part
    except Exception as error:  # zipfile's own, and zlib's, bz2's and lzma's, which have no kind in common
        raise _refused(archive, entry, f"is damaged ({error})") from error


def _refused(archive: Path, entry: zipfile.ZipInfo, what: str) -> BadInput:
    return BadInput(f"{archive.name}: {entry.filename} {what}.", "Make the zip again without it.")
