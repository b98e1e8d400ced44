"""The one training loop: from a run in the queue to its saves, through stops, crashes and resumes.

`train` prepares (latents, captions, class pictures), makes the steps, and keeps state.json and events.jsonl true. It
can be called again on the same run after any interruption and goes on from the newest save.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import delora
from training import atomic
from training.base import precision
from training.errors import RunFailed, Stopped, StudioError, Superseded, disk_full
from training.runs import checkpoint, endings, shortage
from training.runs.run import Follower, Run
from training.runs.signals import stop_on_signals
from training.step import lifecycle, memory
from training.step.trainer import Trainer
from training.subject import dreambooth

if TYPE_CHECKING:
    from delora import Adapter
    from training.base.models import BaseModel
    from training.spec import RunSpec
    from training.step.objective import TakeIn

BEAT_SECONDS = 2.0
GEOMETRY_POINTS = 30  # over a run; each costs about a twentieth of a step


class Outcome(StrEnum):
    """How a call of `train` ended."""

    DONE = "done"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


Life = Generator[Trainer, dict | None, Outcome]  # see `life`


@dataclass(frozen=True)
class Progress:
    """Where a run stands. phase: "prepare", "class pictures" (step counts those) or "train"."""

    step: int
    steps: int
    loss: float | None
    seconds_per_step: float | None
    phase: str


def train(
    run: Run,
    base: BaseModel,
    take_in: TakeIn = dreambooth.take_in,
    *,
    on_save: Callable[[int, Adapter], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    data: Path | None = None,
) -> Outcome:
    """Train a run on its base model, from the newest save or the start.

    Leaves the run in state running when the steps are done (the caller exports and sets "done"), in stopped after a
    request, Ctrl-C or SIGTERM (a save is written first), in interrupted where the disk is full, and in failed with
    cause and remedy otherwise.

    Args:
        take_in: makes the objective of what the run teaches; a subject's, if nothing is said.
        on_save: called as on_save(step, adapter) after each save, with the adapter attached: draws and scores. After a
            resume it is called once more for the save that training goes on from, so what it writes must be allowed
            to be there already.
        progress: called after each step and each batch of class pictures.
        data: the data folder, where class pictures are kept; None is the one that the run lies in.

    Raises:
        BadInput: the spec does not fit the base model, or another process is training the run.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        run = Follower(run.path)
    with stop_on_signals(run), keeping_threads():
        steps = life(run, base, take_in, on_save=on_save, progress=progress, data=data)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value


@contextlib.contextmanager
def keeping_threads() -> Iterator[None]:
    """Whatever number of threads runs ask for, the one of now is back afterwards."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def life(
    run: Run,
    base: BaseModel,
    take_in: TakeIn = dreambooth.take_in,
    *,
    on_save: Callable[[int, Adapter], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    data: Path | None = None,
    name: str = "default",
) -> Life:
    """What `train` does, pausing before each step: a generator of the run's trainer, at the step that is due.

    It makes the step itself when it goes on (`next`), unless the caller has made it and sends its event, or throws in
    what ended it. So many lives can share what a step costs, see `training.together`. Its value is the outcome.

    Args:
        name: of the run's adapter among others on the base model. The others: as `train`, of which it is the whole but
            the signals and the threads' number, which the caller gives back.

    Raises:
        As `train`.
    """
    with run.training_lock():
        if run.attempt is None:
            run.begin_attempt()
        lifecycle.take_up(run)
        try:
            data = data or run.path.parent.parent
            outcome = yield from _Loop(run, base, take_in, on_save, progress, data, name).go()
        except Superseded:
            raise
        except Stopped:
            run.set_state("stopped", **endings.released(run))
            outcome = Outcome.STOPPED
        except Exception as error:
            lifecycle.end(run, error)
            if isinstance(error, StudioError) and not isinstance(error, RunFailed):
                raise
            outcome = Outcome.INTERRUPTED if disk_full(error) else Outcome.FAILED
        return outcome


class _Loop:
    """One call of `life`."""

    def __init__(self, run: Run, base: BaseModel, take_in: TakeIn, on_save, progress, data: Path, name: str):
        self.run, self.base, self.take_in, self.data, self.name = run, base, take_in, data, name
        self.on_save, self.report = on_save, progress
        self.spec: RunSpec = run.spec
        self.last_beat, self.phase = 0.0, ""
        self.recent: deque[float] = deque(maxlen=20)
        mixed_precision = precision.choose(self.spec.mixed_precision, base.unet.device)
        self.accelerator = precision.accelerator(mixed_precision, base.unet.device)

    def go(self) -> Life:
        torch.set_num_threads(self.spec.threads or checkpoint.threads_before(self.run) or torch.get_num_threads())
        trainer = self._prepared()
        try:
            return (yield from self._train(trainer))
        finally:
            trainer.close()

    def _prepared(self) -> Trainer:
        run, base, spec = self.run, self.base, self.spec
        self._enter("prepare")
        if self.accelerator.num_processes > 1:
            base.to(self.accelerator.device)
        with self.accelerator.main_process_first():  # one process draws and encodes; the others read its files
            if self.accelerator.is_main_process:
                (run.path / "checkpoints").mkdir(exist_ok=True)
                atomic.sweep(run.path / "checkpoints")
            with delora.by_rows(base.unet, []):  # class pictures are the base model's, whoever else trains on it
                objective = self.take_in(run, base, self.data, self)
        self.beside = objective.beside
        plan, note = memory.fitting(base, spec, self.beside)
        if note:
            run.append_event({"kind": "note", "words": note})
        run.beat(memory=memory.need(base, spec, plan, self.beside))
        return Trainer(run, base, objective, plan, self.accelerator, self.name)

    def _train(self, trainer: Trainer) -> Life:
        spec, run = self.spec, self.run
        needed = memory.need(self.base, spec, trainer.plan, self.beside)  # a save's plan may be another one
        self._enter("train", step=trainer.step, saved_step=trainer.saved_step, memory=needed)
        if trainer.step == 0:
            run.append_event(trainer.geometry())
        else:
            self._saved(trainer)
        every, saves = max(1, spec.steps // GEOMETRY_POINTS), frozenset(spec.saves)
        while trainer.step < spec.steps:
            if self._stop_asked():
                return self._stop(trainer)
            event = (yield trainer) or self._step(trainer)
            run.append_event(event)
            saving = trainer.step in saves
            if saving or trainer.step % every == 0:
                run.append_event(trainer.geometry())
            if saving:
                trainer.save()
                run.beat(step=trainer.step, saved_step=trainer.step)
                self._saved(trainer)
            self._tell(trainer, event)
        return Outcome.DONE

    def _step(self, trainer: Trainer) -> dict:
        """One step; made once more with less memory where that ran out."""
        while True:
            try:
                return trainer.make_step()
            except Exception as error:
                if not memory.is_out_of_memory(error):
                    raise
                reason = str(error)
            self._step_down(trainer, reason)  # outside the except block, whose traceback holds the activations

    def _step_down(self, trainer: Trainer, reason: str) -> None:
        """Go on with less memory and say so. Raises OutOfMemoryError where that was done before."""
        memory.release(self.base.unet.device)
        failed = memory.need(self.base, self.spec, trainer.plan, self.beside, ran_out=True)
        self.run.beat(memory=failed)
        if not trainer.step_down():
            raise torch.OutOfMemoryError(reason)
        now = memory.need(self.base, self.spec, trainer.plan, self.beside)
        self.run.beat(memory=now)
        words = (
            f"Memory ran out at step {trainer.step + 1}. {shortage.figures(failed)} Going on with "
            f"{shortage.cut(**trainer.plan.to_dict())}: about {now.needed_gb:.1f} GB, slower, the same result."
        )
        self.run.append_event({"kind": "note", "words": words})

    def _saved(self, trainer: Trainer) -> None:
        if self.on_save and self.accelerator.is_main_process:
            with trainer.alone():
                self.on_save(trainer.step, trainer.adapter)
        self.accelerator.wait_for_everyone()

    def _stop(self, trainer: Trainer) -> Outcome:
        self.run.set_state("stopping")
        if trainer.step not in (0, trainer.saved_step):
            trainer.save()
        self.run.set_state("stopped", step=trainer.step, **endings.released(self.run))
        return Outcome.STOPPED

    def _stop_asked(self) -> bool:
        asked = self.run.stop_requested()
        if self.accelerator.num_processes > 1:  # all processes must leave at the same step
            votes = torch.tensor(float(asked), device=self.accelerator.device)
            asked = bool(self.accelerator.reduce(votes, "sum") > 0)
        return asked

    # Telling

    def _tell(self, trainer: Trainer, event: dict) -> None:
        self.recent.append(event["seconds"])
        if self.report:
            seconds = sum(self.recent) / len(self.recent)
            self.report(Progress(trainer.step, self.spec.steps, event["loss"], seconds, "train"))
        self._beat(step=trainer.step)

    def _enter(self, phase: str, **changes) -> None:
        self.run.beat(phase=phase, steps=self.spec.steps, **changes)
        self.run.append_event({"kind": "phase", "phase": phase})
        self.phase = phase
        if self.report:
            self.report(Progress(changes.get("step", 0), self.spec.steps, None, None, phase))

    # A `Watch` while data is taken in

    def enter(self, phase: str) -> None:
        self._enter(phase)

    def count(self, done: int, wanted: int) -> None:
        self._beat()
        if self.report:
            self.report(Progress(done, wanted, None, None, self.phase))

    def stop_requested(self) -> bool:
        return self.run.stop_requested()

    def _beat(self, **changes) -> None:
        if time.monotonic() - self.last_beat > BEAT_SECONDS:
            self.run.beat(**changes)
            self.last_beat = time.monotonic()
