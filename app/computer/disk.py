"""How much a run will write, and whether the disk has room for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training import room
from training.base.capabilities import Capabilities
from training.spec import RunSpec
from training.step import fitting

FLOAT_BYTES = 4
EXPORTS = 3  # native, kohya and diffusers files
RESUMABLE = 2  # saves that keep AdamW's two moments
SPARE_BYTES = 100e6  # events, log, latents of the class pictures


def needed_bytes(spec: RunSpec, caps: Capabilities) -> float:
    """About what a run of `spec` writes, with its class pictures."""
    numbers = 0
    for path, (inputs, outputs) in fitting.adapted(spec, caps).items():
        if spec.adapter.method == "oft":
            numbers += inputs * inputs // (2 * spec.adapter.blocks)
        elif spec.adapter.method == "full":
            whole = "*" in spec.targets  # with the convolutions, which hold up to twice as much again
            numbers += inputs * outputs * (3 if whole else 1)
        else:
            numbers += (fitting.rank_of(spec, path) or 4) * (inputs + outputs)
    saves = len(spec.saves)
    kept = min(saves, spec.steps // spec.keep_every + RESUMABLE + 1) if spec.keep_every else saves
    copies = 2 if getattr(spec.adapter, "init", "") == "frozen-copy" else 1  # the frozen start is saved as well
    weights = numbers * FLOAT_BYTES * (copies * (kept + EXPORTS) + 2 * RESUMABLE)
    drawn = (saves + 1) * spec.pictures_per_save + (spec.class_pictures if spec.with_prior else 0)
    return weights + room.pictures_bytes(drawn, spec.resolution or caps.size_px) + SPARE_BYTES


def faults(data: Path, spec: RunSpec, caps: Capabilities) -> list[str]:
    """Why the disk of the data folder is too small for a run, if it is."""
    return faults_of_all(data, [spec], caps)


def faults_of_all(data: Path, specs: Sequence[RunSpec], caps: Capabilities) -> list[str]:
    """Why the disk of the data folder is too small for these runs together, if it is."""
    free, needed = room.free_bytes(data), sum(needed_bytes(spec, caps) for spec in specs)
    if needed <= free:
        return []
    who = "this run writes" if len(specs) == 1 else f"these {len(specs)} runs write"
    return [
        f"The disk of {data} has {room.size(free)} left, and {who} about {room.size(needed)}. "
        "Free some space, or save less often."
    ]
