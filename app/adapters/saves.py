"""Models ready to draw: the base on the best device, and one save of a run attached to it."""

from pathlib import Path

from evaluation.scorebook import is_current
from training.errors import BadInput
from training.runs.run import Run
from training.runs.scorefile import ScoreFile


def best_step(run: Run) -> int:
    """The save to take; see `best_save`. Raises BadInput where nothing is saved yet."""
    return best_save(run)[0]


def best_save(run: Run) -> tuple[int, str]:
    """The save to take and why: the recommended one, else the one that lacks least, else the newest.

    Raises BadInput where nothing is saved yet.
    """
    saved = run.checkpoints()
    if not saved:
        raise BadInput(f"Run {run.id} has no save yet.", "Wait for the first one, or train it further.", field="run")
    try:
        scores = run.scores()
        advice = ScoreFile.of(scores).advice
    except BadInput:
        return saved[-1], "newest; its scores cannot be read"
    older = "" if is_current(scores or {}) else " by older judges"
    for step, why in ((advice.step, f"recommended{older}"), (advice.instead, advice.because or "lacks least")):
        if step in saved:
            return step, why
    return saved[-1], "newest"


def check_step(run: Run, step: int) -> None:
    """Raises BadInput for a step that was not saved."""
    saved = run.checkpoints()
    if step not in saved:
        there = ", ".join(map(str, saved)) or "none"
        raise BadInput(f"Run {run.id} has no save at step {step}.", f"Its saves: {there}.", field="step")


def device() -> str:
    """`cuda` where there is a GPU that torch can use, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_base(ref: str, data: Path, mixed_precision: str = "auto"):
    """The base model on the best device, in the precision that `mixed_precision` means there."""
    from training.base import guard

    guard.prepare()
    from training.base import models, precision

    where = device()
    return models.load_base(ref, data=data, device=where, dtype=precision.base_dtype(mixed_precision, where))


def open_save(run: Run, base, step: int, name: str = "default", check_base: bool = True):
    """The adapter of a save, attached to `base` under `name`; without `check_base` also to a finetune of its own base.

    Raises BadInput for a step that was not saved, or where it does not fit.
    """
    check_step(run, step)
    from training.runs import checkpoint

    return checkpoint.attach(base, run.checkpoint(step), name, check_base).to(base.unet.device)
