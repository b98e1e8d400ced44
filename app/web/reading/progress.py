"""How far a run is: its percent, and the time left from what this run has measured."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.reading.journal import Journal
from training.runs.states import RunState
from training.spec import RunSpec

WAITING = "waiting for the device"  # before it, or after a save while somebody else draws


@dataclass(frozen=True)
class Left:
    """Time left in seconds.

    at_least: a part of the work is not measured yet, and not in it.
    """

    seconds: float
    at_least: bool = False


def planned_saves(spec: RunSpec) -> list[int]:
    """The steps at which the run saves, draws and scores."""
    begun = [spec.start_step] if spec.start_step else []  # a run made longer draws the save it begins with as well
    return [*begun, *spec.saves]


def percent(spec: RunSpec, state: RunState, step: int) -> int | None:
    """Share of the training's steps that are made; 100 only when everything is done, None while it waits."""
    if state.name == "done":
        return 100
    if state.name == "queued" and not step:
        return None
    first = spec.start_step or 0
    return max(0, min(99, int(100 * (step - first) / (spec.steps - first))))


def left(spec: RunSpec, state: RunState, journal: Journal, step: int, undrawn: int, unscored: int) -> Left | None:
    """Time left of a run at work: its steps, and drawing and scoring the saves to come.

    None before the first step, while it waits for somebody else, and where it only stops or writes its files.
    """
    a_step = journal.seconds_per_step
    if a_step is None or state.name not in ("starting", "running") or state.phase in (WAITING, "export"):
        return None
    seconds, unknown = (spec.steps - step) * a_step, False
    for count, each, phase in ((undrawn, journal.draw_seconds, "draw"), (unscored, journal.score_seconds, "score")):
        if count and each is None:
            unknown = True
        elif count:
            begun = state.done / state.total if state.phase == phase and state.total else 0.0
            seconds += (count - min(begun, 1.0)) * each
    return Left(seconds, unknown)
