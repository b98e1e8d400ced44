"""Deleting a run, from the command line and from the pages."""

from __future__ import annotations

import os
from pathlib import Path

from app.work import outcome
from training import atomic
from training.errors import BadInput, from_os_error
from training.runs.run import Run


def check(data: Path, run: Run) -> None:
    """Raises BadInput for a run that is at work, or whose folder is not in the data folder."""
    try:
        state = outcome.seen(run)
    except BadInput:  # damaged: only the lock says whether a process is training it
        if os.path.exists(run.path / ".training.lock"):  # False also where the folder is closed to us
            with run.training_lock():
                pass
    else:
        if not state.ended and state.name != "queued":
            raise BadInput(f"Run {run.id} is {state.name}.", "Stop it first.", field="run")
    if run.path.resolve().parent != (Path(data) / "runs").resolve():
        raise BadInput(
            f"{run.path} does not lie in {Path(data) / 'runs'}.", "Delete that folder yourself.", field="run"
        )


def remove_run(data: Path, run: Run) -> None:
    """Delete a run with its pictures, saves and exports. Raises BadInput as `check`, and as `from_os_error`."""
    check(data, run)
    try:
        atomic.remove_folder(run.path)
    except OSError as error:
        raise from_os_error(error, run.path) from error
