"""Whom a drawing waits for and how long, in a sentence: read from the run that is being trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from app.work import devices
from training.errors import StudioError
from training.runs import events
from training.runs.run import Run

TAIL_BYTES = 1 << 18  # of events.jsonl: holds the last save and the steps since, whatever a run's length
STEPS = 20  # the mean of this many step times


def sentence(data: Path) -> str:
    """Whom the device's next owner waits for; "" where nobody holds it."""
    holder = devices.present(data)
    if holder is None:
        return ""
    run, words = Run(Path(data) / "runs" / holder.run), f"Waiting for the device: {holder.who}."
    if not holder.run:
        return words
    try:
        spec = run.spec
    except StudioError:  # deleted in this moment
        return words
    recent = _tail(run)
    if _phase(recent) == "export":
        return f"{run.name} is trained and its files are being written; the device is free in a moment."
    seconds = seconds_to_save(recent, spec.saves)
    when = "" if seconds is None else f", {_about(seconds)}"
    return f"{run.name} is training; it pauses for you at its next save{when}."


def seconds_to_save(recent: list[dict], saves: Sequence[int], now: float | None = None) -> float | None:
    """How long a training takes to its next save and until that is drawn and scored; None before its first step.

    Args:
        recent: its last events, oldest first.
        saves: the steps at which it saves, ascending.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    recent = [event for event in recent if event.get("time") is not None]
    made = [event for event in recent if event.get("kind") == "step" and event.get("seconds") is not None][-STEPS:]
    if not made:
        return None
    phases = [event for event in recent if event.get("kind") == "phase"]
    begun, cost = None, 0.0  # when the drawing of a save began; how long drawing and scoring one took
    for event in phases:
        if event["phase"] == "draw":
            begun = event["time"]
        elif event["phase"] in ("train", "waiting for the device") and begun is not None:
            begun, cost = None, event["time"] - begun
    if begun is not None:
        return max(0.0, begun + cost - now)
    step = made[-1]["step"]
    ahead = next((save for save in saves if save > step), step) - step
    return max(0.0, ahead * sum(event["seconds"] for event in made) / len(made) - (now - made[-1]["time"])) + cost


def _tail(run: Run) -> list[dict]:
    path = run.path / "events.jsonl"
    size = path.stat().st_size if path.is_file() else 0
    return events.read_from(path, max(0, size - TAIL_BYTES))[0]


def _phase(recent: list[dict]) -> str:
    return next((event["phase"] for event in reversed(recent) if event.get("kind") == "phase"), "")


def _about(seconds: float) -> str:
    if seconds < 5:
        return "any moment now"
    return f"in about {5 * round(seconds / 5)} s" if seconds < 90 else f"in about {round(seconds / 60)} min"
