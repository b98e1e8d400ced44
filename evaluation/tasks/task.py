"""A task: what a run teaches, from the data that it takes in to the scores of what it draws.

The job, the form and the studies know a run by these words alone, so nothing else asks which task it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from training.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

    from delora import Adapter
    from evaluation.scorebook import Book
    from training.base.models import BaseModel
    from training.maps.reading import Answers
    from training.runs.run import Run
    from training.spec import RunSpec
    from training.step.objective import Objective, Watch

Count = Callable[[float, int], None]  # (pictures done, pictures in all); it may raise Stopped


@dataclass(frozen=True)
class Given:
    """What a person gave to learn from.

    paths: files and folders. held_out: a folder to judge by, None for none. count: how many are wanted to judge by,
    if that was said. answers: what was said about maps that leave something open. data: the data folder, for models
    that help to take it in.
    """

    paths: Sequence[Path]
    held_out: Path | None = None
    count: int | None = None
    answers: Answers | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Gathered:
    """What a run is made of. spec: with what the data decides in it. data: as `rundir.create` takes it. notes: what is
    worth knowing, in words."""

    spec: RunSpec
    data: Sequence[Path] | Mapping[str, Path]
    notes: list[str]


class Scorer(Protocol):
    """The judges of one run."""

    def update(self) -> object:
        """Score every drawn save that is not scored yet, the base model first, and write scores.json."""


class Task(ABC):
    """What a run teaches.

    Attributes:
        name: the spec's word for it, whose settings are `training.spec.KINDS[name]`.
        judges: what its scorer can be told to judge with, by name.
    """

    name: ClassVar[str]
    judges: ClassVar[tuple[str, ...]]

    @abstractmethod
    def gather(self, given: Given, spec: RunSpec, size_px: int, folder: Path) -> Gathered:
        """What a person gave, looked at and written into `folder` (which is there) as a run reads it.

        size_px: edge of the training pictures. Raises BadInput for what cannot be used, naming the file.
        """

    @abstractmethod
    def check(self, spec: RunSpec, base: BaseModel, data: Path) -> list[str]:
        """Warnings in words about a spec on its base model. Raises BadInput for what cannot be trained."""

    @abstractmethod
    def take_in(self, run: Run, base: BaseModel, data: Path, watch: Watch) -> Objective:
        """A run's data made ready, and what a step's loss on it is."""

    @abstractmethod
    def draw_base(self, run: Run, base: BaseModel, data: Path, progress: Count | None = None) -> None:
        """Draw step 0, what the base model makes without the adapter; what is there already stays."""

    @abstractmethod
    def draw(
        self, run: Run, base: BaseModel, adapter: Adapter, step: int, data: Path, progress: Count | None = None
    ) -> None:
        """Draw what a save is judged by; what is there already stays."""

    @abstractmethod
    def scorer(self, run: Run, embedded: bool, data: Path, *, device: str = "cpu", **judges: str | None) -> Scorer:
        """The judges of a run.

        embedded: whether its base is the embedded model. judges: other ones than the default, by the names in
        `self.judges`. Raises MissingModel and BadInput for one that is not here, or none.
        """

    @abstractmethod
    def sheet(self, run: Run, step: int) -> Image:
        """A contact sheet of a run whose save at `step` is to take."""

    @abstractmethod
    def report(self, run: Run, book: Book | None) -> list[str]:
        """A run's report between its heading and its settings, as HTML. book: None where no scores can be shown."""

    @abstractmethod
    def table(self, scores: dict) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of a run's scores.json: base, each save, and what is real."""

    @abstractmethod
    def save_words(self, save: dict) -> str:
        """What a save, as scores.json has it, scored, in words without a full stop."""

    @abstractmethod
    def use_words(self, run: Run) -> list[str]:
        """How what a finished run learned is used, in sentences."""

    def judged_by(self, judges: Mapping[str, str | None]) -> dict[str, str]:
        """Those of `judges` that were given. Raises BadInput for one that this task has no use for."""
        given = {name: ref for name, ref in judges.items() if ref is not None}
        for name in given:
            if name not in self.judges:
                words = f"--{name} judges other runs than those of the task {self.name}."
                raise BadInput(words, f"Its judges: {', '.join(self.judges)}.", name)
        return given
