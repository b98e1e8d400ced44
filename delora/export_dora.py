"""DoRA in other programs' files. They agree on the low-rank pair and differ in what the magnitude is divided by.

- diffusers and PEFT: `lora_magnitude_vector`, m of shape (out,), divided by ||w_i + dw_i||: DoRA as defined, at
  strength 1. At a strength s they scale dW inside the norm, m (W + s dW) / ||W + s dW||: another adapter.
- ComfyUI, and Forge, which follows it: `dora_scale`. Of shape (out, 1) it is divided by ||w_i||, so
  m ||w_i|| / ||w_i + dw_i|| has to be written; of shape (1, in) it is divided by the norms of the columns of W + dW, as
  defined. The strength is outside: W + s (W' - W), as here.
- AUTOMATIC1111 and InvokeAI take every `dora_scale` as norms per column, and a file with norms per row for a quite
  different adapter. The layers of such a file therefore have a prefix that those two do not know: `lycoris_`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .dora import ColumnDoRA, DoRA
from .factorise import Layer, balanced
from .inject import Adapter
from .lowrank import LoRA
from .products import f64

COMFYUI_PREFIX = "lycoris_"
Scale = Callable[[Tensor, Tensor], Tensor]  # (W, W + dW) -> what multiplies m, a column or a row


def sole_dora(adapters: Sequence[Adapter], columns: bool = False) -> Adapter | None:
    """The one adapter, if it is a DoRA of norms per row (`columns`: or per column).

    Raises ValueError where its strength is not 1, which no DoRA file can say.
    """
    first = next(iter(adapters[0].layers.values()))
    if len(adapters) > 1 or not isinstance(first, DoRA) or (isinstance(first, ColumnDoRA) and not columns):
        return None
    if adapters[0].strength != 1:
        raise ValueError(f"A DoRA file is written at strength 1, not {adapters[0].strength:g}.")
    return adapters[0]


@torch.no_grad()
def diffusers_dora(adapter: Adapter, dtype: torch.dtype) -> tuple[dict[str, Layer], dict[str, Tensor], float]:
    """Layers, magnitudes as `magnitude` shapes them, and relative error of a file for diffusers."""
    layers, magnitudes, error = _measured(adapter, dtype, lambda W, V: 1, lambda W, V: 1 / _norm(V, 0))
    return layers, {path: magnitude(m.flatten(), layers[path].shape) for path, m in magnitudes.items()}, error


def magnitude(m: Tensor, shape: torch.Size) -> Tensor:
    """m (out,) as PEFT keeps it for a weight of `shape`: (out,), or (1, out, 1, 1) of a convolution."""
    return m.view(1, -1, *(1,) * (len(shape) - 2)) if len(shape) > 2 else m


@torch.no_grad()
def comfyui_dora(adapter: Adapter, dtype: torch.dtype) -> tuple[dict[str, Layer], dict[str, Tensor], float]:
    """Layers, `dora_scale`s (out, 1) or (1, in), of convolutions with two ones more, and relative error for ComfyUI."""
    if isinstance(next(iter(adapter.layers.values())), ColumnDoRA):
        return _measured(adapter, dtype, lambda W, V: 1, lambda W, V: 1 / _norm(V, 1))
    return _measured(adapter, dtype, lambda W, V: _norm(W, 0) / _norm(V, 0), lambda W, V: 1 / _norm(W, 0))


def _measured(
    adapter: Adapter, dtype: torch.dtype, written: Scale, read: Scale
) -> tuple[dict[str, Layer], dict[str, Tensor], float]:
    """What a file holds, m times `written`, and how far a reader that multiplies with `read` ends from the adapter."""
    layers, magnitudes, squared_error, squared_size = {}, {}, 0.0, 0.0
    for path, method in adapter.layers.items():
        W = f64(adapter.linears[path].weight).cpu()
        down, up = balanced(*(t.cpu() for t in LoRA.low_rank(method, W)))
        axis = 1 if isinstance(method, ColumnDoRA) else 0  # of W, (out, in) or (out, in, h, w), that has the norms
        m = f64(method.m).cpu().view(*(-1 if i == axis else 1 for i in range(W.ndim)))
        V = W + (up @ down).view(W.shape)
        scale = (m * written(W, V)).float()  # it multiplies the whole of W: half precision would show
        layers[path], magnitudes[path] = Layer(down, up, W.shape), scale
        V = W + (up.to(dtype).double() @ down.to(dtype).double()).view(W.shape)
        exact = method.dense(adapter.linears[path].weight).cpu()
        squared_error += (scale.double() * read(W, V) * V - W - exact).square().sum().item()
        squared_size += exact.square().sum().item()
    return layers, magnitudes, (squared_error / squared_size) ** 0.5 if squared_size else 0.0


def _norm(weight: Tensor, axis: int) -> Tensor:
    """One norm for each place along `axis`, over all other axes."""
    return torch.linalg.vector_norm(weight, dim=[i for i in range(weight.ndim) if i != axis], keepdim=True)
