"""DoRA: LoRA with the norms of the weight's rows set by a magnitude of their own (Liu et al. 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import AdapterConfig
from .lowrank import LoRA
from .methods import register
from .products import Factors, f64


@torch.no_grad()
def row_norms(weight: Tensor, update: Factors, squared: Tensor) -> Tensor:
    """||w_i + dw_i||, (out,), from the ||w_i||^2 and without the dense sum."""
    down, up = update
    along = weight.to(down.dtype) @ down.mT  # (out, r)
    return (squared + (up * (2 * along + up @ (down @ down.mT))).sum(dim=1)).clamp(min=0).sqrt()


@register("dora")
class DoRA(LoRA):
    """W' = m (W + dW) / ||W + dW||, dW of LoRA, norms per output row, m (out,) learnable.

    As in the original and in PEFT the norm is a constant to the gradient. It is found from W A^T and A A^T, without
    the dense W + dW: ||w_i + b_i A||^2 = ||w_i||^2 + 2 b_i (W A^T)_i + b_i A A^T b_i.
    """

    kinds = (nn.Linear,)
    named_kinds = (nn.Conv2d,)

    @classmethod
    def on(cls, layer: nn.Module, config: AdapterConfig, generator: torch.Generator) -> DoRA:
        return (ON_CONVOLUTIONS[cls] if isinstance(layer, nn.Conv2d) else cls)(layer.weight, config, generator)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config, generator)
        squared = weight.detach().flatten(1).to(self.A.dtype).square().sum(dim=1)
        self.register_buffer("squared", squared)  # ||w_i||^2, (out,)
        self.m = nn.Parameter(squared.sqrt())

    def ratios(self, weight: Tensor) -> Tensor:
        """m / ||W + dW||, (out,); exactly 1 at the start."""
        return self.m / row_norms(weight, self.factors().plus, self.squared)

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        dtype, strength = y.dtype, self.strength

        def make() -> tuple[Tensor, Tensor, Factors]:
            c = self.ratios(linear.weight)
            down, up = self.factors().plus
            return (strength * (c - 1)).to(dtype), down.to(dtype), (strength * c.unsqueeze(-1) * up).to(dtype)

        k, down, up = self.keep("scaled", make, dtype, strength, linear.weight.data_ptr(), linear.weight._version)
        h = F.linear(self.drop(x.to(dtype)), down)  # (..., r)
        if y is y0:  # no other adapter before: y0 + k (y0 - b) in one pass
            scaled = y0 * (1 + k) if linear.bias is None else torch.addcmul(-k * linear.bias.to(dtype), y0, 1 + k)
        else:
            scaled = y + k * (y0 if linear.bias is None else y0 - linear.bias)
        return torch.addmm(scaled.reshape(-1, scaled.shape[-1]), h.reshape(-1, h.shape[-1]), up.mT).view(y.shape)

    def add_alone(self, y0: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
        return self.add_to(y0, x, linear, y0)

    def low_rank(self, weight: Tensor) -> None:
        return None

    def dense(self, weight: Tensor) -> Tensor:
        down, up = super().low_rank(weight)
        c, weight64 = f64(self.ratios(weight)).unsqueeze(-1), f64(weight)
        return (c - 1) * weight64 + c * (up @ down)

    def distance(self, weight: Tensor) -> Tensor:
        down, up = super().low_rank(weight)
        c = f64(self.ratios(weight))
        crossed = (up * (f64(weight) @ down.mT)).sum(dim=1)  # <w_i, dw_i>
        moved = (up * (up @ (down @ down.mT))).sum(dim=1)  # ||dw_i||^2
        squared = (c - 1).square() * f64(self.squared) + 2 * (c - 1) * c * crossed + c.square() * moved
        return squared.sum().clamp(min=0).sqrt()


@register("dora-fixed")
class FixedDoRA(DoRA):
    """DoRA with m frozen at the row norms of W (App. C): only directions change, ||dW||_F <= 2 ||W||_F."""

    named_kinds = ()

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config, generator)
        m = self.m.detach()
        del self.m
        self.register_buffer("m", m)

    def bound(self, weight_norm: float) -> float:
        return 2 * weight_norm


@register("dora-columns")
class ColumnDoRA(DoRA):
    """DoRA with norms per input column, m (in,), as in files of LyCORIS and OneTrainer; here to use such files."""

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config, generator)
        columns = weight.detach().to(self.A.dtype).transpose(0, 1).flatten(1)
        self.squared = columns.square().sum(dim=1)  # ||w_j||^2, (in,)
        self.m = nn.Parameter(self.squared.sqrt())

    def ratios(self, weight: Tensor) -> Tensor:
        """m / ||W + dW||, (in,); exactly 1 at the start."""
        down, up = self.factors().plus
        return self.m / row_norms(weight.mT, Factors(up.mT, down.mT), self.squared)

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        dtype, strength = y.dtype, self.strength

        def make() -> tuple[Tensor, Tensor, Factors]:
            c = self.ratios(linear.weight)
            down, up = self.factors().plus
            return (strength * (c - 1)).to(dtype), (c * down).to(dtype), (strength * up).to(dtype)

        k, down, up = self.keep("scaled", make, dtype, strength, linear.weight.data_ptr(), linear.weight._version)
        x = x.to(dtype)
        return y + F.linear(k * x, linear.weight.to(dtype)) + F.linear(F.linear(self.drop(x), down), up)

    def dense(self, weight: Tensor) -> Tensor:
        down, up = LoRA.low_rank(self, weight)
        c = f64(self.ratios(weight))
        return (c - 1) * f64(weight) + c * (up @ down)

    def distance(self, weight: Tensor) -> Tensor:
        return self.dense(weight).norm()


class ConvDoRA(DoRA):
    """DoRA on a convolution: one norm an output channel, over all that it sums up. As in PEFT and LyCORIS."""

    def ratios(self, weight: Tensor) -> Tensor:
        return super().ratios(weight.flatten(1))

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Conv2d, y0: Tensor) -> Tensor:
        c = (self.strength * self.ratios(linear.weight)).to(y.dtype).view(-1, 1, 1)
        wx = y0 if linear.bias is None else y0 - linear.bias.to(y.dtype).view(-1, 1, 1)
        return y + (c - self.strength) * wx + c * _convolved(self, x.to(y.dtype), linear)

    def dense(self, weight: Tensor) -> Tensor:
        return super().dense(weight.flatten(1)).view(weight.shape)

    def distance(self, weight: Tensor) -> Tensor:
        return super().distance(weight.flatten(1))


class ConvColumnDoRA(ColumnDoRA):
    """Norms per column on a convolution: one an input channel, over everything that it goes into. As in LyCORIS."""

    def ratios(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            down, up = self.factors().plus
            changed = weight.flatten(1).to(down.dtype) + up @ down  # (out, in h w)
            norms = changed.unflatten(1, (self.m.shape[0], -1)).norm(dim=(0, 2))
        return self.m / norms

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Conv2d, y0: Tensor) -> Tensor:
        x, weight = x.to(y.dtype), linear.weight.to(y.dtype)
        c = self.ratios(linear.weight).to(y.dtype).view(-1, 1, 1)
        moved = linear._conv_forward((c - 1) * x, weight, None) + _convolved(self, c * x, linear)
        return y + self.strength * moved

    def dense(self, weight: Tensor) -> Tensor:
        down, up = LoRA.low_rank(self, weight)
        c = f64(self.ratios(weight)).view(1, -1, 1, 1)
        return (c - 1) * f64(weight) + c * (up @ down).view(weight.shape)


ON_CONVOLUTIONS = {DoRA: ConvDoRA, ColumnDoRA: ConvColumnDoRA}


def _convolved(method: LoRA, x: Tensor, conv: nn.Conv2d) -> Tensor:
    """dW x, for dW of LoRA alone, at strength 1."""
    down, up = method.factors().cast(x.dtype).plus
    h = conv._conv_forward(method.drop(x), down.view(-1, *conv.weight.shape[1:]), None)
    return F.conv2d(h, up[:, :, None, None])
