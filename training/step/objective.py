"""What a step needs of whatever is taught: draws that a seed and a step decide, and their loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
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


Further = dict[str, Tensor | Sequence[Tensor]]  # an argument of the UNet -> (b, ...), or one such tensor a block


class Question(NamedTuple):
    """What a step asks the UNet, and what the answer costs. Each tensor has the batch as its first dimension."""

    latents: Tensor  # (b, C, h, w)
    timestep: Tensor  # (b,)
    text: Tensor  # (b, tokens, width)
    further: Further
    losses: Callable[[Tensor], Losses]  # of the UNet's answer, (b, C, h, w)

    def put_to(self, unet: nn.Module) -> Tensor:
        """The answer, (b, C, h, w)."""
        return unet(self.latents, self.timestep, self.text, **self.further, return_dict=False)[0]


def joined(questions: Sequence[Question]) -> Question:
    """Several questions as one, their rows one after the other; its losses are theirs, of equal shares of the rows."""
    latents, timestep, text = (torch.cat(t) for t in list(zip(*questions, strict=True))[:3])
    further = {name: _joined([question.further[name] for question in questions]) for name in questions[0].further}

    def losses(answer: Tensor) -> Losses:
        shares = answer.chunk(len(questions))
        each = [question.losses(share) for question, share in zip(questions, shares, strict=True)]
        totals, parts = (torch.stack(values) for values in zip(*each, strict=True))
        return Losses(totals, parts)

    return Question(latents, timestep, text, further, losses)


def _joined(values: Sequence[Tensor] | Sequence[Sequence[Tensor]]) -> Tensor | list[Tensor]:
    if isinstance(values[0], Tensor):
        return torch.cat(values)
    return [torch.cat(block) for block in zip(*values, strict=True)]


class Objective(Protocol):
    """The loss of one run on one base model. Its data lies ready on the UNet's device.

    trained: what learns together with the adapter and is saved beside it, None where nothing does. rate: its learning
    rate, 0.0 for nothing. beside: what a step holds for it beside base model and adapter. asks: whether it has a
    `question`, so that several runs can be answered in one pass of the UNet.
    """

    trained: nn.Module | None
    rate: float
    beside: Beside
    asks: bool

    def draw(self, step: int, n: int) -> tuple[Draws, Draws | None]:
        """The draws of a step (from 0), of n examples, and of n more of a second kind where one takes part."""

    def loss(self, first: Draws, second: Draws | None, n: int) -> Losses:
        """The share of these draws in the loss of a step with n examples of each kind."""

    def question(self, first: Draws, second: Draws | None, n: int) -> Question:
        """The same before the UNet has answered; only where it `asks`."""


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
