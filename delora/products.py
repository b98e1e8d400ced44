"""Low-rank matrices and how activations pass through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Factors(NamedTuple):
    """A low-rank matrix up @ down."""

    down: Tensor  # (..., r, in)
    up: Tensor  # (..., out, r)


class Update(NamedTuple):
    """The matrix `plus` - `minus`.

    Two products that start equal are computed alike and subtracted before anything is added to them: only then is the
    difference exactly zero at step 0, in every dtype.
    """

    plus: Factors
    minus: Factors | None = None

    def joined(self) -> Factors:
        """The same matrix as one product of twice the rank."""
        if self.minus is None:
            return self.plus
        down = torch.cat([self.plus.down, self.minus.down], dim=-2)  # (2r, in)
        return Factors(down, torch.cat([self.plus.up, -self.minus.up], dim=-1))  # (out, 2r)

    def map(self, fn: Callable[[Factors], Factors]) -> Update:
        """The update with `fn` applied to each product alike."""
        return Update(fn(self.plus), None if self.minus is None else fn(self.minus))

    def cast(self, dtype: torch.dtype, scale: float = 1.0) -> Update:
        """The update times `scale`, ready for products in `dtype`."""
        return self.map(lambda f: Factors(f.down.to(dtype), (f.up if scale == 1 else f.up * scale).to(dtype)))


def product(x: Tensor, update: Update) -> Tensor:
    """update(x): (..., in) -> (..., out)."""
    plus, minus = update
    y = F.linear(F.linear(x, plus.down), plus.up)
    return y if minus is None else y - F.linear(F.linear(x, minus.down), minus.up)


def add_product(y: Tensor, x: Tensor, update: Update) -> Tensor:
    """y + update(x), for x and y of one dtype."""
    if update.minus is not None:
        return y + product(x, update)
    h = F.linear(x, update.plus.down)  # (..., r)
    # One fused multiply-add: nothing of y's size is made between the products or kept for the backward pass.
    return torch.addmm(y.reshape(-1, y.shape[-1]), h.reshape(-1, h.shape[-1]), update.plus.up.mT).view(y.shape)


def f64(t: Tensor) -> Tensor:
    """`t` in float64; on the CPU where the device (Apple's) has no such type."""
    return (t.cpu() if t.device.type == "mps" else t).double()
