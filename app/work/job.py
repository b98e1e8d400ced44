"""What one run's process does, from its pictures to its files: prepare, class pictures, train, draw, score, export.

Each phase looks at what the run folder already holds and does the rest, so the job can be started again after any
interruption. Everything that it finds and makes is written into the run folder; nothing is handed back but the outcome.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.work import attempts, devices
from app.work.devices import Lease
from evaluation import tasks
from training.errors import Stopped, Superseded
from training.runs import endings
from training.runs.run import Run

BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class JobProgress:
    """Where the job stands, for a progress bar.

    Attributes:
        phase: prepare, class pictures, train, draw, score, export or waiting for the device.
        done, total: steps or pictures of this phase; total is 0 where it is not counted.
        words: what else is worth telling, such as the loss.
    """

    phase: str
    done: float = 0
    total: int = 0
    words: str = ""


def run_job(
    path: Path,
    lease: Lease | None = None,
    *,
    base=None,
    report: Callable[[JobProgress], None] | None = None,
    **judges: str | None,
) -> str:
    """Do what is left to do of the run in folder `path`; returns the state it ended in.

    Args:
        lease: the device that the caller holds: after each save it is handed to whoever waits. None keeps it.
        base: its base model, if it is loaded already.
        report: called as the phases go on.
        judges: other ones than the default, by the names in the task's `judges`.

    Raises:
        StudioError: the run cannot be trained (the state is then failed and says why), or another process holds it.
    """
    if int(os.environ.get("RANK", "0")) > 0:  # a further process of one run: it computes and writes nothing
        return _follow(path, base)
    run = Run(path)
    if run.state().name == "done":
        return "done"
    run = take_up(run)
    from training.runs.signals import stop_on_signals

    try:
        with stop_on_signals(run):
            return _Job(run, lease, base, report).go(judges)
    except Superseded:
        raise
    except KeyboardInterrupt:  # asked twice: at once, without a save
        run.set_state("interrupted", **endings.released(run))
        raise
    except Stopped:
        return run.set_state("stopped", **endings.released(run)).name
    except Exception as error:
        _fail(run, error)
        raise


def take_up(run: Run) -> Run:
    """The run held by this process (see `app.work.attempts`) and in state starting, whatever state a crash left it in.

    Raises BadInput where another process is training it.
    """
    from training.runs.states import this_process

    run = attempts.take(run)
    if run.state().name in ("running", "stopping"):
        run.set_state("interrupted")  # nobody held the lock, so whoever wrote that is gone
    run.set_state("starting", heartbeat=time.time(), cause="", **this_process())
    return run


def waiting(run: Run) -> Callable[[str], None]:
    """What a run does while it waits for the device, an `ask` of `app.work.devices`.

    It says in state.json whom it waits for, once a holder. Raises Stopped where the run is to stop.
    """
    told = ""

    def ask(present: str) -> None:
        nonlocal told
        devices.stop_if(run.stop_requested)(present)
        if present != told:
            run.set_state(phase="waiting for the device", message=f"Waiting for the device: {present}.")
            told = present

    return ask


class _Job:
    """One call of `run_job`."""

    def __init__(self, run: Run, lease: Lease | None, base, report: Callable[[JobProgress], None] | None):
        self.run, self.lease, self.base, self.spec = run, lease, base, run.spec
        self.task, self.data = tasks.of(self.spec), run.path.parent.parent
        self.tell = report or (lambda progress: None)
        self.last_beat, self.phase = 0.0, ""

    def go(self, judges: Mapping[str, str | None]) -> str:
        self.run.append_event({"kind": "attempt", "number": self.run.attempt})
        self.run.set_state("running")
        self._enter("prepare")
        from app.adapters.saves import open_base
        from training import loop

        self.base = self.base or open_base(self.spec.base, self.data, self.spec.mixed_precision)
        embedded = self.base.capabilities.embedded
        device = self.base.unet.device.type
        self.scorer = self.task.scorer(self.run, embedded, self.data, device=device, **self.task.judged_by(judges))
        self._enter("draw")
        self.task.draw_base(self.run, self.base, self.data, self._count)
        self._score()
        take_in = self.task.take_in
        outcome = loop.train(
            self.run, self.base, take_in, on_save=self._on_save, progress=self._on_step, data=self.data
        )
        if outcome != "done":
            return str(outcome)
        self._export()
        self.run.append_event({"kind": "phase", "phase": ""})
        self.run.set_state("done", step=self.spec.steps, **endings.released(self.run))
        return "done"

    def _on_save(self, step: int, adapter) -> None:
        """Draw and score a save; pictures and scores that are there already stay. Then somebody else may draw."""
        self._enter("draw")
        self.task.draw(self.run, self.base, adapter, step, self.data, self._count)
        self._score()
        self._hand_over()
        self._enter("train")

    def _hand_over(self) -> None:
        """Let the one who waits have the device, if somebody does, and go on when it is free again."""
        if self.lease is None or not self.lease.wanted():
            return
        from training.step import memory

        self._enter("waiting for the device")
        memory.release(self.base.unet.device)  # what stays on the device is the model, not the steps' memory
        self.lease.hand_over(waiting(self.run))
        self.run.set_state(message="")

    def _score(self) -> None:
        self._enter("score")
        self.scorer.update()

    def _export(self) -> None:
        from app.adapters.exporting import export_run

        self._enter("export")
        export_run(self.run, self.base, self.data)

    # Telling

    def _enter(self, phase: str) -> None:
        self._check_stop()
        self.phase = phase
        self.run.beat(phase=phase, steps=self.spec.steps, done=0, total=0)
        self.run.append_event({"kind": "phase", "phase": phase})
        self.tell(JobProgress(phase))

    def _count(self, done: float, total: int) -> None:
        """The drawing's progress; a request to stop ends it."""
        self._check_stop()
        self._beat(done, total)
        self.tell(JobProgress(self.phase, done, total))

    def _on_step(self, progress) -> None:
        """The training loop's progress, which names its own phases."""
        if progress.phase == "prepare":
            self.tell(JobProgress("prepare"))
            return
        words = "" if progress.loss is None else f"loss {progress.loss:.3f}"
        self._beat(progress.step, progress.steps)
        self.tell(JobProgress(progress.phase, progress.step, progress.steps, words))

    def _beat(self, done: float, total: int) -> None:
        if time.monotonic() - self.last_beat > BEAT_SECONDS:
            self.run.beat(done=done, total=total)
            self.last_beat = time.monotonic()

    def _check_stop(self) -> None:
        if self.phase in ("draw", "score", "export", "prepare") and self.run.stop_requested():
            raise Stopped("Stopped on request.", f"Resume: delora train --resume {self.run.id}")


def phase_seconds(run: Run) -> dict[str, float]:
    """How long each phase of a run took, in seconds, over all attempts; the time between attempts is left out."""
    seconds: dict[str, float] = {}
    current, since = "", 0.0
    for event in run.events():
        now, kind = event.get("time", since), event.get("kind")
        if current and kind != "attempt":
            seconds[current] = seconds.get(current, 0.0) + now - since
        since = now
        if kind in ("phase", "attempt"):
            current = event.get("phase", "")
    return {phase: round(value, 1) for phase, value in seconds.items()}


def _follow(path: Path, base) -> str:
    from app.adapters.saves import open_base
    from training import loop

    run = Run(path)
    base = base or open_base(run.spec.base, run.path.parent.parent, run.spec.mixed_precision)
    return str(loop.train(run, base, tasks.of(run.spec).take_in, data=run.path.parent.parent))


def _fail(run: Run, error: Exception) -> None:
    """Set the run's state to what the error makes of it, unless the training loop did."""
    if not run.state().ended:
        from training.step import lifecycle

        lifecycle.end(run, error)
