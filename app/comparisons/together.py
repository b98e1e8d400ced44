"""All runs of a comparison as one: queued, stopped and resumed."""

from __future__ import annotations

from pathlib import Path

from app import control
from app.comparisons.comparison import Comparison, has_finished
from app.work.engines import Engine, Need
from training.errors import StudioError
from training.runs.run import Run


def start(data: Path, comparison: Comparison, need: Need | None = None, engine: Engine | None = None) -> None:
    """Put what is not finished into the queue, column by column; what waits or is at work stays there."""
    for run in unfinished(comparison):
        control.start(data, run, need, engine)


def stop(data: Path, comparison: Comparison, engine: Engine | None = None) -> None:
    """Have the run at work save and stop, and take the others out of the queue: these first, so that none begins."""
    for run in reversed(unfinished(comparison)):
        control.stop(data, run, engine=engine)


def unfinished(comparison: Comparison) -> list[Run]:
    """The runs that have not come to their end, column by column, without those that are gone or damaged."""
    found = []
    for run in comparison.runs():
        try:
            if run and not has_finished(run.state()):
                found.append(run)
        except StudioError:  # told in its column
            continue
    return found
