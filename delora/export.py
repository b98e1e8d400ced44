"""Adapter files for other programs: kohya keys (ComfyUI, AUTOMATIC1111, diffusers) and diffusers keys; PEFT folders.

Whatever the method, the file holds a plain LoRA, whose readers need to know nothing of ours. The displacement is
refactored in float64 (QR of both factors, then the SVD of the small middle), so that the rounding to the file's dtype
is that of a balanced pair: a frozen-copy displacement cast straight to fp16 would miss 5e-5 to 2e-4.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .export_peft import to_peft
from .factorise import any_factors, balanced, exact_factors, joined, squared_norm
from .files import write_safetensors
from .inject import Adapter
from .products import Factors

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
    prefix: str = "lora_unet_",
) -> Exported:
    """Writes a LoRA file with kohya keys, for ComfyUI, AUTOMATIC1111 and diffusers.

    Several adapters of one model become one file, each at its present strength. `compact` truncates every layer to
    that rank by SVD: approximate, and the only way for a method whose displacement has full rank. `metadata` is added
    to the header (`ss_*` and `modelspec.*` keys that it does not name are filled in).

    Raises ValueError where a displacement has full rank and `compact` is not given.
    """
    layers, error = _layers(adapters, dtype, compact)
    rank = max(f.down.shape[0] for f in layers.values())
    tensors = {}
    for module, (down, up) in layers.items():
        # Readers scale a layer by alpha / its own rank. Diffusers mixes up differing alphas, so the file has one, and
        # layers of another rank carry the rest of the scale themselves, half in each factor.
        share = (down.shape[0] / rank) ** 0.5
        key = prefix + module.replace(".", "_")
        tensors[f"{key}.lora_down.weight"] = (down * share).to(dtype)
        tensors[f"{key}.lora_up.weight"] = (up * share).to(dtype)
        tensors[f"{key}.alpha"] = torch.tensor(float(rank), dtype=dtype)
    header = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_base_model_version": "sd_v1",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
    }
    write_safetensors(tensors, Path(path), {**header, **(metadata or {})})
    return Exported(rank, error)


def to_diffusers(
    adapters: Adapter | Sequence[Adapter],
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] | None = None,
    compact: int | None = None,
    prefix: str = "unet.",
) -> Exported:
    """Writes a LoRA file with diffusers' keys; arguments and errors as for `to_kohya`.

    All layers are padded to one rank: without alphas, releases of diffusers differ in how they scale mixed ranks.
    """
    layers, error = _layers(adapters, dtype, compact)
    rank = max(f.down.shape[0] for f in layers.values())
    tensors = {}
    for module, (down, up) in layers.items():
        missing = rank - down.shape[0]
        tensors[f"{prefix}{module}.lora_A.weight"] = F.pad(down, (0, 0, 0, missing)).to(dtype)
        tensors[f"{prefix}{module}.lora_B.weight"] = F.pad(up, (0, missing)).to(dtype).contiguous()
    write_safetensors(tensors, Path(path), {"format": "pt", **(metadata or {})})
    return Exported(rank, error)


@torch.no_grad()
def _layers(
    adapters: Adapter | Sequence[Adapter], dtype: torch.dtype, compact: int | None
) -> tuple[dict[str, Factors], float]:
    """Module path -> balanced float64 factors of all adapters' displacements together; and the relative error."""
    adapters = [adapters] if isinstance(adapters, Adapter) else list(adapters)
    if compact is not None and compact < 1:
        raise ValueError(f"compact: must be a rank of at least 1, not {compact}.")
    factors_of = exact_factors if compact is None else any_factors
    layers, squared_error, squared_size = {}, 0.0, 0.0
    for path in dict.fromkeys(path for adapter in adapters for path in adapter.layers):
        present = [(adapter.strength, factors_of(adapter, path)) for adapter in adapters if path in adapter.layers]
        exact = joined([Factors(f.down, f.up * strength) for strength, f in present])
        layers[path] = balanced(*exact, rank=compact)
        stored = Factors(*(t.to(dtype).double() for t in layers[path]))
        squared_error += squared_norm(joined([exact, Factors(stored.down, -stored.up)]))
        squared_size += squared_norm(exact)
    return layers, (squared_error / squared_size) ** 0.5 if squared_size else 0.0
