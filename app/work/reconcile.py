"""Makes run folders and the engine agree: what the queue lost is put back, what died is said to be interrupted.

state.json is the truth about a run, the engine only knows what it started. `Reconciler.look` compares the two, at the
worker's start and while it works, and may be called by several processes: every change it makes goes through the run's
state machine, and a job put back twice has one name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.work import attempts, outcome
from app.work.engines import Engine, Need, Running, Status, Waiting, job_name, split_name
from app.work.outcome import SILENT_SECONDS
from training import room
from training.errors import StudioError
from training.runs import rundir
from training.runs.run import Run
from training.runs.states import RunState

QUEUE_SECONDS = 3.0  # a run this young may not be in the queue yet, or be at its door
ALWAYS_BYTES = 3 * room.SPARE_BYTES  # pictures, events and logs beside a save


@dataclass(frozen=True)
class Finding:
    """What was found about one run.

    kind: "put back" (lost from the queue), "ended" (its process was dead; it now has an ended state), "adopted" (at
    work, though the engine knows nothing of it), "taken out" (of the queue), "resumed" (the disk that was full has room
    again) or "unknown" (left as it is). words: for a log.
    """

    run: str
    kind: str
    words: str


class Reconciler:
    """Compares the run folders of one data folder with one engine."""

    def __init__(self, data: Path, engine: Engine, minded: Callable[[], Collection[str]] = tuple):
        """minded: the names of jobs whose end the caller itself sees and settles; they are left to it."""
        self.data, self.engine, self.minded = Path(data), engine, minded
        self._missing: dict[str, float] = {}  # queued runs that were not in the engine, and since when
        self._signs: dict[str, tuple[float, float]] = {}  # each run's newest sign of life, and since when it is known
        self._tries: dict[tuple[str, int | None], int] = {}  # (run, its newest save) -> times it was resumed by itself
        self._settled: dict[Path, int] = {}  # ended runs, by the age of their state.json: not read again

    def look(self) -> list[Finding]:
        """Compare once, and put right what is wrong; returns what there was to say."""
        try:
            jobs = self.engine.poll()
        except Exception as error:  # a cluster that is away, a damaged queue: nothing may be concluded from it
            return [Finding("", "unknown", f"The engine does not answer, so all runs are left as they are: {error}")]
        findings = [self._each(run.id, self._compare, run, jobs) for run in self._open_runs()]
        waiting = [name for name, status in jobs.items() if isinstance(status, Waiting)]
        findings += [self._each(name, self._take_out, name) for name in waiting]
        return [finding for finding in findings if finding]

    def _each(self, name: str, look: Callable[..., Finding | None], *args: Any) -> Finding | None:
        """One look; what cannot be read or written, as on a full disk, is left as it is and the next one goes on."""
        try:
            return look(*args)
        except Exception as error:
            return Finding(name, "unknown", f"{name} is left as it is for now: {error}")

    def _open_runs(self) -> list[Run]:
        """The runs that have not ended."""
        found = []
        for run in rundir.list_runs(self.data):
            path = run.path / "state.json"
            try:
                changed = path.stat().st_mtime_ns
            except FileNotFoundError:  # deleted in this moment
                continue
            if self._settled.get(path) == changed:
                continue
            state = _state(run)
            if state is not None and state.ended and not _waits_for_room(state):
                self._settled[path] = changed
            else:
                found.append(run)
        return found

    def _compare(self, run: Run, jobs: dict[str, Status]) -> Finding | None:
        state = _state(run)
        if state is None:
            return Finding(run.id, "unknown", f"Run {run.id}: state.json is damaged; the run is left as it is.")
        if state.ended:
            return self._after_a_full_disk(run, state, jobs)
        mine = {split_name(name)[1]: status for name, status in jobs.items() if split_name(name)[0] == run.id}
        running = any(isinstance(status, Running) for status in mine.values())
        if running or any(split_name(name)[0] == run.id for name in self.minded()):
            return None
        if state.name == "queued":
            return self._queued(run, state, any(isinstance(status, Waiting) for status in mine.values()))
        return self._at_work(run, state, known=any(n >= run.newest_attempt() for n in mine))

    def _queued(self, run: Run, state: RunState, waits: bool) -> Finding | None:
        if waits:
            self._missing.pop(run.id, None)
            return None
        if run.stop_requested():
            run.set_state("stopped", message="Removed from the queue.", saved_step=run.latest_checkpoint())
            return Finding(run.id, "ended", f"Run {run.id} was removed from the queue.")
        since = self._missing.setdefault(run.id, time.monotonic())
        if self._silent(run, state) < QUEUE_SECONDS or time.monotonic() - since < QUEUE_SECONDS / 2:
            return None
        del self._missing[run.id]
        self.engine.submit(run.id, attempts.upcoming(run), Need())
        return Finding(run.id, "put back", f"Run {run.id} was lost from the queue and is back in it.")

    def _at_work(self, run: Run, state: RunState, known: bool) -> Finding | None:
        """A run that says it is at work, of which the engine knows no living job."""
        stood_in = state.name == "starting" and state.pid == os.getpid()  # we did, for a job that never began
        if state.alive and not stood_in:
            return Finding(run.id, "adopted", f"Run {run.id} is at work in process {state.pid}, outside the queue.")
        if not known and self._silent(run, state) < SILENT_SECONDS:  # perhaps at work on another computer
            words = (
                f"Run {run.id} says it is at work, but its process is not to be seen here; waiting for a sign of it."
            )
            return Finding(run.id, "unknown", words)
        now = outcome.settle(run, run.newest_attempt())
        return Finding(run.id, "ended", f"Run {run.id} is {now.name}. {now.message}") if now.ended else None

    def _silent(self, run: Run, state: RunState) -> float:
        """Seconds since a run's last sign of life: by its stamp, or by our own watch where that is of time to come."""
        sign, now = max(state.heartbeat or 0.0, state.updated), time.monotonic()
        known, since = self._signs.get(run.id, (None, now))
        if known != sign:
            self._signs[run.id] = sign, (since := now)
        return max(time.time() - sign, now - since)

    def _after_a_full_disk(self, run: Run, state: RunState, jobs: dict[str, Status]) -> Finding | None:
        """Take up again what the queue's job had to leave, as soon as the disk has room for more than its next save.

        One that comes no further than before has to find twice as much each time.
        """
        if not _waits_for_room(state) or job_name(run.id, run.newest_attempt()) not in jobs:
            return None
        tries = self._tries.get((run.id, state.saved_step), 0)
        if room.free_bytes(run.path) < _next_save_bytes(run) * 2**tries:
            return None
        self._tries[run.id, state.saved_step] = tries + 1
        run.set_state("queued", cause="")
        self.engine.submit(run.id, attempts.upcoming(run), Need())
        return Finding(run.id, "resumed", f"There is room on the disk again: run {run.id} goes on.")

    def _take_out(self, name: str) -> Finding | None:
        """Take out what was stopped while it waited, by somebody who did not come to the end of it."""
        run = Run(self.data / "runs" / split_name(name)[0])
        state = _state(run)
        if state is None or state.name != "queued" or not run.stop_requested():
            return None
        self.engine.stop(name)
        return Finding(run.id, "taken out", f"Run {run.id} was taken out of the queue.")


def _waits_for_room(state: RunState) -> bool:
    """Whether a run ended for a full disk alone and goes on by itself; one that was stopped does not."""
    return state.name == "interrupted" and state.cause == "disk"


def _next_save_bytes(run: Run) -> float:
    """About what a run writes until it is saved again: twice its newest save, and what it always needs."""
    newest = run.latest_checkpoint()
    saved = 0 if newest is None else sum(f.stat().st_size for f in run.checkpoint(newest).iterdir())
    return 2 * saved + ALWAYS_BYTES


def _state(run: Run) -> RunState | None:
    try:
        return run.state()
    except StudioError:
        return None
