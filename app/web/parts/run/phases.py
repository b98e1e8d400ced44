"""A run's phases, Prepare to Export, each with how far it is in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app import words
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves
from training.runs.states import RunState


@dataclass(frozen=True)
class Phase:
    """One phase of a run.

    status: "pending", "now", "part" (begun, and something else is going on) or "done". count: how far, in words.
    """

    name: str
    status: Literal["pending", "now", "part", "done"]
    count: str = ""


def phases(view: RunView) -> list[Phase]:
    """Prepare, Class pictures, Train, Draw, Score and Export, as far as each is.

    The row goes forward only: what is drawn and scored before training is of the base model and belongs to Prepare,
    and what is prepared after the class pictures (of them) belongs to Train.
    """
    spec, state, journal = view.spec, view.state, view.journal
    now, finished, saves = at_work(view), state.name == "done", planned_saves(spec)
    begun = bool(journal.steps)

    def phase(name: str, key: str, done: bool, part: bool = False, count: str = "") -> Phase:
        status = "done" if finished else "now" if now == key else "done" if done else "part" if part else "pending"
        return Phase(name, status, count)

    made = begun or view.trains
    prepared = made or "class pictures" in journal.entered or now == "class pictures"
    found = [phase("Prepare", "prepare", prepared, bool(journal.entered), _preparing(state, now))]
    if spec.with_prior:
        made = made or now == "train"
        count = _pictures(state, spec.class_pictures) if now == "class pictures" else ""
        count = f"{spec.class_pictures} of {spec.class_pictures}" if made or finished else count
        found.append(phase("Class pictures", "class pictures", made, "class pictures" in journal.entered, count))
    steps = f"step {view.step} of {spec.steps}" if begun or finished else f"{spec.steps} steps"
    found.append(phase("Train", "train", view.step >= spec.steps, view.step > 0, steps))
    drawn, scored = view.samples, view.book.saves if view.book else {}
    for name, have, key in (("Draw", drawn, "draw"), ("Score", scored, "score")):
        there = sum(step in have for step in saves)
        count = f"{there} of {len(saves)} saves" if begun or there else words.counted(len(saves), "save")
        if now == key == "draw" and state.total:
            count += f", picture {int(state.done)} of {state.total}"
        found.append(phase(name, key, there == len(saves), there > 0, count))
    files = f"{len(view.exports)} files" if view.exports else ""
    found.append(phase("Export", "export", bool(view.exports), count=files))
    return found


def at_work(view: RunView) -> str:
    """The phase of the row that the run is in; "" where it has ended, or waits for the device between two saves."""
    state, entered = view.state, view.journal.entered
    if not view.live:
        return ""
    if state.name == "starting":
        return "prepare"
    if view.trains or state.phase == "class pictures":
        return state.phase
    return "train" if state.phase == "prepare" and "class pictures" in entered else "prepare"


def _preparing(state: RunState, now: str) -> str:
    """What is done of the base model's pictures while that is going on."""
    if now != "prepare" or state.phase not in ("draw", "score"):
        return ""
    if state.phase == "score":
        return "scoring the base model's pictures"
    return "the base model's pictures" + (f" {int(state.done)} of {state.total}" if state.total else "")


def _pictures(state: RunState, wanted: int) -> str:
    """How many class pictures there are; the count of an earlier phase may still stand in the state."""
    return f"{int(state.done)} of {wanted}" if state.total == wanted else f"{wanted} wanted"
