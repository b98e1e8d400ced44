"""A task: what a run teaches, from the data that it takes in to the scores of what it draws.

The job, the form and the studies know a run by these words alone, so nothing else asks which task it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from delora import Adapter
    from training.base.models import BaseModel
    from training.runs.run import Run
    from training.spec import RunSpec
    from training.step.objective import Objective, Watch

Count = Callable[[float, int], None]  # (pictures done, pictures in all); it may raise Stopped


class Scorer(Protocol):
    """The judges of one run."""

    def update(self) -> object:
        """Score every drawn save that is not scored yet, the base model first, and write scores.json."""


class Task(ABC):
    """What a run teaches.

    Attributes:
        name: the spec's word for it, whose settings are `training.spec.KINDS[name]`.
    """

    name: ClassVar[str]

    @abstractmethod
    def check(self, spec: RunSpec, base: BaseModel) -> list[str]:
        """Warnings in words about a spec on its base model. Raises BadInput for what cannot be trained."""

    @abstractmethod
    def take_in(self, run: Run, base: BaseModel, data: Path, watch: Watch) -> Objective:
        """A run's data made ready, and what a step's loss on it is."""

    @abstractmethod
    def draw_base(self, run: Run, base: BaseModel, data: Path, progress: Count | None = None) -> None:
        """Draw step 0, what the base model makes without the adapter; what is there already stays."""

    @abstractmethod
    def draw(self, run: Run, base: BaseModel, adapter: Adapter, step: int, progress: Count | None = None) -> None:
        """Draw what a save is judged by; what is there already stays."""

    @abstractmethod
    def scorer(
        self, run: Run, embedded: bool, data: Path, *, dino: str | None = None, clip: str | None = None, device="cpu"
    ) -> Scorer:
        """The judges of a run. Arguments and errors as `evaluation.runscores.RunScorer`."""
