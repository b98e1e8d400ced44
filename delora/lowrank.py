"""Additive low-rank methods: LoRA, normalised LoRA and DeLoRA; and DoRA, a norm around LoRA.

`A` is (r, in), `B` is (out, r), as in the paper; `a_i` are A's rows, `b_i` B's columns.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .config import AdapterConfig
from .fused import FromRecipe, Recipe
from .methods import Additive, register
from .products import Factors, Update, f64

SMALLEST_NORM = 1e-4  # norms are clamped here, as in PEFT, so that a zero start has a direction to leave in


def kaiming(*shape: int, like: Tensor, generator: torch.Generator) -> nn.Parameter:
    """Kaiming-uniform with a = sqrt(5), as the authors' code: U(-1, 1) / sqrt(shape[-1]), in fp32 or better.

    Drawn on the CPU, so that a seed gives the same start on every device.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    values = (2 * torch.rand(*shape, dtype=dtype, generator=generator) - 1) / math.sqrt(shape[-1])
    return nn.Parameter(values.to(like.device))


def column_norms(weight: Tensor) -> Tensor:
    """The norms of W's columns, one per input feature, in fp32 or better: (in,)."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32)).norm(dim=0)


@register("lora")
class LoRA(Additive):
    """dW = (alpha / r) B A, B = 0 at the start (Eq. 1)."""

    options = ("rank", "alpha", "rank_pattern")
    kinds = (nn.Linear, nn.Conv2d)

    @classmethod
    def on(cls, layer: nn.Module, config: AdapterConfig, generator: torch.Generator) -> LoRA:
        return (ConvLoRA if isinstance(layer, nn.Conv2d) else cls)(layer.weight.detach(), config, generator)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        out_features, in_features = weight.flatten(1).shape
        self.A = kaiming(config.rank, in_features, like=weight, generator=generator)
        self.B = nn.Parameter(self.A.new_zeros(out_features, config.rank))
        self.scale = (2 * config.rank if config.alpha is None else config.alpha) / config.rank

    def factors(self) -> Update:
        return Update(Factors(self.A, self.B * self.scale))


class ConvLoRA(LoRA):
    """LoRA on a convolution, as kohya's and diffusers' files have it: A is one to r channels, B then mixes those."""

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Conv2d, y0: Tensor) -> Tensor:
        down, up = self.update(y.dtype).plus
        h = linear._conv_forward(self.drop(x.to(y.dtype)), down.view(-1, *linear.weight.shape[1:]), None)
        return y + F.conv2d(h, up[:, :, None, None])

    def dense(self, weight: Tensor) -> Tensor:
        return super().dense(weight).view(weight.shape)


class Directions:
    """The recipe (A, B, lambda, w) -> A * w / ||a_i||, B * lambda / (r ||b_i||): Eq. 15's factors, W's norm as `w`.

    The same as a dozen small operations, with the gradient written out. `w` is (in,) or a scalar and has no gradient.
    Both factors are of moderate size, whatever A and B have grown to, so that their products are safe in fp16.
    """

    @staticmethod
    def sizes(A: Tensor, B: Tensor, lambda_: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        a = torch.linalg.vector_norm(A, dim=-1, keepdim=True).clamp_(min=SMALLEST_NORM)  # (r, 1)
        b = torch.linalg.vector_norm(B, dim=-2, keepdim=True).clamp_(min=SMALLEST_NORM)  # (1, r)
        return a, b, (lambda_ / A.shape[-2]).unsqueeze(-1) / b  # (1, r)

    @staticmethod
    def factors(A: Tensor, B: Tensor, lambda_: Tensor, w: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Factors:
        return Factors((A / a).mul_(w), B * scale)

    @staticmethod
    def gradients(
        A: Tensor,
        B: Tensor,
        lambda_: Tensor,
        w: Tensor,
        a: Tensor,
        b: Tensor,
        scale: Tensor,
        g_down: Tensor,
        g_up: Tensor,
    ) -> tuple[Tensor | None, ...]:
        g_a = g_down * w  # with respect to A / a
        along_a = (g_a * A).sum(-1, keepdim=True)  # (r, 1)
        along_b = (g_up * B).sum(-2, keepdim=True)  # (1, r)
        # The part along a row goes, as its length does not count; unless its norm is clamped, when it does.
        g_A = torch.addcmul(g_a, A, along_a.div_(a * a).mul_(a > SMALLEST_NORM), value=-1).div_(a)
        g_lambda = (along_b / b).sum((-2, -1)).div_(A.shape[-2]).unsqueeze(-1)
        g_B = torch.addcmul(g_up, B, along_b.div_(b * b).mul_(b > SMALLEST_NORM), value=-1).mul_(scale)
        return g_A, g_B, g_lambda, None


def normalised(A: Tensor, B: Tensor, lambda_: Tensor, w: Tensor) -> Factors:
    """(lambda / r) B Xi A diag(w), as factors; the leading dimensions of all four may be those of several adapters."""
    return Factors(*FromRecipe.apply(Directions, A, B, lambda_, w))


class Clamped(torch.autograd.Function):
    """lambda held within +-ceiling. The gradient passes unless following it would push lambda further out."""

    @staticmethod
    def forward(ctx, lambda_: Tensor, ceiling: float) -> Tensor:
        ctx.save_for_backward(lambda_)
        ctx.ceiling = ceiling
        return lambda_.clamp(-ceiling, ceiling)

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor) -> tuple[Tensor, None]:
        (lambda_,) = ctx.saved_tensors
        outward = (lambda_.abs() >= ctx.ceiling) & (g * lambda_ < 0)
        return g.masked_fill(outward, 0), None


class Bounded(Additive):
    """What normalised LoRA and DeLoRA share: dW = (lambda / r) B Xi A diag(w), less its own start (Eq. 9).

    `lambda_` is (1,) and learnable. With init "frozen-copy" a frozen copy of the first A, B and lambda is subtracted;
    with "zero" B starts at 0, as in PEFT.
    """

    options = ("rank", "lambda_", "lambda_max", "init", "rank_pattern", "lambda_pattern")
    own_rate = ("lambda_",)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        out_features, in_features = weight.shape
        self.A = kaiming(config.rank, in_features, like=weight, generator=generator)
        self.B = kaiming(out_features, config.rank, like=weight, generator=generator)
        start = self.default_lambda(config) if config.lambda_ is None else config.lambda_
        self.lambda_ = nn.Parameter(self.A.new_full((1,), float(start)))
        self.lambda_max = config.lambda_max
        self.frozen_copy = config.init == "frozen-copy"
        self._start: tuple[tuple, Factors] | None = None
        if self.frozen_copy:
            self.register_buffer("A0", self.A.detach().clone())
            self.register_buffer("B0", self.B.detach().clone())
            self.register_buffer("lambda0", self.lambda_.detach().clone())
        else:
            nn.init.zeros_(self.B)
        self.register_buffer("w", self.norms_of(weight, config))

    @staticmethod
    def default_lambda(config: AdapterConfig) -> float:
        raise NotImplementedError

    @staticmethod
    def norms_of(weight: Tensor, config: AdapterConfig) -> Tensor:
        """What dW is scaled with: (in,) column norms or a scalar (1,)."""
        raise NotImplementedError

    def bounded_lambda(self) -> Tensor:
        return self.lambda_ if self.lambda_max is None else Clamped.apply(self.lambda_, self.lambda_max)

    def factors(self) -> Update:
        plus = normalised(self.A, self.B, self.bounded_lambda(), self.w)
        return Update(plus, self.start(self.A.dtype) if self.frozen_copy else None)

    def recipe(self, dtype: torch.dtype) -> tuple[type[Recipe], tuple[Tensor, ...], Factors | None]:
        w = self.w[None]  # (1, in) or (1, 1): several adapters' are stacked in front of that
        parameters = (self.A, self.B, self.bounded_lambda(), w)
        return Directions, parameters, self.start(dtype) if self.frozen_copy else None

    def start(self, dtype: torch.dtype) -> Factors:
        """The frozen first factors, in `dtype`; made once, and again when the adapter is moved or loaded."""
        key = dtype, self.A0.device, self.A0.data_ptr(), self.A0._version
        if self._start is None or self._start[0] != key:
            with torch.inference_mode(False):  # what is made while drawing must also serve training
                factors = normalised(self.A0, self.B0, self.lambda0, self.w)
                self._start = key, Factors(*(t.to(dtype) for t in factors))
        return self._start[1]

    def bound(self, weight_norm: float) -> Tensor:
        """(|lambda| + |lambda_0|) max w, Eq. 6 and 7; only |lambda| with the zero start."""
        lambdas = self.bounded_lambda().abs() + (self.lambda0.abs() if self.frozen_copy else 0)
        return f64(lambdas) * f64(self.w.max())

    def reach(self, weight_norm: float) -> Tensor:
        return self.bound(weight_norm) / math.sqrt(self.A.shape[-2])


@register("lora-normalised")
class NormalisedLoRA(Bounded):
    """dW = (lambda / r) B Xi A: the controllable boundary alone, ||dW||_F <= lambda."""

    @staticmethod
    def default_lambda(config: AdapterConfig) -> float:
        return 8.0

    @staticmethod
    def norms_of(weight: Tensor, config: AdapterConfig) -> Tensor:
        return column_norms(weight).new_ones(1)


@register("delora")
class DeLoRA(Bounded):
    """dW = (lambda ||W|| / r) B Xi A (Eq. 15), ||dW||_F <= lambda ||W||_F.

    weight_norm "column": the norms of W's columns, as the authors' code and PEFT; ||dW||_F <= lambda max_j ||w_j||.
    weight_norm "frobenius": the paper's text (Eq. 8), about sqrt(in) times stronger at the same lambda.
    """

    options = (*Bounded.options, "weight_norm")

    @staticmethod
    def default_lambda(config: AdapterConfig) -> float:
        return 4.0 if config.weight_norm == "column" else 0.16

    @staticmethod
    def norms_of(weight: Tensor, config: AdapterConfig) -> Tensor:
        norms = column_norms(weight)
        return norms if config.weight_norm == "column" else norms.norm().reshape(1)
