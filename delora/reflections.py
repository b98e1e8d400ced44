"""Methods that turn a weight rather than add to it: ETHER, ETHER+ with its controllable variants, and OFT.

In torch's layout W is (out, in) and acts on the right of x^T, so the paper's (H W)^T x is W H x: the turn R stands on
the input side, L on the output side. W' = (I + L) W (I + R).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import AdapterConfig
from .lowrank import Clamped, kaiming, normalised
from .methods import Turning, register
from .products import Factors, Update


def _blocks(features: int, blocks: int) -> tuple[int, int]:
    """(n, features / n); ValueError where n does not divide the features."""
    if features % blocks:
        raise ValueError(f"blocks: {blocks} does not divide its {features} features.")
    return blocks, features // blocks


def _unit(u: Tensor) -> Tensor:
    """(n, b) rows -> (n, n b): unit rows, each in its own block of columns."""
    u = F.normalize(u, dim=-1)
    return torch.diag_embed(u.mT).movedim(-3, -1).flatten(-2)


@register("ether")
class ETHER(Turning):
    """W' = W H, H block-diagonal with n blocks I - 2 u u^T, u unit (Eq. 2). Never the identity: ||H - I||_2 = 2."""

    options = ("blocks",)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        shape = _blocks(weight.shape[1], config.blocks or 1)
        self.u = kaiming(*shape, like=weight, generator=generator)

    def input_turn(self) -> Update:
        u = _unit(self.u)
        return Update(Factors(u, -2 * u.mT))

    def bound(self, weight_norm: float) -> float:
        return 2 * weight_norm

    def reach(self, weight_norm: float) -> float:
        return 2 * weight_norm * self.u.shape[-1] ** -0.5


@register("ether-plus-one-sided")
class OneSidedETHERPlus(Turning):
    """W' = W H+, H+ block-diagonal with n blocks I - u u^T + v v^T, v = u at the start (Eq. 3, one-sided)."""

    options = ("blocks",)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.u = kaiming(*_blocks(weight.shape[1], config.blocks or 1), like=weight, generator=generator)
        self.v = nn.Parameter(self.u.detach().clone())

    def input_turn(self) -> Update:
        return _difference(self.v, self.u)

    def bound(self, weight_norm: float) -> float:
        return weight_norm  # v v^T - u u^T has singular values of at most 1

    def reach(self, weight_norm: float) -> float:
        return weight_norm * (2 / self.u.shape[-1]) ** 0.5


def _difference(v: Tensor, u: Tensor) -> Update:
    """v v^T - u u^T, of unit rows."""
    v, u = _unit(v), _unit(u)
    return Update(Factors(v, v.mT), Factors(u, u.mT))


@register("ether-plus")
class ETHERPlus(OneSidedETHERPlus):
    """W' = H~+ W H+ (Eq. 3): the one-sided method with a second turn of the output, `u_out` and `v_out`."""

    turns_output = True

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config, generator)
        self.u_out = kaiming(*_blocks(weight.shape[0], config.blocks or 1), like=weight, generator=generator)
        self.v_out = nn.Parameter(self.u_out.detach().clone())

    def output_turn(self) -> Update:
        return _difference(self.v_out, self.u_out)

    def bound(self, weight_norm: float) -> float:
        return 3 * weight_norm  # ||L W (I + R)|| + ||W R|| with ||L||, ||R|| <= 1 and ||I + R|| <= 2


class Controlled(Turning):
    """What the variants with a boundary share: `lambda_` (1,), learnable, with its own rate and ceiling."""

    options = ("lambda_", "lambda_max", "lambda_pattern")
    own_rate = ("lambda_",)
    default_lambda = 1.0

    def __init__(self, weight: Tensor, config: AdapterConfig) -> None:
        super().__init__(config)
        start = self.default_lambda if config.lambda_ is None else config.lambda_
        dtype = torch.promote_types(weight.dtype, torch.float32)
        self.lambda_ = nn.Parameter(torch.full((1,), float(start), dtype=dtype, device=weight.device))
        self.lambda_max = config.lambda_max

    def bounded_lambda(self) -> Tensor:
        return self.lambda_ if self.lambda_max is None else Clamped.apply(self.lambda_, self.lambda_max)


@register("ether-plus-controllable")
class ControllableETHERPlus(Controlled):
    """W' = W (I + lambda (u u^T - v v^T)), one-sided, one block (Table 2)."""

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config)
        self.u = kaiming(1, weight.shape[1], like=weight, generator=generator)
        self.v = nn.Parameter(self.u.detach().clone())

    def input_turn(self) -> Update:
        lambda_ = self.bounded_lambda()
        return _difference(self.u, self.v).map(lambda f: Factors(f.down, f.up * lambda_))

    def bound(self, weight_norm: float) -> Tensor:
        return self.bounded_lambda().abs() * weight_norm

    def reach(self, weight_norm: float) -> Tensor:
        return self.bound(weight_norm) * (2 / self.u.shape[-1]) ** 0.5


@register("ether-plus-high-rank")
class HighRankETHERPlus(Controlled):
    """W' = W (I + (lambda / r) (U Sigma U^T - V Theta V^T)), r / 2 reflections each (Eq. 14).

    U and V are kept as rows, (r / 2, in); V = U at the start.
    """

    options = ("rank", "rank_pattern", *Controlled.options)
    default_lambda = 4.0

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config)
        self.U = kaiming(_half(config.rank), weight.shape[1], like=weight, generator=generator)
        self.V = nn.Parameter(self.U.detach().clone())

    def input_turn(self) -> Update:
        half, one = self.bounded_lambda() / 2, self.lambda_.new_ones(1)  # (lambda / 2) / (r / 2) = lambda / r
        plus = normalised(self.U, self.U.mT, half, one)
        return Update(plus, normalised(self.V, self.V.mT, half, one))

    def bound(self, weight_norm: float) -> Tensor:
        return self.bounded_lambda().abs() / 2 * weight_norm  # a difference of two positive parts of at most lambda / 2

    def reach(self, weight_norm: float) -> Tensor:
        rank, features = 2 * self.U.shape[-2], self.U.shape[-1]
        return self.bounded_lambda().abs() * weight_norm / math.sqrt(rank * features)


@register("ether-plus-relaxed")
class RelaxedETHERPlus(Controlled):
    """W' = W (I + (lambda / r) (B Xi A - D Phi C)): the reflections' two sides are free, D = B and C = A at the start.

    A and C are (r / 2, in), B and D are (in, r / 2); Xi and Phi divide by the norms as in Eq. 15.
    """

    options = HighRankETHERPlus.options
    default_lambda = 4.0

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(weight, config)
        half, features = _half(config.rank), weight.shape[1]
        self.A = kaiming(half, features, like=weight, generator=generator)
        self.B = kaiming(features, half, like=weight, generator=generator)
        self.C = nn.Parameter(self.A.detach().clone())
        self.D = nn.Parameter(self.B.detach().clone())

    def input_turn(self) -> Update:
        half, one = self.bounded_lambda() / 2, self.lambda_.new_ones(1)
        plus = normalised(self.A, self.B, half, one)
        return Update(plus, normalised(self.C, self.D, half, one))

    def bound(self, weight_norm: float) -> Tensor:
        return self.bounded_lambda().abs() * weight_norm

    def reach(self, weight_norm: float) -> Tensor:
        rank, features = 2 * self.A.shape[-2], self.A.shape[-1]
        return self.bounded_lambda().abs() * weight_norm / math.sqrt(rank * features)


def _half(rank: int) -> int:
    if rank % 2:
        raise ValueError(f"rank: must be even, half for each side, not {rank}.")
    return rank // 2
