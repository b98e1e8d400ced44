"""One step of several runs in one pass of the frozen UNet, each on its own rows of the batch.

Two runs of 1 + 1 pictures: the UNet sees (4, C, h, w), rows 0-1 through the first run's adapter (its picture, its class
picture), rows 2-3 through the second's. The losses are added up, so one backward pass gives every adapter the gradient
of its own loss. All else (draws, clipping, optimizer, rates) is each run's own, as alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

import delora
from training.step import memory
from training.step.objective import joined

if TYPE_CHECKING:
    from training.spec import RunSpec
    from training.step.trainer import Trainer


def why_alone(spec: RunSpec) -> str | None:
    """Why a run of this spec cannot share a pass with others, in words; None where it can."""
    if spec.adapter.method == "full":
        return "full changes every weight, so that nothing is left to share"
    if spec.adapter.dropout:
        return "its dropout would be drawn otherwise than alone"
    return None


def kind(trainer: Trainer) -> tuple | None:
    """What trainers must have in common to share a pass; None for one that cannot share any."""
    if why_alone(trainer.spec) or not trainer.objective.asks:
        return None
    spec = trainer.spec
    return type(trainer.objective), spec.with_prior, spec.resolution, trainer.pictures, trainer.plan


def most_at_once(trainers: Sequence[Trainer]) -> int:
    """How many of them fit the memory in one pass, by the estimate of each; at least 1."""
    estimates = [memory.estimate(t.base, t.spec, t.plan, beside=t.objective.beside) for t in trainers]
    free = memory.available_gb(trainers[0].base.unet.device) - sum(e.optimizer_gb for e in estimates)
    return max(1, int(free / max(e.activations_gb for e in estimates)))


def make_steps(trainers: Sequence[Trainer]) -> list[dict[str, Any] | Exception]:
    """One step of each of these trainers of one `kind`, on one base model: its event, or what ends that run alone.

    Errors of the pass itself, such as too little memory, pass through; nothing has changed then, and the steps can be
    made again, by fewer at once.
    """
    began = time.perf_counter()
    try:
        parts = _gradients(trainers)
    except BaseException:
        for trainer in trainers:
            trainer.optimizer.zero_grad(set_to_none=True)
        raise
    return [_finished(trainer, own, began, len(trainers)) for trainer, own in zip(trainers, parts, strict=True)]


def _gradients(trainers: Sequence[Trainer]) -> list[torch.Tensor]:
    """Sum up each trainer's gradients over the micro-batches of a step; returns the parts of its loss, (1 or 2,)."""
    first, n = trainers[0], trainers[0].pictures
    unet = first.base.unet
    drawn = [trainer.objective.draw(trainer.step, n) for trainer in trainers]
    first.apply_plan()
    unet.train()
    parts = None
    with delora.by_rows(unet, [trainer.adapter for trainer in trainers]):
        for start in range(0, n, first.plan.micro_batch):
            part = slice(start, start + first.plan.micro_batch)
            with first.computing():
                asked = [
                    trainer.objective.question(own[part], other[part] if other else None, n)
                    for trainer, (own, other) in zip(trainers, drawn, strict=True)
                ]
                whole = joined(asked)
                losses = whole.losses(whole.put_to(unet))  # (N,), (N, 1 or 2)
                sum(trainer.scaled(own) for trainer, own in zip(trainers, losses.total, strict=True)).backward()
            parts = losses.parts if parts is None else parts + losses.parts
    return list(parts)


def _finished(trainer: Trainer, parts: torch.Tensor, began: float, count: int) -> dict[str, Any] | Exception:
    try:
        return {**trainer.finish_step(parts, began), "together": count}
    except Exception as error:  # its own alone: the gradients of the others are good
        return error
