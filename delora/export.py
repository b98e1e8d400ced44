"""Adapter files for other programs: kohya keys (ComfyUI, AUTOMATIC1111, diffusers) and diffusers keys; PEFT folders.

The file holds a plain LoRA, whose readers need to know nothing of ours. The displacement is refactored in float64 (QR
of both factors, then the SVD of the small middle), so that the rounding to the file's dtype is that of a balanced pair:
a frozen-copy displacement cast straight to fp16 would miss 5e-5 to 2e-4. What is no plain LoRA: export_comfyui.py for
every method in ComfyUI, and DoRA with diffusers' keys.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .export_dora import diffusers_dora, sole_dora
from .export_peft import to_peft
from .factorise import Layer, largest_rank, listed, plain_layers
from .files import write_safetensors
from .inject import Adapter

KOHYA_PREFIX = "lora_unet_"
KOHYA_HEADER = {
    "ss_base_model_version": "sd_v1",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
}
__all__ = ["Exported", "to_diffusers", "to_kohya", "to_peft"]


@dataclass(frozen=True)
class Exported:
    """What an export holds."""

    rank: int  # the largest of its layers
    error: float  # ||dW - file's dW||_F / ||dW||_F over all layers: from truncation and the cast to the file's dtype


def to_kohya(
    adapters: Adapter | Sequence[Adapter],
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] | None = None,
    compact: int | None = None,
    prefix: str = KOHYA_PREFIX,
) -> Exported:
    """Writes a LoRA file with kohya keys, for ComfyUI, AUTOMATIC1111 and diffusers.

    Several adapters of one model become one file, each at its present strength. `compact` truncates every layer to
    that rank by SVD: approximate, and the only way for a method whose displacement has full rank; norms and biases,
    which no LoRA can hold, are then left out. `metadata` is added to the header (`ss_*` and `modelspec.*` keys that it
    does not name are filled in).

    Raises ValueError where a displacement has full rank and `compact` is not given.
    """
    layers, error = plain_layers(listed(adapters), dtype, compact)
    tensors, header = kohya(layers, dtype, prefix)
    write_safetensors(tensors, Path(path), header | approximation(compact, error) | dict(metadata or {}))
    return Exported(largest_rank(layers), error)


def to_diffusers(
    adapters: Adapter | Sequence[Adapter],
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] | None = None,
    compact: int | None = None,
    prefix: str = "unet.",
) -> Exported:
    """Writes a LoRA file with diffusers' keys, a DoRA as such; arguments and errors as for `to_kohya`.

    All layers are padded to one rank: without alphas, releases of diffusers differ in how they scale mixed ranks.
    """
    adapters, magnitudes = listed(adapters), {}
    if compact is None and (dora := sole_dora(adapters)):
        layers, magnitudes, error = diffusers_dora(dora, dtype)
    else:
        layers, error = plain_layers(adapters, dtype, compact)
    rank, tensors = largest_rank(layers), {}
    for module, layer in layers.items():
        missing = rank - layer.down.shape[0]
        down, up = F.pad(layer.down, (0, 0, 0, missing)), F.pad(layer.up, (0, missing))
        down, up = Layer(down, up, layer.shape).stored(dtype)
        tensors[f"{prefix}{module}.lora_A.weight"], tensors[f"{prefix}{module}.lora_B.weight"] = down, up
    tensors |= {f"{prefix}{module}.lora_magnitude_vector": m for module, m in magnitudes.items()}
    write_safetensors(tensors, Path(path), {"format": "pt"} | approximation(compact, error) | dict(metadata or {}))
    return Exported(rank, error)


def kohya(layers: Mapping[str, Layer], dtype: torch.dtype, prefix: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header of a LoRA file with kohya keys."""
    rank, tensors = largest_rank(layers), {}
    for module, layer in layers.items():
        # Readers scale a layer by alpha / its own rank. Diffusers mixes up differing alphas, so the file has one, and
        # layers of another rank carry the rest of the scale themselves, half in each factor.
        share = (layer.down.shape[0] / rank) ** 0.5
        key = kohya_key(module, prefix)
        down, up = Layer(layer.down * share, layer.up * share, layer.shape).stored(dtype)
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = down, up
        tensors[f"{key}.alpha"] = torch.tensor(float(rank), dtype=dtype)
    return tensors, {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        **KOHYA_HEADER,
    }


def kohya_key(module: str, prefix: str = KOHYA_PREFIX) -> str:
    """A module path as kohya and ComfyUI spell it."""
    return prefix + module.replace(".", "_")


def approximation(compact: int | None, error: float) -> dict[str, str]:
    """What the header says of a file that is only near the adapter; nothing where it is exact."""
    return {} if compact is None else {"delora.approximate": f"rank {compact} by SVD, {100 * error:.2g} % missing"}
