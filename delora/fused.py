"""W x + b + dW x as one step of the autograd graph, for plain frozen `nn.Linear` layers: the common case, made cheap.

Against separate operations this saves passes over tensors of the output's and the input's size: the update is added
into the output that the layer has just made, and the two parts of the gradient of x are summed by the second product.
Kept for the backward pass: x and the (tokens, r) product. The factors are made again from the parameters, by a recipe.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .products import Factors


class Recipe(Protocol):
    """How factors come from parameters, with the gradient written out: three static functions."""

    @staticmethod
    def sizes(*parameters: Tensor) -> tuple[Tensor, ...]:
        """Small tensors, such as norms, that the other two share; kept for the backward pass."""

    @staticmethod
    def factors(*parameters_and_sizes: Tensor) -> Factors:
        """The factors."""

    @staticmethod
    def gradients(*parameters_sizes_and_gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The parameters' gradients, from those of `down` and `up`, which come last."""


class FromRecipe(torch.autograd.Function):
    """apply(recipe, *parameters) -> down, up: the recipe as one step of the graph."""

    @staticmethod
    def forward(ctx, recipe, *parameters):
        sizes = recipe.sizes(*parameters)
        ctx.recipe = recipe
        ctx.save_for_backward(*parameters, *sizes)
        return tuple(recipe.factors(*parameters, *sizes))

    @staticmethod
    @once_differentiable
    def backward(ctx, g_down, g_up):
        return None, *ctx.recipe.gradients(*ctx.saved_tensors, g_down, g_up)


class AsGiven:
    """The recipe of factors that are the parameters themselves."""

    @staticmethod
    def sizes(down: Tensor, up: Tensor) -> tuple[Tensor, ...]:
        return ()

    @staticmethod
    def factors(down: Tensor, up: Tensor) -> Factors:
        return Factors(down, up)

    @staticmethod
    def gradients(down: Tensor, up: Tensor, g_down: Tensor, g_up: Tensor) -> tuple[Tensor, ...]:
        return g_down, g_up


def fusable(linear: nn.Linear, y0: Tensor) -> bool:
    """Whether the layer's output may be written into, and its gradient be restated: nobody else holds or alters it."""
    weight, bias = linear._parameters["weight"], linear._parameters["bias"]
    return (
        type(linear) is nn.Linear
        and type(weight) is nn.Parameter  # not quantised or sharded
        and not weight.requires_grad
        and (bias is None or not bias.requires_grad)
        and type(y0) is Tensor
        and y0.is_contiguous()
        and len(linear._forward_hooks) == 1  # ours
        and "forward" not in linear.__dict__  # replaced, for example by accelerate's offloading
        and not torch.compiler.is_compiling()
    )


def fused_add(
    y0: Tensor, x: Tensor, weight: Tensor, minus: Factors | None, recipe: type[Recipe], *parameters: Tensor
) -> Tensor:
    """y0 + (recipe(parameters) - minus) x for y0 = W x + b, which is consumed; products in y0's dtype."""
    return _Fused.apply(y0.data, x, weight, *(minus or (None, None)), recipe, *parameters)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, x, weight, down0, up0, recipe, *parameters):
        sizes = recipe.sizes(*parameters)
        down, up = (t.to(y.dtype) for t in recipe.factors(*parameters, *sizes))
        x = x.reshape(-1, x.shape[-1])  # (tokens, in)
        h = x @ down.mT  # (tokens, r)
        flat = y.view(-1, y.shape[-1])  # (tokens, out)
        if down0 is None:
            flat.addmm_(h, up.mT)
        else:  # computed alike and subtracted before they are added: exactly zero at step 0
            flat.add_((h @ up.mT).sub_((x @ down0.mT) @ up0.mT))
        ctx.recipe = recipe
        ctx.save_for_backward(*parameters, *sizes, x, h, weight, down0, up0)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        *inputs, x, h, weight, down0, up0 = ctx.saved_tensors
        down, up = (t.to(g.dtype) for t in ctx.recipe.factors(*inputs))
        flat = g.reshape(-1, g.shape[-1])  # (tokens, out)
        g_h = flat @ up  # (tokens, r)
        g_down, g_up = g_h.mT @ x, flat.mT @ h
        g_x = None
        if ctx.needs_input_grad[1]:
            if down0 is not None:  # one product of twice the rank
                g_h, down = torch.cat([g_h, flat @ -up0], dim=1), torch.cat([down, down0])
            g_x = (flat @ weight.to(g.dtype)).addmm_(g_h, down).view(*g.shape[:-1], -1)
        gradients = ctx.recipe.gradients(*inputs, g_down.to(inputs[0].dtype), g_up.to(inputs[0].dtype))
        return None, g_x, None, None, None, None, *gradients
