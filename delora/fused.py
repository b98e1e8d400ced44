"""W x + b + dW x as one step of the autograd graph, for plain frozen `nn.Linear` layers: the common case, made cheap.

Against three separate operations this saves passes over tensors of the output's and the input's size: the update is
added into the output that the layer has just made, and the two parts of the gradient of x are summed by the second
product. Kept for the backward pass: x, the (tokens, r) products and the factors, as with any LoRA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from .methods import Update


def fusable(linear: nn.Linear, y0: Tensor) -> bool:
    """Whether the layer's output may be written into, and its gradient be restated: nobody else holds or alters it."""
    weight, bias = linear._parameters["weight"], linear._parameters["bias"]
    return (
        type(linear) is nn.Linear
        and type(weight) is nn.Parameter  # not quantised or sharded
        and not weight.requires_grad
        and (bias is None or not bias.requires_grad)
        and type(y0) is Tensor
        and len(linear._forward_hooks) == 1  # ours
        and "forward" not in linear.__dict__  # replaced, for example by accelerate's offloading
        and not torch.compiler.is_compiling()
    )


def fused_add(y0: Tensor, x: Tensor, weight: Tensor, update: Update) -> Tensor:
    """y0 + update(x) for y0 = W x + b, which is consumed; all of y0's dtype but W."""
    plus, minus = update
    return _Fused.apply(x, weight, y0.data, plus.down, plus.up, *(minus or (None, None)))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, y, down, up, down0, up0):
        x = x.reshape(-1, x.shape[-1])  # (tokens, in)
        h = x @ down.mT  # (tokens, r)
        flat = y.view(-1, y.shape[-1])  # (tokens, out)
        if down0 is None:
            flat.addmm_(h, up.mT)
        else:  # computed alike and subtracted before they are added: exactly zero at step 0
            flat.add_((h @ up.mT).sub_((x @ down0.mT) @ up0.mT))
        ctx.save_for_backward(x, weight, h, down, up, down0, up0)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight, h, down, up, down0, up0 = ctx.saved_tensors
        flat = g.reshape(-1, g.shape[-1])  # (tokens, out)
        g_h = flat @ up  # (tokens, r)
        g_down = g_h.mT @ x if ctx.needs_input_grad[3] else None
        g_up = flat.mT @ h if ctx.needs_input_grad[4] else None
        if not ctx.needs_input_grad[0]:
            return None, None, None, g_down, g_up, None, None
        if down0 is not None:  # one product of twice the rank
            g_h, down = torch.cat([g_h, flat @ -up0], dim=1), torch.cat([down, down0])
        g_x = (flat @ weight.to(g.dtype)).addmm_(g_h, down)
        return g_x.view(*g.shape[:-1], -1), None, None, g_down, g_up, None, None
