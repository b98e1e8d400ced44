"""Where memory is short: how much a training needs, how much there is, and what makes it need less, in words.

Plain values and without torch: they stand in state.json, and pages read them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from training.jsonfile import Figure

WHERE = {"cuda": "graphics memory", "cpu": "memory"}


class Need(BaseModel):
    """What a training was expected to hold, and what it could have; in GB (1e9 bytes).

    device: "cuda" or "cpu". needed_gb: by estimate, as the steps were cut. free_gb: for this training, what it holds
    already counted in; measured when it began, and again where memory ran out. total_gb: of the device. micro_batch,
    checkpointing: how the steps were cut. size_px: edge of its pictures.
    fix: settings of a new run that needs less, {} where nothing is left to reduce. fix_gb: the estimate for that, None
    before memory has run out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    needed_gb: Figure
    free_gb: Figure
    total_gb: Figure
    micro_batch: int
    checkpointing: bool
    size_px: int
    fix: dict[str, bool | int] = {}
    fix_gb: Figure | None = None


def figures(need: Need) -> str:
    """How much was needed and how much was there, in a sentence."""
    where, steps = WHERE.get(need.device, "memory"), cut(need.micro_batch, need.checkpointing)
    told = (
        f"By estimate training needs about {need.needed_gb:.1f} GB of {where} with {steps}, and {need.free_gb:.1f} of "
        f"{need.total_gb:.1f} GB were free for it"
    )
    if need.needed_gb <= need.free_gb:
        return f"{told}: other programs took more meanwhile, or the estimate is too low."
    return f"{told}."


def cut(micro_batch: int, checkpointing: bool) -> str:
    """How steps are cut: "1 picture at once and gradient checkpointing"."""
    pictures = "1 picture" if micro_batch == 1 else f"{micro_batch} pictures"
    return f"{pictures} at once{' and gradient checkpointing' if checkpointing else ''}"


def fix(need: Need) -> str:
    """What the run that needs less does otherwise, in a sentence; "" where nothing is left to reduce."""
    about = "" if need.fix_gb is None else f", about {need.fix_gb:.1f} GB"
    if size := need.fix.get("resolution"):
        return f"Try again with smaller pictures: {size} pixels instead of {need.size_px}{about}."
    if batch := need.fix.get("batch_size"):
        return f"Try again with less memory: {cut(batch, True)}{about} and 30 % slower, the same result."
    return ""


def remedy(need: Need | None) -> str:
    """What to do, also where nothing is known of what training needs."""
    if need is None or not need.fix:
        return "Close other programs and resume, or make a new run with a smaller batch, resolution or rank."
    return f"{fix(need)} Or close other programs and resume."
