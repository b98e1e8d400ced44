"""One file that ComfyUI loads exactly, whatever the method."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .export import KOHYA_HEADER, KOHYA_PREFIX, Exported, kohya, kohya_key, to_kohya
from .export_dora import COMFYUI_PREFIX, comfyui_dora, sole_dora
from .factorise import largest_rank, listed
from .files import write_safetensors
from .inject import Adapter
from .lorafile import DORA_DIVISOR

DIFFERENCES = {"weight": "diff", "bias": "diff_b"}  # ComfyUI's names for what is added to a layer's parameters


def to_comfyui(
    adapters: Adapter | Sequence[Adapter],
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] | None = None,
    prefix: str | None = None,
) -> Exported:
    """Writes a plain LoRA where that is exact, a DoRA with `dora_scale`, and whole differences for all else.

    `prefix` begins the layers' names. For a DoRA with norms per row it is `lycoris_`, which ComfyUI and Forge read, and
    no program that would take its `dora_scale` for norms per column (export_dora.py); for everything else kohya's.
    Whole differences (OFT, full finetuning, sums with a DoRA in them) make a file as large as the adapted weights.
    Arguments as for `delora.export.to_kohya`; `rank` of the result is 0 for whole differences.
    """
    adapters = listed(adapters)
    dora = sole_dora(adapters, columns=True)
    per_row = dora is not None and dora.config.method != "dora-columns"
    if prefix is None:
        prefix = COMFYUI_PREFIX if per_row else KOHYA_PREFIX
    if dora:
        layers, scales, error = comfyui_dora(dora, dtype)
        tensors, header = kohya(layers, dtype, prefix)
        tensors |= {f"{kohya_key(module, prefix)}.dora_scale": scale for module, scale in scales.items()}
        if per_row:
            header[DORA_DIVISOR] = "||w_i||"
        rank = largest_rank(layers)
    elif all(_is_low_rank(adapter) for adapter in adapters):
        return to_kohya(adapters, path, dtype, metadata, prefix=prefix)
    else:
        (tensors, error), header, rank = _differences(adapters, dtype, prefix), dict(KOHYA_HEADER), 0
    write_safetensors(tensors, Path(path), header | dict(metadata or {}))
    return Exported(rank, error)


@torch.no_grad()
def _is_low_rank(adapter: Adapter) -> bool:
    path, method = next(iter(adapter.layers.items()))
    return method.low_rank(adapter.linears[path].weight) is not None


@torch.no_grad()
def _differences(adapters: Sequence[Adapter], dtype: torch.dtype, prefix: str) -> tuple[dict[str, Tensor], float]:
    """What merging would add to each parameter, and the relative error of the cast."""
    tensors, squared_error, squared_size = {}, 0.0, 0.0
    for path in dict.fromkeys(path for adapter in adapters for path in adapter.layers):
        sums: dict[str, Tensor] = {}
        for adapter in (adapter for adapter in adapters if path in adapter.layers):
            for name, moved in adapter.layers[path].displacements(adapter.linears[path]).items():
                sums[name] = sums.get(name, 0) + adapter.strength * moved.cpu()
        for name, exact in sums.items():
            stored = exact.to(dtype).contiguous()
            tensors[f"{kohya_key(path, prefix)}.{DIFFERENCES[name]}"] = stored
            squared_error += (stored.double() - exact).square().sum().item()
            squared_size += exact.square().sum().item()
    return tensors, (squared_error / squared_size) ** 0.5 if squared_size else 0.0
