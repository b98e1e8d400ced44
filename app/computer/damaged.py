"""Run folders that cannot be opened: what is wrong with one, and what of it is still of use. It changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters import records
from app.adapters.exporting import MADE, finished_files, read_record
from evaluation import scorebook
from training import jsonfile
from training.errors import BadInput, StudioError, from_os_error
from training.runs.run import Run
from training.runspec import tidy_name

NEEDLESS = ("name.txt", "scores.json", "adapter/export.json", "adapter/made.json", "events.jsonl", "log.txt")
SHOWN_BYTES = 2000
LINKED = "its folder is a link, which is not followed"
LOST_HISTORY = "Its history (events.jsonl) is missing: curves and times are gone, the rest is as it was."


@dataclass(frozen=True)
class Fault:
    """A file that a run can do without and that cannot be read. file: its place in the run's folder. words: what is
    wrong and what to do, naming it.
    """

    file: str
    words: str


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


def partly(run: Run) -> list[Fault]:
    """The files of a run that can be opened which cannot be read themselves: the rest goes on without them."""
    return [found for file in NEEDLESS if (found := fault(run, file))]


def fault(run: Run, file: str) -> Fault | None:
    """What is wrong with one of them; None where it can be read, or is not there."""
    error = _error(_readers(run)[file])
    if error is None:
        return None
    told = str(error).replace(f"{run.path}/", "")
    return Fault(file, told if Path(file).name in told else f"{file}: {told}")


def content(run: Run, file: str) -> str:
    """The first bytes of a file of NEEDLESS, as text with everything else escaped. Raises BadInput for other files."""
    if file not in NEEDLESS:
        raise BadInput(f"{file[:80]!r} is no file that can be shown here.", "", "file")
    if _is_elsewhere(run, file):
        return f"({LINKED})"
    try:
        with jsonfile.open_regular(run.path / file) as opened:
            data = opened.read(SHOWN_BYTES)
    except OSError as error:
        return f"({error.strerror or error})"
    return data.decode("utf-8", "backslashreplace")


def put_aside(run: Run, file: str) -> None:
    """Give a file of NEEDLESS another name, so that the run is as if it had none; nothing is lost.

    Raises BadInput for another file, or one that can be read; and as `from_os_error`.
    """
    if file not in [fault.file for fault in partly(run)]:
        raise BadInput(f"{file[:80]!r} can be read, or is no file that can be put aside here.", "", "file")
    if _is_elsewhere(run, file):
        raise BadInput(f"{run.path / file} cannot be put aside: {LINKED}.", "Put the folder itself there.", "file")
    try:
        jsonfile.put_aside(run.path / file)
    except OSError as error:
        raise from_os_error(error, run.path / file) from error


def _is_elsewhere(run: Run, file: str) -> bool:
    """Whether a folder between the run's and the file is a link."""
    return (run.path / file).parent != run.path and (run.path / file).parent.is_symlink()


def _readers(run: Run) -> dict[str, Callable[[], Any]]:
    adapter = run.path / "adapter"
    return {
        "name.txt": run.renamed_to,
        "scores.json": lambda: scorebook.read(run),
        "adapter/export.json": lambda: read_record(run),
        "adapter/made.json": lambda: records.read_made(adapter / MADE),
        "events.jsonl": lambda: _regular(run.path / "events.jsonl"),
        "log.txt": lambda: _regular(run.path / "log.txt"),
    }


def _regular(path: Path) -> None:
    """Raises BadInput where something lies at `path` that is no file to be read."""
    try:
        jsonfile.open_regular(path).close()
    except OSError as error:
        if os.path.exists(path):
            what = "a folder" if isinstance(error, IsADirectoryError) else error.strerror
            raise BadInput(f"{path} cannot be read: {what}.", "Move it away.") from error


def name(run: Run) -> str:
    """What to call a run, whatever of it can be read."""
    for read in (run.renamed_to, lambda: run.spec.name, lambda: _name_of_a_newer_version(run)):
        with contextlib.suppress(StudioError):
            if found := read():
                return found
    return run.id


def _name_of_a_newer_version(run: Run) -> str:
    return tidy_name(str(jsonfile.read(run.path / "spec.json").get("name", "")))


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
