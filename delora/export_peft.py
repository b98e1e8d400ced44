"""PEFT adapter folders: `adapter_config.json` and `adapter_model.safetensors`, as `PeftModel.from_pretrained` reads.

PEFT's own LoRA, DoRA, DeLoRA and OFT are written as such, so that training can go on there; what PEFT does not have
becomes the exact plain LoRA.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .dora import ColumnDoRA, DoRA
from .export_dora import magnitude
from .factorise import Layer, exact_factors
from .files import write_safetensors
from .inject import Adapter
from .lowrank import Bounded, LoRA
from .methods import Method
from .oft import OFT

PREFIX = "base_model.model."
Written = tuple[dict[str, Any], dict[str, Tensor]]  # settings for adapter_config.json, tensors by full key


@torch.no_grad()
def to_peft(adapter: Adapter, folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32) -> None:
    """Writes a PEFT adapter folder, at strength 1.

    Raises ValueError where the displacement has full rank and PEFT has no such method.
    """
    layers = adapter.layers
    settings, tensors = _writer(layers)(adapter)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # A magnitude multiplies the whole of W: in half precision that would show.
    dtypes = {key: torch.float32 if key.endswith("lora_magnitude_vector") else dtype for key in tensors}
    tensors = {PREFIX + key: t.detach().to("cpu", dtypes[key]).contiguous() for key, t in tensors.items()}
    write_safetensors(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {"bias": "none", "inference_mode": True, "target_modules": list(layers), "task_type": None, **settings}
    part = folder / ".adapter_config.json.part"
    part.write_text(json.dumps(config, indent=2, sort_keys=True))
    os.replace(part, folder / "adapter_config.json")


def _writer(layers: Mapping[str, Method]) -> Callable[[Adapter], Written]:
    method = next(iter(layers.values()))
    if isinstance(method, LoRA) and not isinstance(method, ColumnDoRA):  # DoRA too
        return _lora
    if isinstance(method, Bounded) and not method.frozen_copy:
        return _delora
    if isinstance(method, OFT):
        return _oft
    return _plain_lora


def _lora(adapter: Adapter) -> Written:
    tensors = {}
    for path, layer in adapter.layers.items():
        shape = adapter.linears[path].weight.shape
        down, up = Layer(layer.A.detach(), layer.B.detach(), shape).stored(layer.A.dtype)
        tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"] = down, up
        if isinstance(layer, DoRA):
            tensors[f"{path}.lora_magnitude_vector"] = magnitude(layer.m, shape)
    ranks = {path: layer.A.shape[0] for path, layer in adapter.layers.items()}
    alphas = {path: layer.scale * layer.A.shape[0] for path, layer in adapter.layers.items()}
    return _lora_settings(ranks, alphas) | {"use_dora": isinstance(layer, DoRA)}, tensors


def _delora(adapter: Adapter) -> Written:
    tensors = {}
    for path, layer in adapter.layers.items():
        tensors[f"{path}.delora_A"] = layer.A
        tensors[f"{path}.delora_B"] = layer.B
        tensors[f"{path}.delora_lambda"] = layer.bounded_lambda()
        # PEFT reads a norm per input feature; a Frobenius norm, or the 1 of normalised LoRA, is the same for all.
        tensors[f"{path}.delora_w_norm"] = layer.w.expand(layer.A.shape[1])
    rank, pattern = _common({path: layer.A.shape[0] for path, layer in adapter.layers.items()})
    return {"peft_type": "DELORA", "r": rank, "rank_pattern": pattern}, tensors


def _oft(adapter: Adapter) -> Written:
    blocks = adapter.config.blocks or 4
    settings = {"peft_type": "OFT", "r": blocks, "oft_block_size": 0, "use_cayley_neumann": False}
    return settings, {f"{path}.oft_R.weight": layer.q for path, layer in adapter.layers.items()}


def _plain_lora(adapter: Adapter) -> Written:
    tensors, ranks = {}, {}
    for path in adapter.layers:
        down, up = exact_factors(adapter, path)
        tensors[f"{path}.lora_A.weight"], tensors[f"{path}.lora_B.weight"] = down, up
        ranks[path] = down.shape[0]
    return _lora_settings(ranks, ranks), tensors


def _lora_settings(ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    (rank, rank_pattern), (alpha, alpha_pattern) = _common(ranks), _common(alphas)
    settings = {"peft_type": "LORA", "r": rank, "rank_pattern": rank_pattern}
    return settings | {"lora_alpha": alpha, "alpha_pattern": alpha_pattern}


def _common(values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The most frequent value, and the layers that have another."""
    common = Counter(values.values()).most_common(1)[0][0]
    return common, {path: value for path, value in values.items() if value != common}
