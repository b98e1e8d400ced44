"""A comparison's folder: its name, and which runs its columns are.

comparisons/<id>/comparison.json

What is known of the columns is in their run folders; a run that was deleted leaves a gap.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.comparisons import plan
from app.ownfolders import is_own
from training import atomic, jsonfile
from training.errors import BadInput, StudioError, from_os_error
from training.jsonfile import Count, Moment
from training.runs import rundir
from training.runs.run import Run
from training.runs.states import RunState
from training.runspec import LONGEST_NAME, tidy_name

FOLDER, FILE = "comparisons", "comparison.json"
DELETE = "Delete it; its runs stay, each by itself."
AT_WORK = ("running", "starting")


class RunColumn(plan.Column):
    """A column and the run that it is."""

    run: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,120}$")]


class Document(BaseModel):
    """What comparison.json holds. saves: the steps at which every column saves."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    created: Moment
    saves: tuple[Count, ...] = Field(min_length=1, max_length=200)
    columns: tuple[RunColumn, ...] = Field(min_length=1, max_length=plan.MOST)


class Comparison:
    """One comparison, by its folder: every call reads what is on disk."""

    def __init__(self, path: Path):
        self.path = Path(path)

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def data(self) -> Path:
        """The data folder that it lies in."""
        return self.path.parents[1]

    def read(self) -> Document:
        """What it is. Raises BadInput where comparison.json is missing or damaged."""
        return jsonfile.load(self.path / FILE, Document, DELETE)

    def runs(self) -> list[Run | None]:
        """The run of each column, None for one that is gone; it may be damaged."""
        return [_run(self.data, column.run) for column in self.read().columns]

    def states(self) -> list[RunState | None]:
        """Where the run of each column stands, None for one that is gone or damaged."""
        return [run and _state(run) for run in self.runs()]

    def rename(self, name: str) -> None:
        """Call it something else. Raises BadInput for no name or a long one, and as `read`."""
        self._write(self.read().model_copy(update={"name": tidy_name(name)}))

    def delete(self) -> None:
        """Remove it; its runs stay. Raises as `from_os_error`."""
        try:
            atomic.remove_folder(self.path)
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def _write(self, document: Document) -> None:
        try:
            atomic.write_text(self.path / FILE, document.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise from_os_error(error, self.path / FILE) from error


def make(data: Path, name: str, saves: Sequence[int], columns: Sequence[tuple[plan.Column, Run]]) -> Comparison:
    """A new comparison of runs that are there; it appears whole or not at all. Raises as `from_os_error`."""
    named = tuple(RunColumn(run=run.id, **column.model_dump()) for column, run in columns)
    document = Document(name=tidy_name(name), created=time.time(), saves=tuple(saves), columns=named)
    path = Path(data) / FOLDER / rundir.new_id(name)
    try:
        with atomic.new_folder(path) as folder:
            (folder / FILE).write_text(document.model_dump_json(indent=2) + "\n", "utf-8")
    except OSError as error:
        raise from_os_error(error, path) from error
    return Comparison(path)


def by_id(data: Path, comparison_id: str) -> Comparison:
    """The comparison of that id, damaged or not; never another folder, whatever the id says. Raises BadInput."""
    path = Path(data) / FOLDER / comparison_id
    if path.name != comparison_id or comparison_id.startswith(".") or not _holds(path):
        words = f"There is no comparison {comparison_id!r}."
        raise BadInput(words, "Choose another one; it may have been deleted.", "comparison")
    return Comparison(path)


def every(data: Path) -> list[Comparison]:
    """All comparisons, newest first, damaged ones among them."""
    try:
        paths = sorted((Path(data) / FOLDER).glob("[!.]*"), reverse=True)
    except OSError:
        return []
    return [Comparison(path) for path in paths if path.name.isprintable() and _holds(path)]


def standing(states: Sequence[RunState | None]) -> str:
    """The state of the whole, one of a run's, of the states of its runs; "damaged" where there is none of them.

    A column whose numbers broke down has come to its end: that is what it was compared for.
    """
    there = [state for state in states if state is not None]
    names = {state.name for state in there if not has_finished(state)}
    if not there:
        return "damaged"
    if names & set(AT_WORK):
        return "stopping" if "stopping" in names else "running"
    return next((name for name in ("stopping", "queued", "interrupted", "stopped", "failed") if name in names), "done")


def has_finished(state: RunState) -> bool:
    """Whether a column has come to its end, be it that its numbers broke down."""
    return state.name == "done" or (state.name == "failed" and state.cause == "nan")


def _run(data: Path, run_id: str) -> Run | None:
    try:
        return rundir.run_by_id(data, run_id)
    except BadInput:
        return None


def _state(run: Run) -> RunState | None:
    try:
        return run.state()
    except StudioError:
        return None


def _holds(path: Path) -> bool:
    try:
        return is_own(path)
    except (OSError, ValueError):  # closed to us, or a name that no folder can have
        return False
