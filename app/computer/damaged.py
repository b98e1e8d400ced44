"""Run folders that cannot be opened: what is wrong with one, and what of it is still of use. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters.exporting import finished_files
from training import jsonfile
from training.errors import StudioError
from training.runs.run import Run

LOST_HISTORY = "Its history (events.jsonl) is missing: curves and times are gone, the rest is as it was."
UNREADABLE_SCORES = "Its scores.json cannot be read."


@dataclass(frozen=True)
class Damaged:
    """A run's folder that cannot be opened.

    faults: what cannot be read, in sentences that name the file, and remedies: what to do, each once. pictures: the
    subject's. saves: steps whose adapter is there. files: names of the exported files.
    """

    run: Run
    name: str
    faults: tuple[str, ...]
    remedies: tuple[str, ...]
    pictures: int
    saves: tuple[int, ...]
    files: tuple[str, ...]

    @property
    def message(self) -> str:
        """What cannot be read, what to do, and where it lies."""
        return " ".join((*self.faults, *self.remedies, f"Folder: {self.run.path}"))

    @property
    def left(self) -> str:
        """What is still of use, in a sentence."""
        steps, more = ", ".join(map(str, self.saves)), "s" if len(self.saves) > 1 else ""
        found = [
            f"{self.pictures} of the subject's pictures" if self.pictures else "",
            f"the adapter{more} of step{more} {steps}" if steps else "",
            f"{len(self.files)} exported file{'s' if len(self.files) > 1 else ''}" if self.files else "",
        ]
        return f"Still there: {', '.join(filter(None, found)) or 'nothing that can be used'}."


def look(run: Run) -> Damaged | None:
    """What is wrong with a run's folder; None for one that can be opened."""
    wrong = [error for error in (_error(lambda: run.spec), _error(run.state)) if error]
    if not wrong:
        return None
    return Damaged(
        run=run,
        name=name(run),
        faults=tuple(error.message.replace(f"{run.path}/", "") for error in wrong),
        remedies=tuple(dict.fromkeys(error.remedy for error in wrong)),
        pictures=len(_listed(run.pictures)),
        saves=tuple(_listed(lambda: [step for step in run.checkpoints() if adapter_file(run, step).is_file()])),
        files=tuple(path.name for path in _listed(lambda: finished_files(run))),
    )


def name(run: Run) -> str:
    """What to call a run, whatever of it can be read."""
    try:
        return run.name
    except StudioError:
        pass
    try:  # a newer version's settings say a name as well
        return str(jsonfile.read(run.path / "spec.json").get("name") or run.id)
    except StudioError:
        return run.id


def adapter_file(run: Run, step: int) -> Path:
    """The adapter of a save: a native file, which is of use without its run."""
    return run.checkpoint(step) / "adapter.safetensors"


def _error(read: Callable[[], Any]) -> StudioError | None:
    try:
        read()
    except StudioError as error:
        return error
    return None


def _listed(read: Callable[[], list]) -> list:
    try:
        return read()
    except OSError:  # closed to us
        return []
