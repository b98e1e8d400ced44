"""What a step needs of whatever is taught: draws that a seed and a step decide, and their loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor, nn

from training.step.counting import Beside
from training.step.draws import Draws

if TYPE_CHECKING:
    from training.base.models import BaseModel
    from training.runs.run import Run


class Losses(NamedTuple):
    """One micro-batch's share of a step's loss. `total` carries the gradient; the parts, (2,), are for the log."""

    total: Tensor
    parts: Tensor  # instance, prior


class Objective(Protocol):
    """The loss of one run on one base model. Its data lies ready on the UNet's device.

    trained: what learns together with the adapter and is saved beside it, None where nothing does. rate: its learning
    rate, 0.0 for nothing. beside: what a step holds for it beside base model and adapter.
    """

    trained: nn.Module | None
    rate: float
    beside: Beside

    def draw(self, step: int, n: int) -> tuple[Draws, Draws | None]:
        """The draws of a step (from 0), of n examples, and of n more of a second kind where one takes part."""

    def loss(self, first: Draws, second: Draws | None, n: int) -> Losses:
        """The share of these draws in the loss of a step with n examples of each kind."""


class Watch(Protocol):
    """Who looks on while data is taken in."""

    def enter(self, phase: str) -> None:
        """A phase begins: "prepare", "class pictures"."""

    def count(self, done: int, wanted: int) -> None:
        """How far the phase is."""

    def stop_requested(self) -> bool:
        """Whether to leave off, with Stopped."""


# Makes the objective of a run from its folder, its base model and the data folder, and keeps there what takes long.
TakeIn = Callable[["Run", "BaseModel", Path, Watch], Objective]
