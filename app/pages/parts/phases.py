"""A run's phases, Prepare to Export, each with how far it is in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.pages.parts.follow import RunView
from app.pages.parts.progress import WAITING, planned_saves
from training.states import RunState

BEFORE = ("", "prepare")  # a live run's phases before the first work on pictures


@dataclass(frozen=True)
class Phase:
    """One phase of a run.

    status: "pending", "now", "part" (begun, and something else is going on) or "done". count: how far, in words.
    """

    name: str
    status: Literal["pending", "now", "part", "done"]
    count: str = ""


def phases(view: RunView) -> list[Phase]:
    """Prepare, Class pictures, Train, Draw, Score and Export, as far as each is."""
    spec, state, journal = view.spec, view.state, view.journal
    live = view.live
    now = state.phase if live else None
    seen, begun, finished = journal.phase_seconds, bool(journal.steps), state.name == "done"
    saves = planned_saves(spec)

    def phase(name: str, key: str, done: bool, part: bool = False, count: str = "") -> Phase:
        working = now == key or (key == "prepare" and (now in BEFORE or (now == WAITING and not begun)))
        status = "done" if finished else "now" if working else "done" if done else "part" if part else "pending"
        return Phase(name, status, count)

    prepared = begun or bool({"draw", "score", "class pictures", "train"} & seen.keys())
    found = [phase("Prepare", "prepare", prepared)]
    if spec.with_prior:
        made = begun or "train" in seen
        count = _pictures(state, spec.class_pictures) if now == "class pictures" else ""
        count = f"{spec.class_pictures} of {spec.class_pictures}" if made or finished else count
        found.append(phase("Class pictures", "class pictures", made, count=count))
    steps = f"step {view.step} of {spec.steps}" if begun or finished else f"{spec.steps} steps"
    found.append(phase("Train", "train", view.step >= spec.steps, view.step > 0, steps))
    drawn, scored = set(view.samples), set(view.book.saves) | {0} if view.book else set()
    for name, have, key in (("Draw", drawn, "draw"), ("Score", scored, "score")):
        made = sum(step in have for step in saves)
        count = f"{made} of {len(saves)} saves" if 0 in have else "the base model first"
        if now == key == "draw" and state.total:
            count += f", picture {int(state.done)} of {state.total}"
        found.append(phase(name, key, 0 in have and made == len(saves), 0 in have, count))
    files = f"{len(view.exports)} files" if view.exports else ""
    found.append(phase("Export", "export", bool(view.exports), count=files))
    return found


def _pictures(state: RunState, wanted: int) -> str:
    """How many class pictures there are; the count of an earlier phase may still stand in the state."""
    return f"{int(state.done)} of {wanted}" if state.total == wanted else f"{wanted} wanted"
