"""Which precision the base model works in on a device. The adapter, its optimizer and the loss are always fp32."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
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

    auto is bf16 on GPUs that have it and fp16 on older ones, bf16 on a CPU with AMX, and full precision elsewhere.
    Measured on one core with AMX, the embedded model, batch 8, 40 steps: a step takes 0.39 s where fp32 takes 0.56, a
    forward pass 0.15 where it takes 0.30; the losses differ by 2e-4, the learned displacements have a cosine of 0.9998
    (the worst layer 0.9989) and norms within 2 %, and pictures differ by 0.4 of 255 levels. Without AMX bf16 is slower.
    """
    kind = torch.device(device).type
    if mixed_precision == "auto":
        if kind == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return "bf16" if kind == "cpu" and torch.cpu._is_amx_tile_supported() else "no"
    if mixed_precision == "fp16" and kind == "cpu":
        raise BadInput("mixed_precision: a CPU cannot train in fp16.", "Choose auto, no or bf16.", "mixed_precision")
    return mixed_precision


def base_dtype(mixed_precision: str, device: torch.device | str) -> str:
    """The dtype to load the frozen base model in, for `models.load_base`: half precision halves a GPU's memory."""
    return DTYPES[choose(mixed_precision, device)] if torch.device(device).type == "cuda" else "float32"


@contextlib.contextmanager
def drawing(mixed_precision: str, device: torch.device) -> Iterator[None]:
    """The precision of the UNet's forward passes while pictures are drawn: "no", "fp16" or "bf16"."""
    if mixed_precision == "no":
        yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, DTYPES[mixed_precision])):
        yield


class Fp32Attention(TorchFunctionMode):
    """Within it, attention runs in fp32 under a CPU's bf16 autocast.

    The bf16 kernel's backward pass takes 2 to 15 times as long as the fp32 one, more than bf16 gains elsewhere.
    """

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
