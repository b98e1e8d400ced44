"""A folder whose state.json says where something stands: a run, or an order for the drawing process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from training import atomic
from training.errors import BadInput, DiskFull, from_os_error


class StateFolder:
    """What the two have in common: one writer at a time, the heartbeat, and the request to stop (a file of that name).

    A subclass has `set_state`, with its own moves.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    def beat(self, **changes: Any) -> Any:
        """Say that the process at work is alive, with any progress; returns the state after it.

        Nothing depends on it, so a full disk is no error here: what has to be written will say so.
        """
        try:
            return self.set_state(heartbeat=time.time(), **changes)
        except DiskFull:
            return self.state()

    def request_stop(self) -> None:
        """Ask it to stop; it does so between two steps. Raises as `from_os_error`."""
        try:
            os.close(os.open(self.path / "stop", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            pass
        except OSError as error:
            raise from_os_error(error, self.path / "stop") from error

    def stop_requested(self) -> bool:
        """Whether somebody asked it to stop."""
        return os.path.lexists(self.path / "stop")

    def clear_stop(self) -> None:
        """Forget a request to stop."""
        (self.path / "stop").unlink(missing_ok=True)

    def check_places(self) -> None:
        """Raises BadInput where a folder in it is a link: what is written there would lie somewhere else."""
        try:
            links = [path for path in self.path.iterdir() if path.is_symlink() and path.is_dir()]
        except OSError:  # gone, or closed to us: who opens a file in it says so
            return
        for path in links:
            raise BadInput(f"{path} is a link, which is not followed.", "Put the folder itself there.")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold state.json for a read and a write. Raises as `from_os_error`."""
        lock = self.path / ".state.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(atomic.locked(lock))
            except OSError as error:
                raise from_os_error(error, lock) from error
            yield

    def write_state(self, state: BaseModel) -> None:
        """Write state.json, by who holds it, on a full disk too where that can be. Raises as `from_os_error`."""
        path = self.path / "state.json"
        try:
            atomic.rewrite_text(path, state.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise from_os_error(error, path) from error
