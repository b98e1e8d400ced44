"""A disk that is full, for tests: a small one of its own where one may be mounted, or one that says so everywhere."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

WHY_NOT = "needs `mount -t tmpfs`, which takes root on Linux"


def can_mount() -> bool:
    """Whether a small disk can be mounted here: root on Linux, and not in a container that forbids it."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


class Disk:
    """A small disk: filled to the last byte, and given room again. Nothing but the filling is removed."""

    def __init__(self, path: Path):
        self.path, self._filling = path, path / ".filling"

    def fill(self) -> None:
        """Leave no room at all."""
        with contextlib.suppress(OSError), self._filling.open("ab", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass

    def empty(self) -> None:
        """Give the room back."""
        self._filling.unlink(missing_ok=True)

    def free(self) -> int:
        """Bytes left."""
        return shutil.disk_usage(self.path).free


@contextlib.contextmanager
def mounted(path: Path, megabytes: int = 8):
    """A small disk, mounted at `path` while inside; see `can_mount`."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def read_only(path: Path):
    """What lies at `path` may not be written while inside, not even by root."""
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


class NoRoomBeside:
    """Every new file finds no room; files that are there keep theirs, as on a disk that is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.patch = monkeypatch

    def __enter__(self):
        def full(*_args, **_more):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch.setattr(tempfile, "mkstemp", full)
        self.patch.setattr(tempfile, "mkdtemp", full)
        self.patch.setattr(shutil, "copyfile", full)
        self.patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
        return self

    def __exit__(self, *_):
        self.patch.undo()
