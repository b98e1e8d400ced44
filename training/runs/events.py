"""Events: JSON objects, one a line, appended while a run goes on.

Kinds: "step" (loss and its parts, learning rates, seconds, memory), "geometry" (per adapted layer the distance from the
pretrained weight and its bound), "save", "resume" (from which step), "phase" and "note" (words for a person).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from training import atomic
from training.errors import from_os_error


def append(path: Path, *found: dict[str, Any]) -> None:
    """Append events, all or none. NaN and infinity become null, since JSON has no word for them."""
    lines = [json.dumps(finite(event), ensure_ascii=False, allow_nan=False) for event in found]
    try:
        atomic.append_line(path, "\n".join(lines))
    except OSError as error:
        raise from_os_error(error, path) from error


def read_from(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The events after byte `offset` and the offset to go on from. Torn and foreign lines are passed over."""
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data.rfind(b"\n") + 1  # a last line without its newline may still be being written
    return [event for line in data[:whole].splitlines() if (event := _parse(line)) is not None], offset + whole


def without_repeats(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events without those of steps that were lost in a crash and made again after a "resume" event."""
    kept: list[dict[str, Any]] = []
    for event in found:
        if event.get("kind") == "resume":
            kept = [old for old in kept if old.get("step", 0) <= event["step"]]
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


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
