"""How far a run is: its phases with counts, its percent, and the time left from what this run has measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.pages.parts.journal import Journal
from training.spec import RunSpec
from training.states import RunState

if TYPE_CHECKING:
    from app.pages.parts.follow import RunView

BEFORE = ("", "prepare")  # a live run's phases before the first work on pictures
WAITING = "waiting for the device"  # before it, or after a save while somebody else draws


@dataclass(frozen=True)
class Phase:
    """One phase of a run.

    status: "pending", "now", "part" (begun, and something else is going on) or "done". count: how far, in words.
    """

    name: str
    status: Literal["pending", "now", "part", "done"]
    count: str = ""


@dataclass(frozen=True)
class Left:
    """Time left in seconds.

    at_least: it waits for somebody else, or a part of the work is not measured yet; neither is in it.
    """

    seconds: float
    at_least: bool = False


def planned_saves(spec: RunSpec) -> list[int]:
    """The steps at which the run saves, draws and scores."""
    first = spec.start_step or 0
    begun = [spec.start_step] if spec.start_step else []  # a run made longer draws the save it begins with as well
    steps = range((first // spec.save_every + 1) * spec.save_every, spec.steps, spec.save_every)
    return [*begun, *steps, spec.steps]


def percent(spec: RunSpec, state: RunState, step: int) -> int | None:
    """Share of the training's steps that are made; 100 only when everything is done, None while it waits."""
    if state.name == "done":
        return 100
    if state.name == "queued" and not step:
        return None
    first = spec.start_step or 0
    return max(0, min(99, int(100 * (step - first) / (spec.steps - first))))


def left(spec: RunSpec, state: RunState, journal: Journal, step: int, undrawn: int, unscored: int) -> Left | None:
    """Time left of a run at work: its steps, and drawing and scoring the saves to come. None before the first step."""
    a_step = journal.seconds_per_step
    if a_step is None or state.ended or state.name == "queued":
        return None
    seconds, unknown = (spec.steps - step) * a_step, state.phase == WAITING
    for count, each, phase in ((undrawn, journal.draw_seconds, "draw"), (unscored, journal.score_seconds, "score")):
        if count and each is None:
            unknown = True
        elif count:
            begun = state.done / state.total if state.phase == phase and state.total else 0.0
            seconds += (count - min(begun, 1.0)) * each
    return Left(seconds, unknown)


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
