"""What an adapter method has to state, and everything else that follows from it.

A method says once what it does to one linear layer y = W x + b, with W of shape (out, in), frozen and never touched:

- an additive method states `factors()`: dW = up @ down, so y + up (down x)             (LoRA, DeLoRA, ...)
- a turning method states `input_turn()`, and with `turns_output` also `output_turn()`:
  W' = (I + L) W (I + R), so the activations are turned before and after W              (ETHER, ETHER+, ...)
- anything else overrides `add_to`, `dense` and `distance`                              (DoRA, OFT, full)

Forward, strength, displacement, distance, merge, saving and export are derived here and in the modules beside it.
The matrices may carry a leading adapter dimension: methods write `dim=-1`, `dim=-2` and `.mT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import METHODS, AdapterConfig
from .fused import AsGiven, Recipe, fusable, fused_add
from .products import Factors, Update, add_product, f64, product

Made = TypeVar("Made")


def register(name: str) -> Callable[[type[Method]], type[Method]]:
    """Class decorator: makes a method known under `name` to AdapterConfig, files and exports."""

    def add(cls: type[Method]) -> type[Method]:
        if name in METHODS:
            raise ValueError(f"There is already a method named {name!r}.")
        METHODS[name] = cls
        return cls

    return add


class Method(nn.Module):
    """One adapter's share of one linear layer.

    A subclass builds its parameters from (weight, layer config, generator). They are at least fp32 whatever the
    base's dtype and stay so when the model is cast; the products run in the dtype of the layer's output.
    """

    options: ClassVar[tuple[str, ...]] = ()  # the fields of AdapterConfig that the method reads
    own_rate: ClassVar[tuple[str, ...]] = ()  # parameters with a learning rate of their own
    turns_input: ClassVar[bool] = False  # whether x is turned before W reads it
    kinds: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear,)  # the layers it can sit on, linear in their weights
    named_kinds: ClassVar[tuple[type[nn.Module], ...]] = ()  # and those it sits on where a target is their whole path

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.strength = 1.0
        self._kept: dict[str, tuple] = {}

    @classmethod
    def on(cls, layer: nn.Module, config: AdapterConfig, generator: torch.Generator) -> Method:
        """The method for one layer, for those that need to know more of it than its weight."""
        return cls(layer.weight.detach(), config, generator)

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

    def displacements(self, layer: nn.Module) -> dict[str, Tensor]:
        """What merging adds to the layer's parameters, by their names: float64, at strength 1."""
        return {"weight": self.dense(layer.weight)}

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
    """dW = the matrix of `factors()`, whatever W is.

    A method that has to be as fast as can be says more: `recipe()`, how `factors().plus` comes from its parameters.
    """

    def factors(self) -> Update:
        """The update, from the parameters alone, in their dtype."""
        raise NotImplementedError

    def recipe(self, dtype: torch.dtype) -> tuple[type[Recipe], tuple[Tensor, ...], Factors | None] | None:
        """The recipe of `factors().plus`, what it takes, and `factors().minus` in `dtype`; None: left to autograd.

        What it takes may get one more dimension in front, that of several adapters (`rows`).
        """
        return None

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Linear, y0: Tensor) -> Tensor:
        return add_product(y, self.drop(x.to(y.dtype)), self.update(y.dtype))

    def add_alone(self, y0: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
        if not fusable(linear, y0) or (self.dropout and self.training):
            return self.add_to(y0, x, linear, y0)
        recipe, parameters, minus = self.stated(y0.dtype)
        return fused_add(y0, x.to(y0.dtype), linear.weight, minus, recipe, *parameters)

    def stated(self, dtype: torch.dtype) -> tuple[type[Recipe], tuple[Tensor, ...], Factors | None]:
        """The update at the present strength, as `fused` takes it: `recipe()`, or the factors as they are."""
        if torch.is_grad_enabled() and self.strength == 1 and (recipe := self.recipe(dtype)):
            self._kept.clear()  # as in `keep`
            return recipe
        plus, minus = self.update(dtype)
        return AsGiven, tuple(plus), minus

    def low_rank(self, weight: Tensor) -> Factors:
        down, up = self.factors().joined()
        return Factors(f64(down), f64(up))

    def update(self, dtype: torch.dtype) -> Update:
        """The factors in `dtype`, at the present strength."""
        strength = self.strength
        return self.keep("update", lambda: self.factors().cast(dtype, strength), dtype, strength)


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
