"""A waiting run's place in the queue: what the engine says is ahead of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from app.work.engines import Engine, Running, Status, Waiting, split_name
from training.errors import StudioError
from training.runs.run import Run

POLL_SECONDS = 0.5  # several waiting runs on one page ask once


@dataclass(frozen=True)
class Place:
    """ahead: the runs that go before it, the first one first, each with whether it is at work."""

    ahead: tuple[tuple[Run, bool], ...]


def place(run: Run, engine: Engine | None) -> Place | None:
    """Where a run waits; None where the engine is not known, does not answer, or does not know the run."""
    jobs = _poll(engine) if engine else None
    return find(run, jobs) if jobs is not None else None


def find(run: Run, jobs: Mapping[str, Status]) -> Place | None:
    """The same from what `Engine.poll` gave. Drawings of the Generate page, which wait elsewhere, are left out."""
    folder = run.path.parent
    waiting, running = [], []
    for name, status in jobs.items():
        other = Run(folder / split_name(name)[0])
        if isinstance(status, Waiting):
            waiting.append((status.ahead, other))
        elif isinstance(status, Running) and other.id != run.id and _open(other):
            running.append((status.since, other))
    mine = next((ahead for ahead, other in waiting if other.id == run.id), None)
    if mine is None:
        return None
    before = [(ahead, other) for ahead, other in waiting if ahead < mine and _open(other)]
    in_order = [(other, True) for _, other in sorted(running, key=lambda pair: pair[0])]
    return Place((*in_order, *((other, False) for _, other in sorted(before, key=lambda pair: pair[0]))))


def _open(run: Run) -> bool:
    """Whether this is a run that has not ended."""
    try:
        return not run.state().ended
    except StudioError:
        return False


_polls: WeakKeyDictionary[Engine, tuple[float, dict[str, Status] | None]] = WeakKeyDictionary()
_lock = threading.Lock()


def _poll(engine: Engine) -> dict[str, Status] | None:
    with _lock:
        when, jobs = _polls.get(engine, (-POLL_SECONDS, None))
        if time.monotonic() - when >= POLL_SECONDS:
            try:
                jobs = engine.poll()
            except Exception:  # a cluster that is away, a damaged queue: the page says that it does not know
                jobs = None
            _polls[engine] = time.monotonic(), jobs
        return jobs
