"""What a forward pass keeps for the backward pass, counted without data on torch's meta device."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch.overrides import TorchFunctionMode

import delora


class Beside(NamedTuple):
    """What a step holds beside base model and adapter: a ControlNet, an encoder that learns with the adapter.

    weights_bytes: of all of it. trainable: its numbers that learn. kept_bytes: what autograd keeps of it a picture.
    """

    weights_bytes: int = 0
    trainable: int = 0
    kept_bytes: int = 0


NOTHING = Beside()


def beside(frozen: Module | None = None, trained: Module | None = None, *shapes: tuple[int, ...]) -> Beside:
    """The same of modules. shapes: of what goes into `trained`, one picture of it."""
    parts = [p for module in (frozen, trained) if module is not None for p in module.parameters()]
    learns = sum(p.numel() for p in trained.parameters()) if trained is not None else 0
    kept = kept_by(trained, shapes) if trained is not None else 0
    return Beside(sum(p.numel() * p.element_size() for p in parts), learns, kept)


class _AttentionOfAKernel(torch.autograd.Function):
    """Keeps for the backward pass what a fused attention kernel keeps: q, k and v, not the attention matrix."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return torch.empty_like(q)


class _FusedAttention(TorchFunctionMode):
    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return _AttentionOfAKernel.apply(*args[:3])
        return func(*args, **(kwargs or {}))


class Count(NamedTuple):
    """What was counted. kept_bytes: what autograd keeps from one forward pass, weights not counted."""

    kept_bytes: int
    adapter_bytes: int
    trainable: int


@functools.lru_cache(maxsize=32)  # a page asks at every change of a setting, and a count takes about a second
def counted(
    kind: type,
    unet_config: str,
    config: delora.AdapterConfig,
    batch: int,
    size: int,
    tokens: int,
    dtype: torch.dtype,
    checkpointing: bool,
) -> Count:
    """Count on a UNet without data, for latents (batch, C, size, size) and prompts of `tokens` tokens."""
    with torch.device("meta"):
        unet = kind.from_config(json.loads(unet_config))
    unet.to(dtype).requires_grad_(False).train()
    adapter = delora.attach(unet, config)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    latents = torch.empty(batch, unet.config.in_channels, size, size, device="meta", dtype=dtype)
    text = torch.empty(batch, tokens, unet.config.cross_attention_dim, device="meta", dtype=dtype)
    timestep = torch.empty(batch, device="meta", dtype=torch.long)
    kept = _kept(unet, lambda: unet(latents, timestep, text, return_dict=False))
    adapter_bytes = sum(t.numel() * t.element_size() for t in adapter.state_dict().values())
    return Count(kept, adapter_bytes, adapter.num_trainable)


def kept_by(module: Module, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Bytes that autograd keeps of one forward pass of a module, for one example of inputs of these shapes."""
    module = copy.deepcopy(module).to("meta")
    inputs = [torch.empty(1, *shape, device="meta", dtype=next(module.parameters()).dtype) for shape in shapes]
    return _kept(module, lambda: module(*inputs))


def _kept(module: Module, forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps of a forward pass on the meta device, the module's own weights not counted."""
    weights = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, Any] = {}

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that no later storage gets the same address
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), _FusedAttention():
        forward()
    return sum(storage.nbytes() for storage in kept.values())
