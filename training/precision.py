"""Which precision the base model works in on a device. The adapter, its optimizer and the loss are always fp32."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from training.errors import BadInput

if TYPE_CHECKING:
    from accelerate import Accelerator

DTYPES = {"no": "float32", "fp16": "float16", "bf16": "bfloat16"}


def choose(mixed_precision: str, device: torch.device | str) -> str:
    """ "no", "fp16" or "bf16" for what a spec asks for on a device. Raises BadInput for what the device lacks.

    auto is bf16 on GPUs that have it, fp16 on older ones, and full precision elsewhere. On a CPU with AMX (2026,
    16.8 M UNet, batch 8, one core) a step takes 0.35 to 0.40 s in fp32, 0.43 to 0.55 s in plain bf16 autocast (the
    attention's backward pass in bf16 is 2 to 15 times slower than in fp32), and 0.33 to 0.38 s with attention kept in
    fp32: not enough to give up results that are the same on every CPU.
    """
    kind = torch.device(device).type
    if mixed_precision == "auto":
        if kind != "cuda":
            return "no"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if mixed_precision == "fp16" and kind == "cpu":
        raise BadInput("mixed_precision: a CPU cannot train in fp16.", "Choose auto, no or bf16.", "mixed_precision")
    return mixed_precision


def base_dtype(mixed_precision: str, device: torch.device | str) -> str:
    """The dtype to load the frozen base model in, for `models.load_base`: half precision halves a GPU's memory."""
    return DTYPES[choose(mixed_precision, device)] if torch.device(device).type == "cuda" else "float32"


class Fp32Attention(TorchFunctionMode):
    """Within it, attention runs in fp32 under a CPU's bf16 autocast, where its own bf16 backward pass is slow."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention:
            with torch.autocast("cpu", enabled=False):
                return func(*(x.float() for x in args[:3]), *args[3:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def accelerator(mixed_precision: str, device: torch.device) -> Accelerator:
    """accelerate's hold on the device. It keeps its precision for a whole process, so that is forgotten first."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    return Accelerator(mixed_precision=mixed_precision, cpu=device.type == "cpu", device_placement=False)
