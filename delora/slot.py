"""What sits on an adapted layer: its adapters by name, and the two hooks that call them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from torch import Tensor, nn

from . import rows
from .methods import Method

CHILD = "adapters"


class Named(Protocol):
    """What of an attached adapter is needed to tell it from others."""

    name: str


class Slot(nn.ModuleDict):
    """The adapters of one linear layer by name; keeps the hooks that call them.

    columns: while adapters work by rows, their names in the batch's order; one that is not on this layer leaves its
    rows as they are. None is the usual: all of them, on all rows.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.handles = [linear.register_forward_hook(_after, with_kwargs=True)]
        self.columns: tuple[str, ...] | None = None

    def active(self) -> list[Method]:
        methods = self._modules.values() if self.columns is None else self._named()
        return [method for method in methods if method is not None and method.strength != 0]

    def by_rows(self) -> list[Method | None] | None:
        """The method of each column, None for one that does nothing here; None where all work on all rows."""
        if self.columns is None or len(self.columns) < 2:
            return None
        return [None if method is None or method.strength == 0 else method for method in self._named()]

    def _named(self) -> list[Method | None]:
        return [self._modules.get(name) for name in self.columns]


@contextlib.contextmanager
def by_rows(model: nn.Module, adapters: Sequence[Named]) -> Iterator[None]:
    """While it lasts, each of these adapters of `model` acts on its own rows of the batch, any other one on none.

    The rows are cut into as many equal pieces as `adapters` has entries, in that order; an adapter may stand in it more
    than once. A single one acts on all rows, alone; with none the model is as if it had no adapters. Where activations
    are checkpointed, the backward pass belongs in it as well. What goes into an adapted layer must have the batch as
    its first dimension.

    Raises ValueError, at the first layer, for a batch that cannot be cut so.
    """
    slots = [module for module in model.modules() if isinstance(module, Slot)]
    before = [slot.columns for slot in slots]
    for slot in slots:
        slot.columns = tuple(adapter.name for adapter in adapters)
    try:
        yield
    finally:
        for slot, columns in zip(slots, before, strict=True):
            slot.columns = columns


def _turning_alone(active: list[Method]) -> Method | None:
    """The one active method, if it can turn the layer's input and output directly."""
    return active[0] if len(active) == 1 and active[0].turns_input and active[0].strength == 1 else None


def before(linear: nn.Linear, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
    """The forward pre-hook of layers with a method that turns their input."""
    slot: Slot = linear._modules[CHILD]
    x, others = (args[0], args[1:]) if args else (kwargs["input"], ())
    if (columns := slot.by_rows()) is not None:
        x = rows.turn_inputs(columns, x)
    elif (method := _turning_alone(slot.active())) is not None:
        x = method.turn_input(x)
    else:
        return None
    return (x, *others), {name: value for name, value in kwargs.items() if name != "input"}


def _after(linear: nn.Linear, args: tuple, kwargs: dict, y0: Tensor) -> Tensor:
    slot: Slot = linear._modules[CHILD]
    x = args[0] if args else kwargs["input"]
    if (columns := slot.by_rows()) is not None:
        return rows.add(columns, y0, x, linear)
    active, y = slot.active(), y0
    if (method := _turning_alone(active)) is not None:
        return method.turn_output(y0, linear.bias)
    if len(active) == 1:
        return active[0].add_alone(y0, x, linear)
    for method in active:
        y = method.add_to(y, x, linear, y0)
    return y
