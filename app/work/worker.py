"""The worker: takes jobs from this computer's queue and minds their processes. One per data folder.

It computes nothing itself. Killed hard, it takes its training along (the guard sees to that), the queue stays, and the
next worker marks the run interrupted. Asked to end (Ctrl-C, SIGTERM), it has the training save and stop first; what
waits stays in the queue for the next worker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from huey.consumer import Consumer

from app.work import attempts, launch, outcome, output, processes, workerfile
from app.work.engines import Kind, Running, job_name, split_name
from app.work.engines.local import Handler, LocalEngine
from app.work.engines.records import node
from app.work.reconcile import Finding, Reconciler
from training.errors import StudioError, disk_full
from training.runs import endings
from training.runs.run import Run
from training.runs.states import this_process

LOOK_SECONDS = 1.0
HEALTH_SECONDS = 10.0
LEAVE_SECONDS = 60.0  # for saving, when the worker is asked to end

log = logging.getLogger("delora.worker")


class Drawer(Protocol):
    """What does the jobs of the generate queue in a process that it keeps."""

    def draw(self, order_id: str, attempt: int) -> None:
        """Do one job; returns when it has ended."""

    def look(self, engine: LocalEngine) -> list[Finding]:
        """Put orders and queue right where they differ; returns what there was to say."""

    def leave(self) -> None:
        """Stop what is at work and begin nothing else, since the worker ends."""

    def close(self, seconds: float = ...) -> None:
        """Wait until the process is gone; one that takes longer is killed."""


class Worker:
    """The worker of a data folder.

    Args:
        drawer: makes the Drawer of a data folder. It is also given the names of the jobs that threads of this process
            see to, and adds its own.
        command: makes the command that does a training job.
        handlers: what does the jobs of a queue, by kind, in place of this class's own.
        by_app: whether an app started it, see `app.work.workerfile`.
        wanted: asked once, when it has the data folder: False ends it again. The app that started it may have left.
    """

    def __init__(
        self,
        data: Path,
        drawer: Callable[[Path, set[str]], Drawer],
        command: launch.Command = launch.training_command,
        handlers: dict[Kind, Handler] | None = None,
        by_app: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ):
        self.data, self.command, self.by_app, self.wanted = Path(data), command, by_app, wanted
        self._minded: set[str] = set()  # the jobs that threads of this process wait for
        self.drawer = drawer(self.data, self._minded)
        self.handlers: dict[Kind, Handler] = {"train": self._train, "generate": self.drawer.draw, **(handlers or {})}
        self._left: set[str] = set()  # those that were stopped because the worker ends
        self._asked = 0
        self._wake = threading.Event()
        self._told: set[str] = set()

    def run(self) -> None:
        """Work until SIGINT or SIGTERM; a second one ends the training at once. To be called in the main thread.

        Raises BadInput where another worker has the data folder.
        """
        with workerfile.hold(self.data):
            processes.adopt_orphans()
            logging.getLogger("huey").addFilter(output.full_disk_in_words)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._ask)
            self.engine = LocalEngine(self.data)
            self.engine.handlers = self.handlers
            self.engine.records.sweep()
            self.reconciler = Reconciler(self.data, self.engine, lambda: set(self._minded))
            self.since, self._looked_after = time.time(), time.monotonic()
            self._look()
            if not self.wanted():
                return self._say_ended()
            consumers = [_Consumer(self.engine.queues[kind], workers=1, max_delay=0.2) for kind in self.handlers]
            for consumer in consumers:
                consumer.start()
            log.info("Worker %s works on %s.", os.getpid(), self.data)
            while not self._wake.wait(LOOK_SECONDS):
                self._look(consumers)
            self._leave(consumers)

    def _ask(self, *_) -> None:
        self._asked += 1
        self._wake.set()

    def _look(self, consumers: list[Consumer] = ()) -> None:
        """Sign of life, jobs to be ended by force, run folders against the queue, threads that died.

        Each is done whatever becomes of the others: a worker that dies takes its training along.
        """
        found: list[Finding] = []
        for part in (
            self._say_alive,
            lambda: self.engine.records.tend(set(self._minded)),
            self.reconciler.look,
            lambda: self.drawer.look(self.engine),
        ):
            try:
                found += part() or []
            except Exception as error:  # a full disk, a folder that is closed, a queue that does not answer
                found.append(Finding("", "unknown", f"A look failed and is made again: {error}"))
        for finding in found:
            if finding.words not in self._told:
                log.info(finding.words)
        self._told = {finding.words for finding in found}
        if time.monotonic() - self._looked_after > HEALTH_SECONDS:
            self._looked_after = time.monotonic()
            for consumer in consumers:
                consumer.check_worker_health()

    def _say_alive(self, *, ended: bool = False) -> None:
        workerfile.write(self.data, node(), self.since, by_app=self.by_app, ended=ended)

    def _say_ended(self) -> None:
        with contextlib.suppress(OSError):
            self._say_alive(ended=True)
        log.info("The worker ends.")

    # One training

    def _train(self, run_id: str, attempt: int) -> None:
        """Do one job from the queue; returns when nothing of it lives any more."""
        run, name = Run(self.data / "runs" / run_id), job_name(run_id, attempt)
        self._minded.add(name)
        try:
            if self._asked or not run.path.is_dir():  # a queued run that is dropped here is put back by the next worker
                return
            if run.state().name != "queued" or run.newest_attempt() >= attempt:
                log.info("Job %s is somebody else's by now and was passed over.", name)
            elif run.stop_requested():
                run.set_state("stopped", message="Removed from the queue.", saved_step=run.latest_checkpoint())
            else:
                run.set_state("starting", heartbeat=time.time(), **this_process())
                self._mind(run, attempt)
        except StudioError as error:  # deleted in this moment, or it cannot be written: the next look comes back to it
            log.info("Job %s is left as it is: %s", name, error)
        finally:
            self._minded.discard(name)

    def _mind(self, run: Run, attempt: int) -> None:
        name = job_name(run.id, attempt)
        log.info("Job %s begins.", name)
        self.drawer.drop()  # so that the device is free when the training has started
        log_bytes = size_of(run.path / "log.txt")
        try:
            job = launch.start(run, attempt, self.command(run, attempt))
        except (OSError, StudioError) as error:
            if full := disk_full(error):
                endings.out_of_room(run, full)
            else:
                remedy = "Resume tries again. `delora doctor` looks for the usual causes."
                endings.failed(run, f"The training program could not be started: {error}.", remedy)
            return
        record = self.engine.records.open(name, "train", job.guard.pid, job.group)
        how = job.wait()
        why = how if how and run.newest_attempt() < attempt else outcome.NO_WORD
        try:
            state = outcome.settle(run, attempt, why, out_of_memory=job.out_of_memory, said=log_bytes)
            if name in self._left and state.name == "stopped" and attempts.still_ours(run, attempt):
                state = run.set_state(message=f"{outcome.WITH_THE_APP} {endings.saved_words(run)}")
            log.info("Job %s %s; the run is %s. %s", name, how, state.name, state.message)
        finally:
            self.engine.records.close(record, how)

    # The end

    def _leave(self, consumers: list[Consumer]) -> None:
        """Have what runs save and stop, and wait for it."""
        for consumer in consumers:
            consumer.stop_flag.set()
        self.drawer.leave()
        names = [name for name, status in self.engine.poll().items() if isinstance(status, Running)]
        for name in names:
            if not self._run_of(name).stop_requested():
                self._left.add(name)
            self.engine.stop(name, LEAVE_SECONDS)
        if names:
            log.info("Saving and stopping. A second Ctrl-C ends the training at once.")
        threads = [thread for consumer in consumers for _, thread in consumer.worker_threads]
        while any(thread.is_alive() for thread in threads) or self._at_work(names):
            if self._asked > 1:
                self.drawer.close(0)
                for name in self._at_work(names):
                    self.engine.stop(name, grace=0)
            with contextlib.suppress(OSError):
                self.engine.records.tend(set(self._minded))
            time.sleep(0.1)
        self.drawer.close()
        self._look()
        self._say_ended()

    def _at_work(self, names: list[str]) -> list[str]:
        records = [self.engine.records.read(name) for name in names]
        return [record.name for record in records if record and self.engine.records.at_work(record)]

    def _run_of(self, name: str) -> Run:
        return Run(self.data / "runs" / split_name(name)[0])


def size_of(path: Path) -> int:
    """A file's length in bytes, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Consumer(Consumer):
    """Huey's threads without Huey's signals: it takes SIGTERM as an interrupt and SIGHUP as a restart."""

    def __init__(self, huey, **options):
        super().__init__(huey, periodic=False, scheduler_interval=60, **options)

    def _set_signal_handlers(self) -> None:
        pass
