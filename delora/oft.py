"""OFT: orthogonal finetuning with n diagonal blocks on the input side (Qiu et al. 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import AdapterConfig
from .methods import Turning, register
from .products import f64


@register("oft")
class OFT(Turning):
    """W' = W R, R block-diagonal with n orthogonal blocks by Cayley's formula, R^T = (I - Q) (I + Q)^-1, Q skew.

    `q` holds the upper triangles of Q, (n, b (b - 1) / 2), row by row as in PEFT. The turn is applied as its
    displacement from the identity, which is exactly zero at the start and loses nothing in half precision.
    """

    options = ("blocks",)

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        n, features = config.blocks or 4, weight.shape[1]
        if features % n:
            raise ValueError(f"blocks: {n} does not divide its {features} features.")
        self.block_size = b = features // n
        dtype = torch.promote_types(weight.dtype, torch.float32)
        self.q = nn.Parameter(torch.zeros(n, b * (b - 1) // 2, dtype=dtype, device=weight.device))

    def displacement(self) -> Tensor:
        """R^T - I = -2 Q (I + Q)^-1, block by block, (n, b, b)."""
        b = self.block_size
        row, column = torch.triu_indices(b, b, 1, device=self.q.device)
        Q = self.q.new_zeros(*self.q.shape[:-1], b, b)
        Q[..., row, column] = self.q
        Q = Q - Q.mT
        eye = torch.eye(b, dtype=Q.dtype, device=Q.device)
        return torch.linalg.solve(eye + Q, -2 * Q, left=False)

    def rotate(self, x: Tensor) -> Tensor:
        """(R - I) x, (..., in)."""
        dtype = x.dtype
        d = self.keep("turn", lambda: self.displacement().to(dtype), dtype)
        parts = self.drop(x).unflatten(-1, (-1, self.block_size))  # (..., n, b)
        return torch.einsum("...nb,nbc->...nc", parts, d).flatten(-2)

    def turn_input(self, x: Tensor) -> Tensor:
        return x + self.rotate(x)

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        return y + self.strength * F.linear(self.rotate(x.to(y.dtype)), linear.weight)

    def low_rank(self, weight: Tensor) -> None:
        return None

    def dense(self, weight: Tensor) -> Tensor:
        parts = f64(weight).unflatten(1, (-1, self.block_size))  # (out, n, b)
        return torch.einsum("onc,nbc->onb", parts, f64(self.displacement())).flatten(1)

    def distance(self, weight: Tensor) -> Tensor:
        return self.dense(weight).norm()

    def bound(self, weight_norm: float) -> float:
        return 2 * weight_norm  # ||R - I||_2 <= 2
