"""RunView: everything that a page shows of a run, read from its folder, only what is new since the last look."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from app import words
from app.computer.damaged import Fault
from app.web.reading import folders, progress
from app.web.reading.journal import Journal, journal
from app.web.reading.progress import Left
from app.web.reading.waiting import Place, place
from app.work.engines import Engine
from evaluation.recommend import Recommendation
from evaluation.scorebook import Book
from training.maps.dataset import Example
from training.runs.run import Run
from training.runs.states import RunState
from training.spec import RunSpec

SILENT_SECONDS = 15.0  # without a sign of life for this long it is told as a worry
DOING = {
    "": "starting",
    "prepare": "preparing",
    "waiting for the device": "waiting for the device",
    "class pictures": "drawing class pictures",
    "train": "training",
    "draw": "drawing test pictures",
    "score": "scoring",
    "export": "writing files",
}
OF_THE_BASE = {"draw": "drawing the base model's pictures", "score": "scoring the base model's pictures"}


@dataclass(frozen=True)
class RunView:
    """A run as it stood at `now`.

    Attributes:
        name: what the person calls it.
        pictures: file names of the pictures that are learned from.
        held: the held-out pairs that a run of maps draws, () of a subject.
        samples: step -> file names of the pictures drawn there, prompt by prompt and seed by seed; 0 is the base model.
        saves: the steps that are saved and still there.
        book: the scores, None before the first or where they are damaged.
        record: what the export wrote about its files, or None.
        place: where the run waits, None where it does not or nobody knows.
        stop_asked: when somebody asked it to stop, in seconds since 1970, or None.
        faults: the files that cannot be read and that the rest goes on without.
    """

    run: Run
    name: str
    spec: RunSpec
    state: RunState
    journal: Journal
    pictures: tuple[str, ...]
    samples: dict[int, tuple[str, ...]]
    saves: tuple[int, ...]
    book: Book | None
    score_error: str
    record: dict[str, Any] | None
    place: Place | None
    stop_asked: float | None
    now: float
    faults: tuple[Fault, ...] = ()
    held: tuple[Example, ...] = ()

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def live(self) -> bool:
        """Whether a process should be at work on it."""
        return not self.state.ended and self.state.name != "queued"

    @property
    def step(self) -> int:
        """The last step made."""
        if self.state.name == "done":
            return self.spec.steps
        if self.live and self.journal.steps:
            return self.journal.step
        return max(self.state.step, self.journal.step, self.spec.start_step or 0)

    @property
    def trains(self) -> bool:
        """Whether its newest attempt has come to training: what is drawn and scored before is of the base model."""
        return "train" in self.journal.entered or (self.live and self.state.phase == "train")

    @property
    def percent(self) -> int | None:
        """See `progress.percent`."""
        return progress.percent(self.spec, self.state, self.step)

    @cached_property
    def left(self) -> Left | None:
        """See `progress.left`."""
        scored = self.book.saves if self.book else {}
        planned = progress.planned_saves(self.spec)
        undrawn = sum(step not in self.samples for step in planned)
        unscored = sum(step not in scored for step in planned)
        found = progress.left(self.spec, self.state, self.journal, self.step, undrawn, unscored)
        return found if self.trains or found is None else replace(found, at_least=True)  # what goes before is not known

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since the last sign of life of a run at work."""
        return max(0.0, self.now - self.state.heartbeat) if self.live and self.state.heartbeat else None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return self.state.name == "stopping" or (self.live and self.stop_asked is not None)

    @property
    def exports(self) -> list[dict[str, Any]]:
        """The exported files, as `app.adapters.exporting.export_run` recorded them."""
        return self.record["files"] if self.record else []

    @cached_property
    def recommendation(self) -> Recommendation | None:
        """The rule's answer on the scores there are; before the first, None."""
        first = next(iter(progress.planned_saves(self.spec)))
        return folders.advice(self.run, self.book, self.name, first) if self.book else None

    @property
    def best(self) -> int | None:
        """The save to show first: the recommended one, else the one that lacks least."""
        advice = self.recommendation
        return (advice.step or advice.instead) if advice else None


def view(run: Run, engine: Engine | None = None) -> RunView:
    """The run as it stands now. engine: who is asked what is ahead of a waiting run.

    Raises:
        StudioError: spec.json or state.json is missing or damaged.
    """
    state = run.state()
    book, error = folders.scores(run)
    return RunView(
        run=run,
        name=folders.name(run),
        spec=folders.spec(run),
        state=state,
        journal=journal(run.path),
        pictures=tuple(name for name in folders.pictures(run.path / "dataset") if not name.endswith(".map.png")),
        samples=folders.samples(run),
        saves=folders.saves(run),
        book=book,
        score_error=error,
        record=folders.record(run),
        place=place(run, engine) if state.name == "queued" else None,
        stop_asked=None if state.ended else _stop_asked(run),
        now=time.time(),
        faults=tuple(folders.faults(run)),
        held=folders.held_out(run),
    )


def strip_words(view: RunView) -> str:
    """The run in one line, for the strip on every page."""
    name, state = view.name, view.state
    if state.name == "queued":
        return f"{name} {waits(view)}."
    if view.stopping:
        return f"{name}: saving, then stopping."
    if state.name == "starting":
        return f"{name}: {state.message}" if state.message else f"{name} is starting."
    if state.name == "running":
        trained = view.percent or 0
        whole = " (trained)" if view.step >= view.spec.steps else f" ({trained} % trained)" if trained else ""
        share = f" {trained} %" if state.phase == "train" else whole
        told = left_words(view.left)
        return f"{name}: {doing(view)}{share}{', ' + told if told else ''}. You can close this page."
    if state.name == "stopped":
        return f"{name} is stopped at step {view.step}." if view.step else f"{name} is stopped; nothing was trained."
    if state.name == "interrupted":
        return f"{name} was interrupted at step {view.step}."
    return f"{name} failed at step {view.step}." if state.name == "failed" else f"{name} is done."


def waits(view: RunView) -> str:
    """A waiting run's place: "waits: 2 runs are ahead"."""
    if view.place is None:
        return "waits in the queue"
    ahead = len(view.place.ahead)
    return f"waits: {words.counted(ahead, 'run is', 'runs are')} ahead" if ahead else "is next in the queue"


def doing(view: RunView) -> str:
    """What a live run is doing, as a verb."""
    phase = view.state.phase
    return OF_THE_BASE[phase] if phase in OF_THE_BASE and not view.trains else DOING.get(phase, phase)


def left_words(left: Left | None) -> str:
    """ "about 6 min left", or nothing where it is not known, or what is left takes longer than was thought."""
    if left is None or left.seconds < 1:
        return ""
    told = words.duration(left.seconds).removeprefix("about ") if left.at_least else words.about(left.seconds)
    return f"{'at least ' if left.at_least else ''}{told} left"


def _stop_asked(run: Run) -> float | None:
    try:
        return (run.path / "stop").stat().st_mtime
    except OSError:
        return None
