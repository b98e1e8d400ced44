"""Attempts: each process that takes a run up has a number, and only the newest may write (the fence).

`attempts/N` in the run folder is made with O_EXCL, so one number goes to one process, whatever queue or person started
a second one. `training.runs.run.Run` looks at the fence before each checkpoint and each change of state, and raises
Superseded once a newer attempt is there.
"""

from __future__ import annotations

import os
from pathlib import Path

from training.errors import Superseded
from training.runs.run import Run

_held: dict[Path, int] = {}  # the attempts that this process has made


def upcoming(run: Run) -> int:
    """The number of the attempt that would take the run up next; a job's name is made of it."""
    return run.newest_attempt() + 1


def take(run: Run, number: int | None = None) -> Run:
    """Take the run up in this process; returns it behind the fence.

    number: the one its job was submitted with; None is the next free one. Taking up again what this process already
    holds is no new attempt.

    Raises:
        Superseded: the number is used, or a newer one is: this is a second copy of a job. BadInput: another process
            is training the run.
    """
    path = run.path.resolve()
    if path in _held and run.newest_attempt() == _held[path] and number in (None, _held[path]):
        return Run(run.path, _held[path])
    with run.training_lock():  # for a moment: a process that trains the run keeps it, and this call ends here
        held = Run(run.path)
        if number is None:
            held.begin_attempt()
        else:
            _make(held, number)
    _held[path] = held.attempt
    return held


def still_ours(run: Run, number: int) -> bool:
    """Whether no attempt newer than `number` has taken the run up."""
    return run.newest_attempt() <= number


def _make(run: Run, number: int) -> None:
    run.check_places()
    folder = run.path / "attempts"
    folder.mkdir(exist_ok=True)
    if not still_ours(run, number):
        raise Superseded(f"Run {run.id} was taken up by attempt {run.newest_attempt()}; attempt {number} leaves it.")
    try:
        os.close(os.open(folder / str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise Superseded(f"Attempt {number} of run {run.id} was made already; its second copy leaves it.") from None
    run.attempt = number
