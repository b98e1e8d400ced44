"""Several adapters at work at once, each on its own rows of the batch: N trainings in one pass of a frozen model.

    with delora.by_rows([a, b, c, d]):
        y = model(x)  # (8, ...): rows 0-1 are seen by a alone, 2-3 by b, 4-5 by c, 6-7 by d
        y.square().mean(dim=1).sum().backward()

The frozen weights make one product with all rows, forward and backward. What an adapter adds is made from its own rows:
for neighbours of one kind (method, rank, start) in one batched product, (N, tokens, in) x (N, in, r); for others one
after another. So put like beside like.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from .fused import Rows, Share, fusable, fused_add_shares
from .methods import Additive, Method
from .products import Factors

Column = Method | None  # None: the base model as it is


def turn_inputs(columns: Sequence[Column], x: Tensor) -> Tensor:
    """The layer's input, (N n, ..., in), its rows turned by those columns that turn."""
    if not any(map(_turns, columns)):
        return x
    pieces = zip(columns, _cut(x, len(columns)), strict=True)
    return torch.cat([method.turn_input(piece) if _turns(method) else piece for method, piece in pieces])


def add(columns: Sequence[Column], y0: Tensor, x: Tensor, linear: nn.Module) -> Tensor:
    """The layer's output with each column's share in its rows; y0 = W x + b, (N n, ..., out), may be consumed."""
    fused = [_fuses(method) and fusable(linear, y0) for method in columns]
    if any(fused):
        y0 = _add_fused([m if own else None for m, own in zip(columns, fused, strict=True)], y0, x, linear)
    if all(done or method is None for method, done in zip(columns, fused, strict=True)):
        return y0
    n, pieces = len(columns), []
    for method, done, y, own in zip(columns, fused, _cut(y0, n), _cut(x, n), strict=True):
        if done or method is None:
            pieces.append(y)
        elif _turns(method):
            pieces.append(method.turn_output(y, linear.bias))
        else:
            pieces.append(method.add_to(y, own, linear, y))
    return torch.cat(pieces)


def _add_fused(columns: Sequence[Column], y0: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
    _cut(x, len(columns))
    tokens = x[..., 0].numel() // len(columns)
    stated = [None if method is None else method.stated(y0.dtype) for method in columns]
    shares, first = [], 0
    for kind, alike in groupby(stated, _kind):
        alike = list(alike)
        last = first + len(alike) * tokens
        if kind is not None:
            shares.append(_joined(alike, Rows(first, last, len(alike))))
        first = last
    return fused_add_shares(y0, x.to(y0.dtype), linear.weight, shares)


def _kind(stated: tuple | None) -> tuple | None:
    """What two neighbours must have in common to be computed together."""
    if stated is None:
        return None
    recipe, parameters, minus = stated
    return recipe, [t.shape for t in parameters], None if minus is None else minus.down.shape


def _joined(stated: Sequence[tuple], rows: Rows) -> Share:
    if len(stated) == 1:
        return Share(rows, *stated[0])
    recipes, parameters, minus = zip(*stated, strict=True)
    stacked = tuple(torch.stack(tensors) for tensors in zip(*parameters, strict=True))
    start = None if minus[0] is None else Factors(*(torch.stack(t) for t in zip(*minus, strict=True)))
    return Share(rows, recipes[0], stacked, start)


def _fuses(method: Column) -> bool:
    # DoRA is additive only in what it multiplies, and so adds in its own way.
    additive = method is not None and type(method).add_alone is Additive.add_alone
    return additive and not (method.dropout and method.training)


def _turns(method: Column) -> bool:
    return method is not None and method.turns_input and method.strength == 1


def _cut(t: Tensor, n: int) -> tuple[Tensor, ...]:
    """The rows of each column. Raises ValueError where the batch is no whole number of rows for each."""
    if len(t) % n:
        raise ValueError(f"by_rows: a batch of {len(t)} cannot be shared by {n} adapters.")
    return t.split(len(t) // n)
