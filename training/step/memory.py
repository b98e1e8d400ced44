"""How much memory a run needs, told before it starts, and the one step down when there is not enough."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from training.runs import shortage
from training.runs.shortage import Need
from training.step import counting
from training.step.counting import NOTHING, Beside

if TYPE_CHECKING:
    from training.base.capabilities import Capabilities
    from training.base.models import BaseModel
    from training.spec import RunSpec

GB = 1e9
ADAM_BYTES = 12  # of a trained number: its gradient and AdamW's two moments, fp32; itself is counted with the weights
MARGIN = 1.15  # allocator's gaps and the kernels' own buffers, over the activations
RECOMPUTED = 0.15  # of all activations live again while one checkpointed block is computed a second time
MOST_BATCHES = 256  # that RunSpec allows to be summed up
OVERHEAD_GB = {"cuda": 0.6, "cpu": 0.3}  # the device's context, libraries


@dataclass(frozen=True)
class Plan:
    """How a step is cut to fit the memory; it never changes what is learned.

    micro_batch: pictures of the subject at once (as many class pictures come with them).
    checkpointing: activations are computed twice instead of kept.
    """

    micro_batch: int
    checkpointing: bool

    @classmethod
    def of(cls, spec: RunSpec) -> Plan:
        return cls(spec.batch_size, spec.gradient_checkpointing)

    def smaller(self) -> Plan | None:
        """The step down: half the pictures at once, and checkpointing. None where nothing is left to reduce."""
        down = replace(self, micro_batch=(self.micro_batch + 1) // 2, checkpointing=True)
        return None if down == self else down

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """What training is expected to hold at its peak, in GB (1e9 bytes)."""

    weights_gb: float
    optimizer_gb: float
    activations_gb: float
    overhead_gb: float

    @property
    def total_gb(self) -> float:
        return self.weights_gb + self.optimizer_gb + self.activations_gb + self.overhead_gb


def estimate(
    base: BaseModel,
    spec: RunSpec,
    plan: Plan | None = None,
    dtype: torch.dtype | None = None,
    beside: Beside = NOTHING,
) -> Estimate:
    """The memory that a run needs on the base model's device.

    The activations are counted, not guessed: one forward pass of the same UNet without data (torch's meta device) adds
    up what autograd would keep.

    Args:
        plan: None is the spec's own. dtype: of the UNet's work, None is that of its weights.
    """
    plan = plan or Plan.of(spec)
    caps = base.capabilities
    counted = functools.partial(
        counting.counted,
        type(base.unet),
        json.dumps(dict(base.unet.config), default=list),
        spec.adapter.to_config(spec.targets),
        plan.micro_batch * (2 if spec.with_prior else 1),
        (spec.resolution or caps.size_px) // caps.vae_factor,
        caps.max_tokens,
        dtype or base.unet.dtype,
    )
    count = counted(plan.checkpointing)
    kept = count.kept_bytes + (RECOMPUTED * counted(False).kept_bytes if plan.checkpointing else 0)
    kept += plan.micro_batch * beside.kept_bytes
    weights = count.adapter_bytes + _held_bytes(base) + beside.weights_bytes
    trainable = count.trainable + beside.trainable
    overhead = OVERHEAD_GB.get(base.unet.device.type, OVERHEAD_GB["cpu"])
    return Estimate(weights / GB, trainable * ADAM_BYTES / GB, MARGIN * kept / GB, overhead)


def fitting(base: BaseModel, spec: RunSpec, beside: Beside = NOTHING) -> tuple[Plan, str | None]:
    """The plan to start with: the spec's, or one step down where the estimate exceeds what is free.

    Returns the plan and a note for the person, None where the spec's own plan fits.
    """
    plan = Plan.of(spec)
    free = available_gb(base.unet.device) + (_held_bytes(base) + beside.weights_bytes) / GB
    needed = estimate(base, spec, plan, beside=beside).total_gb
    down = plan.smaller()
    if needed <= free or down is None:
        return plan, None
    smaller = estimate(base, spec, down, beside=beside).total_gb
    return down, (
        f"About {needed:.1f} GB are needed and {free:.1f} are free, so training goes on with "
        f"{shortage.cut(**down.to_dict())}: {smaller:.1f} GB, about 30 % slower, the same result."
    )


def need(base: BaseModel, spec: RunSpec, plan: Plan, beside: Beside = NOTHING, *, ran_out: bool = False) -> Need:
    """What training by `plan` needs and has, for state.json. ran_out: also estimate what the fix would need.

    To be called where activations are not held: what the process holds of them would not count as free.
    """
    device, caps = base.unet.device, base.capabilities
    fix, fixed = _fix(spec, plan, caps)
    return Need(
        device=device.type,
        needed_gb=estimate(base, spec, plan, beside=beside).total_gb,
        free_gb=available_gb(device) + (_held_bytes(base) + beside.weights_bytes) / GB,
        total_gb=total_gb(device),
        micro_batch=plan.micro_batch,
        checkpointing=plan.checkpointing,
        size_px=spec.resolution or caps.size_px,
        fix=fix,
        fix_gb=estimate(base, *fixed, beside=beside).total_gb if fix and ran_out else None,
    )


def _fix(spec: RunSpec, plan: Plan, caps: Capabilities) -> tuple[dict[str, Any], tuple[RunSpec, Plan]]:
    """Settings of a new run that needs less than `plan`, {} where nothing is left; and its spec and plan."""
    if down := plan.smaller():
        whole = -(-spec.batch_size * spec.gradient_accumulation // down.micro_batch)  # as many pictures a step
        fewer = {"batch_size": down.micro_batch, "gradient_accumulation": min(whole, MOST_BATCHES)}
        return {**fewer, "gradient_checkpointing": True}, (spec, down)
    size = (spec.resolution or caps.size_px) * 3 // 4 // caps.size_multiple * caps.size_multiple
    if 2 * size < caps.size_px:  # below half of what the base model was trained on it draws badly
        return {}, (spec, plan)
    return {"resolution": size}, (spec.model_copy(update={"resolution": size}), plan)


def available_gb(device: torch.device | str) -> float:
    """Memory that can still be taken on the device."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)) / GB
    import psutil

    return min(psutil.virtual_memory().available / GB, _container_gb())


def total_gb(device: torch.device) -> float:
    """The device's memory, or the part of it that a container may take."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1] / GB
    import psutil

    return min(psutil.virtual_memory().total / GB, _limit_gb())


def used_mb(device: torch.device) -> float:
    """What training holds now: allocated on a GPU (the peak so far), resident elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "out of memory" in str(error))


def release(device: torch.device) -> None:
    """Give back what is no longer used."""
    import gc

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _held_bytes(base: BaseModel) -> int:
    """The base model's weights, which the process holds already."""
    own = [p for module in (base.unet, base.vae, base.text_encoder) for p in module.parameters()]
    return sum(p.numel() * p.element_size() for p in own if not p.requires_grad)


def _container_gb() -> float:
    """What a container's limit leaves, infinite outside one."""
    try:
        return _limit_gb() - int(Path("/sys/fs/cgroup/memory.current").read_text()) / GB
    except (OSError, ValueError):
        return float("inf")


def _limit_gb() -> float:
    """A container's limit, infinite outside one."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text()) / GB
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return float("inf")
