"""Room on the disk: how much there is, and the one check before anything large is written.

What a thing takes is estimated by who writes it; too little is told before it is begun, since half a file is of no use.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from training.errors import DiskFull

SPARE_BYTES = 1e6  # for state, events and logs, which follow everything that is written
LOW_BYTES = 20e6  # so little is told on every page: the next save or upload may not fit
PIXEL_BYTES = 2  # of a PNG


def free_bytes(path: Path) -> float:
    """What may still be written where `path` lies, be it there or not."""
    path = Path(path).absolute()
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def check(path: Path, needed: float, what: str, remedy: str = "Free some space, then try again.") -> None:
    """Raises DiskFull where the disk of `path` has no room for `needed` bytes more.

    what: what is to be written, such as "a save".
    """
    if (free := free_bytes(path)) < needed + SPARE_BYTES:
        raise DiskFull(
            f"The disk of {path} is full: it has {size(free)} left, and {what} needs about "
            f"{size(needed + SPARE_BYTES)}.",
            remedy,
        )


def is_full(path: Path) -> bool:
    """Whether hardly anything can be written where `path` lies."""
    return free_bytes(path) < SPARE_BYTES


def warning(path: Path) -> str:
    """That there is little room left, in a sentence; "" while there is enough."""
    free = free_bytes(path)
    if free >= LOW_BYTES:
        return ""
    return f"The disk of {path} is {'nearly full' if free >= SPARE_BYTES else 'full'}: {size(free)} left."


def pictures_bytes(count: int, size_px: int) -> float:
    """About what square pictures take as PNG."""
    return count * size_px**2 * PIXEL_BYTES


def size(count: float) -> str:
    """Bytes for a person: "1.2 GB", "340 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 50e6 else f"{count / 1e6:.1f} MB"
