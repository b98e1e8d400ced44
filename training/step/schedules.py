"""How the learning rates go over a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.spec import RunSpec


def lr_factor(spec: RunSpec, step: int) -> float:
    """What the learning rates are multiplied with in step number `step` (from 0)."""
    if step < spec.warmup_steps:
        return (step + 1) / spec.warmup_steps
    done = (step - spec.warmup_steps) / max(spec.steps - spec.warmup_steps, 1)
    schedules = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return schedules[spec.lr_schedule]
