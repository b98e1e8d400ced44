"""Checkpoints: all that a run needs to go on bit for bit, in safetensors and JSON.

    checkpoints/step-000200/
      adapter.safetensors   the native adapter file (delora.files), usable on its own
      trained.safetensors   what learned together with the adapter, where the objective has such
      trainer.safetensors   AdamW's moments; only in the newest saves, see `prune`
      checkpoint.json       step, versions, threads, device, precision, the plan in use

No generator's state is in it: every draw comes from (seed, step), see training.step.draws.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

import delora
from delora.files import write_safetensors
from training import atomic, jsonfile, room
from training.errors import BadInput, RunFailed, from_os_error
from training.jsonfile import Count, Figure
from training.runs.scorefile import ScoreFile

if TYPE_CHECKING:
    from pathlib import Path

    from delora import Adapter
    from training.base.models import BaseModel as Base
    from training.runs.run import Run


class _Plan(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    micro_batch: int = Field(ge=1)
    checkpointing: bool


class _Document(BaseModel):
    """What is read of checkpoint.json. Strict: the plain values are as good as the checked ones."""

    model_config = ConfigDict(strict=True)

    step: Count
    run: str
    versions: dict[str, str]
    threads: Count
    plan: _Plan
    seconds: Figure = 0.0
    scaler: dict[str, Any] | None = None


RESUMABLE = 2  # saves that keep the optimizer: the newest, and one before it should that one be damaged
TRAINED = "trained.safetensors"
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}  # what AdamW keeps of each parameter
PACKAGES = ("torch", "diffusers", "accelerate")


def save(
    run: Run,
    step: int,
    adapter: Adapter,
    optimizer: torch.optim.Optimizer,
    base: Base,
    info: dict,
    trained: torch.nn.Module | None = None,
) -> Path:
    """Write the checkpoint of `step`; it appears whole or not at all.

    Args:
        trained: what learned together with the adapter, if anything did.
        info: what else belongs in checkpoint.json (plan, precision, scaler ...).

    Raises:
        DiskFull: there is no room for it. RunFailed: numbers in the adapter that are not finite.
    """
    run.check_fence()
    spec = run.spec
    path = run.checkpoint(step)
    beside = [] if trained is None else list(trained.state_dict().values())
    room.check(
        run.path, size_bytes(adapter, optimizer, beside), f"the save at step {step}", "Free some space, then resume."
    )
    metadata = {
        "run": run.id,
        "step": str(step),
        "base": spec.base,
        "base_fingerprint": base.fingerprint,
        **spec.facts,
        "spec": spec.model_dump_json(),
    }
    document = {
        "step": step,
        "run": run.id,
        "versions": {name: version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
        "device": str(base.unet.device),
        **info,
    }
    try:
        with atomic.new_folder(path) as folder:
            delora.save(adapter, folder / "adapter.safetensors", metadata)
            if trained is not None:
                state = {name: value.detach().cpu().contiguous() for name, value in trained.state_dict().items()}
                write_safetensors(state, folder / TRAINED, {})
            _save_optimizer(optimizer, folder / "trainer.safetensors")
            (folder / "checkpoint.json").write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except ValueError as error:
        raise RunFailed(str(error), "Take an earlier save.") from error
    except OSError as error:
        raise from_os_error(error, path) from error
    return path


def size_bytes(adapter: Adapter, optimizer: torch.optim.Optimizer, beside: Sequence[torch.Tensor] = ()) -> int:
    """About what a save takes: the adapter's numbers, AdamW's moments of those it trains, and what lies `beside`."""
    moments = [value for values in optimizer.state.values() for value in values.values()]
    tensors = [*adapter.state_dict().values(), *moments, *beside]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def read(path: Path) -> dict[str, Any]:
    """checkpoint.json. Raises BadInput where the checkpoint is missing or damaged."""
    file, remedy = path / "checkpoint.json", "Resume from an earlier one."
    try:
        values = jsonfile.read(file, remedy)
        jsonfile.check(file, values, _Document, remedy)
    except BadInput as error:
        raise BadInput(f"{path} is not a whole checkpoint: {error.message}", remedy) from error
    return values


def attach(base: Base, path: Path, name: str = "default", check_base: bool = True) -> Adapter:
    """The adapter of a checkpoint, attached to the base model; without `check_base` also to a finetune of its own.

    Raises BadInput where it is damaged or does not fit.
    """
    try:
        return delora.load(base.unet, _own(path / "adapter.safetensors"), name=name, check_base=check_base)
    except ValueError as error:
        raise BadInput(str(error), "Take another save, or the base model it was trained on.") from error


def load_trained(path: Path, module: torch.nn.Module) -> None:
    """Put back what learned together with the adapter. Raises BadInput, with nothing changed, where it does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = _own(path / TRAINED)
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{file} is missing or damaged.", "Take another save.") from error
    wanted = {name: value.shape for name, value in module.state_dict().items()}
    if {name: value.shape for name, value in tensors.items()} != wanted:
        raise BadInput(f"{file} belongs to another base model.", "Take a save of this run.")
    module.load_state_dict(tensors)


def resumable(run: Run) -> list[int]:
    """The saved steps that training can go on from, newest first."""
    return [step for step in reversed(run.checkpoints()) if (run.checkpoint(step) / "trainer.safetensors").is_file()]


def threads_before(run: Run) -> int | None:
    """The threads that a resumed run began with, if this computer has as many: sums stay the same to the bit."""
    with contextlib.suppress(BadInput):
        for step in resumable(run):
            before = read(run.checkpoint(step))["threads"]
            return before if before <= (os.cpu_count() or 1) else None
    return None


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Put AdamW's moments back. Raises BadInput where the file is damaged or of another adapter."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = _own(path / "trainer.safetensors")
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for key, tensor in load_file(file).items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = tensor
        shapes = {i: moment["exp_avg"].shape for i, moment in moments.items() if moment.keys() == MOMENTS}
    except (OSError, SafetensorError, ValueError) as error:
        raise BadInput(f"{file} is damaged.", "Resume from an earlier save.") from error
    parameters = _parameters(optimizer)
    if any(shapes.get(i) != parameters[i].shape for i in moments if i < len(parameters)):
        raise BadInput(f"{file} belongs to another adapter, or is damaged.", "Resume the run that made it.")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def prune(run: Run) -> list[int]:
    """Remove old saves by the rule and return their steps.

    The newest two, the recommended one (or the one to take instead, where none is), the last good one of a run that has
    collapsed, and every multiple of `keep_every` stay (all of them where it is empty). Only the newest two keep the
    optimizer's moments, two thirds of a save's size: the others can be used, drawn and exported, not resumed.
    """
    spec, steps = run.spec, run.checkpoints()
    try:
        advice = ScoreFile.of(run.scores()).advice
    except BadInput:  # nobody knows which save is the best one until it is scored again: none goes
        return []
    wanted = {advice.step or advice.instead, advice.last_good}
    gone = []
    for step in steps[:-RESUMABLE]:
        if step not in wanted and spec.keep_every and step % spec.keep_every:
            atomic.remove_folder(run.checkpoint(step))
            gone.append(step)
        else:
            (run.checkpoint(step) / "trainer.safetensors").unlink(missing_ok=True)
    return gone


def _own(file: Path) -> Path:
    """The same file. Raises BadInput for a link, which may lead out of the save."""
    if file.is_symlink():
        raise BadInput(f"{file} is a link, which is not followed.", "Put the file itself there.")
    return file


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    tensors = {}
    for i, parameter in enumerate(_parameters(optimizer)):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{i:05d}.{key}"] = value.detach().cpu().contiguous()
    write_safetensors(tensors, path, {})


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
