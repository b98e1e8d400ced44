"""What the training jobs share: the clock, the learning rate, checkpoints that survive a crash, and the saved folder.

A job is measured in minutes of training, not in steps, so that the same command fits any machine; the learning rate
follows the share of the minutes that are spent. Asking a finished job for more minutes goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

WORK = Path(".pretrain")  # ignored by git: caches, checkpoints
CHECKPOINT_SECONDS = 120
LOG_SECONDS = 30
LONGEST_STEP_SECONDS = 60
EVAL_SECONDS = 180  # at most; a short training is looked at eight times


def parser(description: str, out: Path | None = None) -> argparse.ArgumentParser:
    """The options that every training command has; without `out` the finished model's folder must be named."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--minutes", type=float, required=True, help="minutes of training in all, earlier ones included"
    )
    saved_at = {"default": out} if out else {"required": True}
    options.add_argument("--out", type=Path, **saved_at, help="folder for the finished model")
    options.add_argument("--seed", type=int, default=None, help="random weights and batches (default: the role's own)")
    options.add_argument("--scale", type=float, default=1.0, help="multiplies the width of the model")
    options.add_argument("--batch", type=int, default=None, help="pictures in a step (default: what suits the device)")
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    options.add_argument(
        "--workers", type=int, default=0, help="processes that make batches ahead of the device (for GPUs)"
    )
    options.add_argument("--work", type=Path, default=WORK, help="folder of caches and checkpoints")
    options.add_argument("--fp32", action="store_true", help="no bfloat16, even where the processor is fast at it")
    options.add_argument("--fresh", action="store_true", help="forget an earlier checkpoint of this job")
    return options


def device_for(threads: int) -> torch.device:
    """The GPU where there is one, else the CPU with this many threads."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """What trains, for the records: the GPU's name, or the processor's kind."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"


def batches(data: Dataset, first: int, workers: int):
    """Yields `data[step]` from step `first` on, without end; `workers` processes make them ahead, 0 makes them here.

    A dataset whose batch is a function of (seed, step) gives the same batches whatever the number of workers.
    """
    return DataLoader(
        data,
        batch_size=None,
        sampler=range(first, sys.maxsize),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def autocast(device: torch.device, fp32: bool = False):
    """bfloat16 products on a GPU or on a CPU that has them (AMX or AVX512_BF16), otherwise plain float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    if fp32 or not fast:
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def learning_rate(peak: float, share: float, warmup: float = 0.03) -> float:
    """Linear warm-up over the first `warmup` of the time, then half a cosine to 2 % of `peak`; `share` in 0..1."""
    if share < warmup:
        return peak * (0.02 + 0.98 * share / warmup)
    fall = min((share - warmup) / (1 - warmup), 1.0)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))


def optimizer(model: nn.Module, weight_decay: float, betas: tuple[float, float] = (0.9, 0.98)) -> torch.optim.AdamW:
    """AdamW that decays matrices only: never embeddings (unseen words would fade), norms, biases or scalars."""
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            plain = p.ndim < 2 or id(p) in embeddings or "position_embedding" in name or "cls_token" in name
            (rest if plain else matrices).append(p)
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=1e-6, fused=True)


class Job:
    """The clock and the checkpoint of one training: `for step in job.steps(): ...; job.tick(loss)`.

    Args:
        name: names the checkpoint in `work/checkpoints`.
        start: the weight file that the model goes on from, if any: another start is another job.
        minutes: the training's whole budget, what a resumed checkpoint has already spent included.
        parts: name -> anything with `state_dict` and `load_state_dict`: model, optimizer, moving averages.
    """

    def __init__(
        self, name: str, work: Path, minutes: float, parts: dict, *, start: Path | None = None, fresh: bool = False
    ):
        if start:
            with start.open("rb") as file:
                name += f"-{hashlib.file_digest(file, 'sha256').hexdigest()[:8]}"
        self.name, self.budget, self.parts = name, minutes * 60, parts
        self.path = Path(work) / "checkpoints" / f"{name}.pt"
        self.step, self.seconds = 0, 0.0
        self.log = [{"step": 0, "seconds": 0, "device": device_name(), "continued": bool(start)}]
        self._saved = self._logged = self._evaluated = 0.0
        self._losses: list[torch.Tensor] = []
        if self.path.exists() and not fresh:
            self.load()

    @property
    def share(self) -> float:
        """The spent share of the budget, 0 to 1."""
        return min(self.seconds / self.budget, 1.0) if self.budget else 1.0

    def steps(self):
        """Yields each step's number until the budget is spent; the checkpoint is written on the way and at the end.

        A step's time counts only its own work: the first starts the clock, evaluations call `pause`, and a process that
        was stopped for a while (Ctrl-Z, a paused container) was not training.
        """
        self._last = time.monotonic()
        while self.seconds < self.budget:
            yield self.step
            now = time.monotonic()
            self.seconds += min(now - self._last, LONGEST_STEP_SECONDS)
            self._last, self.step = now, self.step + 1
            if self.seconds - self._saved >= CHECKPOINT_SECONDS:
                self.save()
        self.save()

    def tick(self, loss: torch.Tensor) -> None:
        """Notes a step's loss and prints a line every half minute; between lines nothing waits for the device."""
        self._losses.append(loss.detach())
        if self.seconds - self._logged >= LOG_SECONDS:
            self._logged = self.seconds
            self.report({"loss": round(torch.stack(self._losses).mean().item(), 4)})
            self._losses.clear()

    def due(self) -> bool:
        """Whether it is time to evaluate again."""
        if self.seconds - self._evaluated < min(EVAL_SECONDS, self.budget / 8):
            return False
        self._evaluated = self.seconds
        return True

    def report(self, figures: dict) -> None:
        """Prints figures with step and seconds, and keeps them for the model's `training.json`."""
        self.log.append({"step": self.step, "seconds": round(self.seconds), **figures})
        print(self.name, json.dumps(self.log[-1]), flush=True)

    @contextlib.contextmanager
    def pause(self):
        """The time inside does not count as training."""
        start = time.monotonic()
        yield
        self._last += time.monotonic() - start

    def save(self) -> None:
        """Writes the checkpoint beside the old one, then renames: a crash leaves a whole one."""
        self._saved = self.seconds
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: part.state_dict() for name, part in self.parts.items()}
        new = self.path.with_suffix(".new")
        torch.save({"step": self.step, "seconds": self.seconds, "log": self.log, "parts": state}, new)
        os.replace(new, self.path)

    def load(self) -> None:
        """Restores parts, step and clock from the checkpoint.

        Raises:
            ValueError: the checkpoint is of a model of another size.
        """
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(
                f"{self.path} is the checkpoint of another model ({str(error).splitlines()[0]}). Use --fresh."
            ) from error
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        self._saved = self._logged = self._evaluated = self.seconds
        print(f"{self.name}: going on at step {self.step}, {self.seconds:.0f} s", flush=True)


def save_half(model, folder: Path, prefix: str = "") -> None:
    """Saves a transformers model with float16 tensors under the plain names and `"dtype": "float32"` in its config.

    A plain `from_pretrained` then opens it in float32. `prefix` goes before every key that lacks it: transformers 5
    drops the `text_model.` that other tools expect.
    """
    from safetensors.torch import load_file, save_file

    copy.deepcopy(model).half().save_pretrained(folder)
    weights, settings = Path(folder) / "model.safetensors", Path(folder) / "config.json"
    if prefix:
        named = {k if k.startswith(prefix) else prefix + k: v for k, v in load_file(weights).items()}
        save_file(named, weights, metadata={"format": "pt"})
    settings.write_text(settings.read_text().replace('"float16"', '"float32"'))
    weights.chmod(0o644)
