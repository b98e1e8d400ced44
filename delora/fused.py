"""W x + b + dW x as one step of the autograd graph, for plain frozen `nn.Linear` layers: the common case, made cheap.

Against separate operations this saves passes over tensors of the output's and the input's size: the update is added
into the output that the layer has just made, and the two parts of the gradient of x are summed by the second product.
Kept for the backward pass: x and the (tokens, r) product. The factors are made again from the parameters, by a recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

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


class Rows(NamedTuple):
    """Tokens `first` to `last` of a batch, in `count` equal pieces.

    Above a count of 1 the pieces are those of as many adapters of one kind: what belongs to them has a leading
    dimension of that size, and each small product is made once for all.
    """

    first: int
    last: int
    count: int = 1

    def of(self, t: Tensor) -> Tensor:
        """These of (tokens, width): (last - first, width), or (count, tokens of a piece, width)."""
        own = t[self.first : self.last]
        return own if self.count == 1 else own.view(self.count, -1, own.shape[-1])


class Share(NamedTuple):
    """What is added to some rows: (recipe(parameters) - minus) x."""

    rows: Rows
    recipe: type[Recipe]
    parameters: tuple[Tensor, ...]
    minus: Factors | None


def fused_add(
    y0: Tensor, x: Tensor, weight: Tensor, minus: Factors | None, recipe: type[Recipe], *parameters: Tensor
) -> Tensor:
    """y0 + (recipe(parameters) - minus) x for y0 = W x + b, which is consumed; products in y0's dtype."""
    return fused_add_shares(y0, x, weight, [Share(Rows(0, x[..., 0].numel()), recipe, parameters, minus)])


def fused_add_shares(y0: Tensor, x: Tensor, weight: Tensor, shares: Sequence[Share]) -> Tensor:
    """The same with a recipe for each of some rows; rows that are nobody's stay as they are."""
    layout = [(share.rows, share.recipe, len(share.parameters)) for share in shares]
    tensors = [t for share in shares for t in (*share.parameters, *(share.minus or (None, None)))]
    return _Fused.apply(y0.data, x, weight, layout, *tensors)


def _add_product(y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """y += a b, of matrices or of batches of them."""
    return y.addmm_(a, b) if y.dim() == 2 else y.baddbmm_(a, b)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, x, weight, layout, *tensors):
        x = x.reshape(-1, x.shape[-1])  # (tokens, in)
        flat = y.view(-1, y.shape[-1])  # (tokens, out)
        given, kept, ctx.layout = iter(tensors), [], []
        for rows, recipe, count in layout:
            parameters = tuple(islice(given, count))
            down0, up0 = next(given), next(given)
            sizes = recipe.sizes(*parameters)
            down, up = (t.to(y.dtype) for t in recipe.factors(*parameters, *sizes))
            own_x, own_y = rows.of(x), rows.of(flat)
            h = own_x @ down.mT  # (tokens, r)
            if down0 is None:
                _add_product(own_y, h, up.mT)
            else:  # computed alike and subtracted before they are added: exactly zero at step 0
                own_y.add_((h @ up.mT).sub_((own_x @ down0.mT) @ up0.mT))
            kept += [*parameters, *sizes, h, down0, up0]
            ctx.layout.append((rows, recipe, count + len(sizes)))
        ctx.save_for_backward(x, weight, *kept)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight, *kept = ctx.saved_tensors
        flat = g.reshape(-1, g.shape[-1])  # (tokens, out)
        g_x = flat @ weight.to(g.dtype) if ctx.needs_input_grad[1] else None
        given, gradients = iter(kept), []
        for rows, recipe, count in ctx.layout:
            inputs = tuple(islice(given, count))
            h, down0, up0 = islice(given, 3)
            down, up = (t.to(g.dtype) for t in recipe.factors(*inputs))
            own_x, own_g = rows.of(x), rows.of(flat)
            g_h = own_g @ up  # (tokens, r)
            g_down, g_up = g_h.mT @ own_x, own_g.mT @ h
            if g_x is not None:
                if down0 is not None:  # one product of twice the rank
                    g_h, down = torch.cat([g_h, own_g @ -up0], dim=-1), torch.cat([down, down0], dim=-2)
                _add_product(rows.of(g_x), g_h, down)
            dtype = inputs[0].dtype
            gradients += [*recipe.gradients(*inputs, g_down.to(dtype), g_up.to(dtype)), None, None]
        g_x = None if g_x is None else g_x.view(*g.shape[:-1], -1)
        return None, g_x, None, None, *gradients
