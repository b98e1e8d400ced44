"""The folders in the data folder that the app itself empties: they must be its own, and no way to somebody else's."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from app.terminal import plain
from training import jsonfile

log = logging.getLogger("delora.app")


def is_own(folder: Path) -> bool:
    """Whether it is a folder that lies in its place itself, and not a link to one."""
    return folder.is_dir() and not folder.is_symlink()


def clear_the_way(folder: Path) -> None:
    """Give a link or a file at the place of a folder another name, and say so. Raises OSError where that cannot be.

    What is made and removed in the folder later would otherwise be made and removed where the link leads.
    """
    if os.path.lexists(folder) and not is_own(folder) and (aside := jsonfile.put_aside(folder)):
        words = "%s was a link or a file where a folder of the app belongs. It is now %s."
        log.warning(words, plain(folder), plain(aside))
