"""What an adapter method has to state, and everything else that follows from it.

A method says once what it does to one linear layer y = W x + b, with W of shape (out, in), frozen and never touched:

- an additive method states `factors()`: dW = up @ down, so y + up (down x)             (LoRA, DeLoRA, ...)
- a turning method states `input_turn()`, and with `turns_output` also `output_turn()`:
  W' = (I + L) W (I + R), so the activations are turned before and after W              (ETHER, ETHER+, ...)
- anything else overrides `add_to`, `dense` and `distance`                              (DoRA, OFT)

Forward, strength, displacement, distance, merge, saving and export are derived here and in the modules beside it.
The matrices may carry a leading adapter dimension: methods write `dim=-1`, `dim=-2` and `.mT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .fused import fusable, fused_add

if TYPE_CHECKING:
    from .config import AdapterConfig

METHODS: dict[str, type[Method]] = {}
Made = TypeVar("Made")


def register(name: str) -> Callable[[type[Method]], type[Method]]:
    """Class decorator: makes a method known under `name` to AdapterConfig, files and exports."""

    def add(cls: type[Method]) -> type[Method]:
        if name in METHODS:
            raise ValueError(f"There is already a method named {name!r}.")
        METHODS[name] = cls
        return cls

    return add


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


class Method(nn.Module):
    """One adapter's share of one linear layer.

    A subclass builds its parameters from (weight, layer config, generator). They are at least fp32 whatever the
    base's dtype and stay so when the model is cast; the products run in the dtype of the layer's output.
    """

    options: ClassVar[tuple[str, ...]] = ()  # the fields of AdapterConfig that the method reads
    own_rate: ClassVar[tuple[str, ...]] = ()  # parameters with a learning rate of their own
    turns_input: ClassVar[bool] = False  # whether x is turned before W reads it

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.strength = 1.0
        self._kept: dict[str, tuple] = {}

    # What a method states, besides its update.

    def bound(self, weight_norm: float) -> Tensor | float | None:
        """The guaranteed ceiling of ||dW||_F for a layer with ||W||_F = `weight_norm`, or None if there is none."""
        return None

    def reach(self, weight_norm: float) -> Tensor | float | None:
        """How far r independent directions usually get: about the bound over the square root of r; None without."""
        return None

    # What the kinds below derive from it.

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        """y + strength * dW x, where x is the layer's input and y0 = W x + b; y may hold other adapters' shares."""
        raise NotImplementedError

    def add_alone(self, y0: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
        """`add_to` for the layer's only active adapter, which may consume y0."""
        return self.add_to(y0, x, linear, y0)

    def low_rank(self, weight: Tensor) -> Factors | None:
        """Exact float64 factors of dW (strength 1), or None if dW has full rank."""
        return None

    def dense(self, weight: Tensor) -> Tensor:
        """dW at strength 1, float64, (out, in)."""
        down, up = self.low_rank(weight)
        return up @ down

    def distance(self, weight: Tensor) -> Tensor:
        """||dW||_F at strength 1, a float64 scalar; from Gram matrices, so nothing of size (out, in) is made."""
        down, up = self.low_rank(weight)
        return ((up.mT @ up) * (down @ down.mT)).sum().clamp(min=0).sqrt()

    # Shared by all.

    def tensors(self) -> dict[str, Tensor]:
        """Everything that defines the update: parameters and the constants of the start, by name."""
        return {**self._parameters, **self._buffers}

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.dropout and self.training else x

    def keep(self, name: str, make: Callable[[], Made], *key: object) -> Made:
        """`make()`, kept under `name` between calls with the same `key` while nothing is trained."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            self._kept.clear()  # a training step may follow
            return make()
        state = key, [(t.data_ptr(), t._version) for t in self.tensors().values()]
        if name not in self._kept or self._kept[name][0] != state:
            self._kept[name] = state, make()
        return self._kept[name][1]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Method:
        # Follows the model to a device, but not to a lower precision: norms and small steps need fp32.
        def move(t: Tensor) -> Tensor:
            moved = fn(t)
            return moved if moved.dtype == t.dtype else t.to(moved.device)

        self._kept.clear()
        return super()._apply(move, recurse)

    # An adapter is no part of the base model's state dict, so the base saves and loads as if it were not there.

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        pass

    def _load_from_state_dict(self, *args: object) -> None:
        pass


class Additive(Method):
    """dW = the matrix of `factors()`, whatever W is."""

    def factors(self) -> Update:
        """The update, from the parameters alone, in their dtype."""
        raise NotImplementedError

    def update(self, dtype: torch.dtype) -> Update:
        """The factors in `dtype`, at the present strength."""
        strength = self.strength
        return self.keep("update", lambda: self.factors().cast(dtype, strength), dtype, strength)

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        return add_product(y, self.drop(x.to(y.dtype)), self.update(y.dtype))

    def add_alone(self, y0: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
        if fusable(linear, y0) and not (self.dropout and self.training):
            return fused_add(y0, x.to(y0.dtype), linear.weight, self.update(y0.dtype))
        return self.add_to(y0, x, linear, y0)

    def low_rank(self, weight: Tensor) -> Factors:
        down, up = self.factors().joined()
        return Factors(f64(down), f64(up))


class Turning(Method):
    """W' = (I + L) W (I + R): R turns the activations that enter, L those that leave."""

    turns_input = True
    turns_output: ClassVar[bool] = False

    def input_turn(self) -> Update:
        """R, (in, in), from the parameters alone."""
        raise NotImplementedError

    def output_turn(self) -> Update:
        """L, (out, out), from the parameters alone; read only where `turns_output`."""
        raise NotImplementedError

    def turn_input(self, x: Tensor) -> Tensor:
        """(I + R) x."""
        return add_product(x, self.drop(x), self.input_update(x.dtype))

    def turn_output(self, y: Tensor, bias: Tensor | None) -> Tensor:
        """(I + L) (y - bias) + bias."""
        if not self.turns_output:
            return y
        return add_product(y, self.drop(y if bias is None else y - bias), self.output_update(y.dtype))

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        # Linear in the strength and good beside other adapters; inject.py turns x and y directly where that is enough.
        x = x.to(y.dtype)
        dy = F.linear(product(self.drop(x), self.input_update(y.dtype)), linear.weight)  # W R x
        if self.turns_output:
            wx = F.linear(x, linear.weight) + dy
            dy = dy + product(self.drop(wx), self.output_update(y.dtype))
        return y + self.strength * dy

    def input_update(self, dtype: torch.dtype) -> Update:
        return self.keep("input", lambda: self.input_turn().cast(dtype), dtype)

    def output_update(self, dtype: torch.dtype) -> Update:
        return self.keep("output", lambda: self.output_turn().cast(dtype), dtype)

    def low_rank(self, weight: Tensor) -> Factors:
        weight = f64(weight)
        right = Factors(*map(f64, self.input_turn().joined()))
        down, up = right.down, weight @ right.up  # W R
        if not self.turns_output:
            return Factors(down, up)
        left = Factors(*map(f64, self.output_turn().joined()))
        left_w = left.down @ weight  # L W (I + R) = left.up (left_w + left_w R)
        left_down = left_w + (left_w @ right.up) @ right.down
        return Factors(torch.cat([down, left_down]), torch.cat([up, left.up], dim=1))
