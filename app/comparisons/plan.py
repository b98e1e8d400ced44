"""What is compared: methods at multiples of their own learning rates, ranks, lambdas and seeds, each a column."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app import words
from training import presets
from training.adapterspec import METHODS, read_fields
from training.errors import BadInput

LEAST, MOST = 2, 8  # columns
LARGEST_RATE = 1000.0  # times the preset's: beyond every study's, and far from what overflows
# The paper's Fig. 8, without step 0, which every run draws. The toy model's balanced preset has a fifth of the steps of
# Stable Diffusion's thorough one, and so has its schedule.
FIG_8 = (200, 600, 1000, 1400, 1800, 2200, 2600)
SAVES: dict[presets.BaseKind, tuple[int, ...]] = {"sd": FIG_8, "embedded": tuple(step // 5 for step in FIG_8)}

Rate = Annotated[float, Field(gt=0, le=LARGEST_RATE, allow_inf_nan=False)]


class Column(BaseModel):
    """One column of a comparison.

    rate: what the method's preset learning rates are multiplied by. rank, lambda_, seed: None where they are not what
    is compared, or the method has none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: Literal[METHODS]
    rate: Rate = 1.0
    rank: Annotated[int, Field(ge=1, le=4096)] | None = None
    lambda_: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class Plan(BaseModel):
    """The values of each thing that differs; every method is taught with all of them. saves: () is the base model's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...]
    rates: tuple[float, ...] = (1.0,)
    ranks: tuple[int, ...] = ()
    lambdas: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    saves: tuple[int, ...] = ()

    def schedule(self, kind: presets.BaseKind) -> tuple[int, ...]:
        """The steps to save at, the last of which is the last step."""
        return self.saves or SAVES[kind]


def parse(given: Mapping[str, str]) -> Plan:
    """A plan as it is typed: {"methods": "delora, lora", "rates": "1, 2, 4"}. Raises BadInput naming the field."""
    methods = tuple(dict.fromkeys(_parts(given.get("methods", ""))))
    for method in methods:
        if method not in METHODS:
            raise BadInput(f"There is no method {method!r}.", f"Choose among {', '.join(METHODS)}.", "methods")
    return Plan(
        methods=methods,
        rates=_numbers(given, "rates", float, 0, LARGEST_RATE) or (1.0,),
        ranks=_numbers(given, "ranks", int, 0, 4096),
        lambdas=_numbers(given, "lambdas", float, 0, 1e6),
        seeds=_numbers(given, "seeds", int, -1, 2**31 - 1),
        saves=tuple(sorted(_numbers(given, "saves", int, 0, 100_000))),
    )


def columns(plan: Plan) -> list[Column]:
    """The columns, method by method. Raises BadInput where they are too few or too many."""
    found: dict[Column, None] = {}
    ways = (plan.methods, plan.ranks or (None,), plan.lambdas or (None,), plan.seeds or (None,), plan.rates)
    for method, rank, lambda_, seed, rate in itertools.product(*ways):
        has = read_fields(method)
        own = {"rank": rank if "rank" in has else None, "lambda_": lambda_ if "lambda_" in has else None}
        found[Column(method=method, rate=rate, seed=seed, **own)] = None  # what a method lacks makes no second column
    if not LEAST <= len(found) <= MOST:
        remedy = "Take fewer values." if len(found) > MOST else "Choose a second method, rate, rank, lambda or seed."
        raise BadInput(f"These are {words.counted(len(found), 'column')}; {LEAST} to {MOST} fit.", remedy, "methods")
    return list(found)


def labels(columns: Sequence[Column]) -> list[str]:
    """What to call each column: its method, and what else differs among them: "DeLoRA ×8, rank 4"."""
    differ = {key for key in Column.model_fields if len({getattr(column, key) for column in columns}) > 1}
    found = []
    for column in columns:
        rate = f" ×{column.rate:g}" if "rate" in differ else ""
        others = ((key, getattr(column, key)) for key in ("rank", "lambda_", "seed") if key in differ)
        told = (f"{key.strip('_')} {value:g}" for key, value in others if value is not None)
        found.append(", ".join([words.method(column.method) + rate, *told]))
    return found


def _parts(text: str) -> list[str]:
    return [part for part in text.replace(",", " ").split() if part]


def _numbers(given: Mapping[str, str], field: str, kind: type, above: float, most: float) -> tuple:
    """The numbers of a field, each once. Raises BadInput for what is none, or not above `above` and up to `most`."""
    found = {}
    for part in _parts(given.get(field, "")):
        try:
            number = kind(part)
        except ValueError:
            number = math.nan
        if not above < number <= most:
            what = "whole numbers" if kind is int else "numbers"
            asked = f"They are {what} above {above:g} and up to {most:g}." if above >= 0 else f"They are {what} from 0."
            raise BadInput(f"{field}: {part[:40]!r} cannot be used.", asked, field)
        found[number] = None
    return tuple(found)
