"""Events: JSON objects, one a line, appended while a run goes on.

Kinds: "step" (loss and its parts, learning rates, seconds, memory; "together": how many runs shared its pass of the
UNet), "geometry" (per adapted layer the distance from the pretrained weight and its bound), "save", "resume" (from
which step), "attempt", "phase" and "note" (words).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from training import atomic, jsonfile
from training.errors import from_os_error
from training.jsonfile import Count, Figure, Moment

LONGEST_LINE = 4 * 2**20  # bytes; a measurement of all layers of Stable Diffusion has 0.1 million


class _Event(BaseModel):
    """What every event may hold. Strict, so that the plain values are as good as the checked ones."""

    model_config = ConfigDict(strict=True, extra="ignore")

    kind: str = ""
    time: Moment = 0.0
    phase: str = ""


class _Step(_Event):
    step: Count
    loss: Figure | None = None
    lr: Figure | None = None
    lr_lambda: Figure | None = None
    grad_norm: Figure | None = None
    seconds: Figure | None = None
    memory_mb: Figure | None = None


class _Layer(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    distance: Figure | None
    bound: Figure | None
    reach: Figure | None
    lambda_: Figure | None = Field(alias="lambda")


class _Geometry(_Event):
    step: Count
    layers: dict[str, _Layer] = Field(min_length=1)


class _At(_Event):
    step: Count


class _Phase(_Event):
    phase: str


class _Note(_Event):
    words: str


KINDS: dict[str, type[_Event]] = {
    "step": _Step,
    "geometry": _Geometry,
    "save": _At,
    "resume": _At,
    "phase": _Phase,
    "note": _Note,
}


def append(path: Path, *found: dict[str, Any]) -> None:
    """Append events, all or none. NaN and infinity become null, since JSON has no word for them."""
    lines = [json.dumps(finite(event), ensure_ascii=False, allow_nan=False) for event in found]
    try:
        atomic.append_line(path, "\n".join(lines))
    except OSError as error:
        raise from_os_error(error, path) from error


def read_from(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The events after byte `offset` and the offset to go on from. Torn and foreign lines are passed over.

    What an event of a known kind is made of, see below, is there and has the type that it is written with.
    """
    found, at = [], offset
    try:
        with jsonfile.open_regular(path) as file:
            file.seek(offset)
            while line := file.readline(LONGEST_LINE):
                if not line.endswith(b"\n"):
                    break  # still being written; or far too long for an event, so that what follows is none either
                at += len(line)
                if (event := _parse(line)) is not None:
                    found.append(event)
    except (OSError, OverflowError):  # not there, or something else that has its name
        return found, at if found else 0
    return found, at


def without_repeats(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events without those of steps that were lost in a crash and made again after a "resume" event."""
    kept: list[dict[str, Any]] = []
    for event in found:
        if event.get("kind") == "resume":
            kept = [old for old in kept if _step(old) <= event["step"]]
        kept.append(event)
    return kept


def finite(value: Any) -> Any:
    """The same value with None for every NaN and infinity in it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def _step(event: dict[str, Any]) -> int:
    return event["step"] if event.get("kind") in ("step", "geometry", "save", "resume") else 0


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = jsonfile.from_json(line)
        if not isinstance(event, dict):
            return None
        KINDS.get(event.get("kind"), _Event).model_validate(event)
    except (ValueError, TypeError):  # TypeError: a kind that is a list
        return None
    return event
