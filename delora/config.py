"""AdapterConfig: everything that defines an adapter before its first training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

METHODS: dict[str, type] = {}  # name -> subclass of `methods.Method`; `methods.register` puts them in
COMMON = ("method", "targets", "dropout")  # fields that every method reads
PATTERNS = {"rank_pattern": "rank", "lambda_pattern": "lambda_"}  # per-layer values of the field they name


@dataclass(frozen=True)
class AdapterConfig:
    """What to attach, and where.

    A field left at None takes the method's own default. A field that the method does not read must stay at its
    default: a LoRA with a lambda_max would promise a bound that it does not keep.
    """

    method: str = "delora"  # a key of delora.METHODS
    rank: int = 16  # r; for the high-rank reflections r / 2 on each side
    alpha: float | None = None  # LoRA's alpha (Eq. 1); None is 2 * rank, as in the paper
    lambda_: float | None = None  # the bound's start
    weight_norm: str = "column"  # "column": norms of W's columns; "frobenius": one ||W||_F (Eq. 8)
    init: str = "frozen-copy"  # "frozen-copy" (Eq. 9) or "zero" (B = 0)
    lambda_max: float | None = None  # a hard ceiling on |lambda|
    blocks: int | None = None  # n blocks of the block-diagonal methods
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")  # ends of the linear layers' names
    rank_pattern: Mapping[str, int] = field(default_factory=dict)  # end of a name -> rank; the longest end wins
    lambda_pattern: Mapping[str, float] = field(default_factory=dict)  # the same for lambda_
    dropout: float = 0.0  # on the activations that enter the adapter, while training

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        for name in PATTERNS:  # read-only, so that a frozen config is frozen all the way down
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if self.method not in METHODS:
            raise ValueError(f"method: there is no {self.method!r}. Choose one of {', '.join(sorted(METHODS))}.")
        self._check_unread_fields()
        self._check_values()

    def _check_unread_fields(self) -> None:
        read = {*COMMON, *METHODS[self.method].options}
        read |= {pattern for pattern, name in PATTERNS.items() if name in read}
        for f in fields(self):
            if f.name not in read and getattr(self, f.name) != _default(f):
                raise ValueError(f"{f.name}: {self.method} has no such setting. Leave it out.")

    def _check_values(self) -> None:
        if not self.targets or not all(isinstance(t, str) and t for t in self.targets):
            raise ValueError("targets: name at least one layer to adapt, for example to_q.")
        for name, value in {"rank": self.rank, "blocks": self.blocks, **_named("rank_pattern", self)}.items():
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name}: must be a whole number of at least 1, not {value!r}.")
        for name in ("alpha", "lambda_max"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: must be above 0, not {value!r}.")
        for name, value in {"lambda_": self.lambda_, **_named("lambda_pattern", self)}.items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: must be above 0, not {value!r}: at 0 the layer could not move.")
            if value is not None and self.lambda_max is not None and value > self.lambda_max:
                raise ValueError(f"{name}: {value} lies above lambda_max = {self.lambda_max}.")
        if self.weight_norm not in ("column", "frobenius"):
            raise ValueError(f"weight_norm: must be 'column' or 'frobenius', not {self.weight_norm!r}.")
        if self.init not in ("frozen-copy", "zero"):
            raise ValueError(f"init: must be 'frozen-copy' or 'zero', not {self.init!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be at least 0 and below 1, not {self.dropout!r}.")

    def for_layer(self, path: str) -> AdapterConfig:
        """The config of the layer at module path `path`: its own rank and lambda, no patterns left."""
        own = {name: match(path, getattr(self, pattern)) for pattern, name in PATTERNS.items()}
        chosen = {name: value for name, value in own.items() if value is not None}
        return replace(self, rank_pattern={}, lambda_pattern={}, **chosen)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives the same config back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "targets": list(self.targets), **{p: dict(values[p]) for p in PATTERNS}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdapterConfig:
        """The config that `to_dict` wrote. Raises ValueError for a field this version does not know."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: not a setting of an adapter.")
        return cls(**values)

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))


def match(path: str, pattern: Mapping[str, Any]) -> Any | None:
    """The value whose key is the longest end of `path` (whole names between dots), or None."""
    ends = [end for end in pattern if path == end or path.endswith(f".{end}")]
    return pattern[max(ends, key=len)] if ends else None


def _named(pattern: str, config: AdapterConfig) -> dict[str, Any]:
    return {f"{pattern}[{end!r}]": value for end, value in getattr(config, pattern).items()}


def _default(f: Any) -> Any:
    return f.default_factory() if callable(f.default_factory) else f.default
