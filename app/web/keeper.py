"""Keeps a worker for the pages: starts one where there is none, again when it died, and ends it with the last app."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app import worker
from app.work import presence, workerfile
from training import room
from training.runs.states import is_process

LOOK_SECONDS = 2.0
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds after each start before the next one; then it is given up
WELL_SECONDS = 120.0  # a worker that lived so long after its start was no failure of starting


class Patience:
    """When a worker that died may be started again: after pauses that grow, and not for ever.

    clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock, self.tries, self._started = clock, 0, clock()

    def again(self) -> bool:
        """Whether it is time to start one."""
        return self.tries == 0 or (self.tries < len(PAUSES) and self._since() >= PAUSES[self.tries - 1])

    @property
    def overdue(self) -> bool:
        """Whether one that was started and still lives should be at work by now, on the slowest computer."""
        return self._since() >= PAUSES[-1]

    @property
    def over(self) -> bool:
        """Whether nothing is started by itself any more."""
        return self.tries >= len(PAUSES) and self._since() >= PAUSES[-1]

    def started(self) -> None:
        """One was started."""
        self.tries, self._started = self.tries + 1, self.clock()

    def works(self) -> None:
        """There is one."""
        if self._since() >= WELL_SECONDS:
            self.tries = 0

    def forget(self) -> None:
        """A person wants one, whatever was before."""
        self.tries = 0

    def _since(self) -> float:
        return self.clock() - self._started


class WorkerKeeper:
    """The worker of a data folder as its apps keep it. One that a person started and ended is left to them."""

    def __init__(self, data: Path):
        self.data, self.patience = Path(data), Patience()
        self._started: subprocess.Popen | None = None
        self._over = threading.Event()

    def __enter__(self) -> WorkerKeeper:
        presence.join(self.data)
        self.hold()
        self._thread = threading.Thread(target=self._watch, name="worker keeper", daemon=True)
        self._thread.start()
        return self

    def hold(self) -> None:
        """Start a worker where there is none, however often that failed before."""
        self.patience.forget()
        self._start()

    def words(self) -> str:
        """Why there is no worker, for a page; "" where nothing is wrong, or a person ended theirs."""
        if workerfile.held(self.data):
            return ""
        if room.is_full(self.data):
            return "There is no worker while the disk is full."
        if self.patience.over:
            return f"The worker ended {self.patience.tries} times in a row. Why stands in queue/worker.log."
        return "" if self._left_alone() else "The worker ended and is started again."

    def look(self) -> None:
        """Start a worker again if it died. An ended one must be waited for, or it stays as a zombie."""
        presence.join(self.data)
        begins = self._started is not None and self._started.poll() is None  # it lives, and perhaps holds nothing yet
        if workerfile.held(self.data):
            self.patience.works()
        elif begins and not self.patience.overdue:
            return
        elif self.patience.again() and not self._left_alone() and not room.is_full(self.data):
            self._start()

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # no room, or no memory, for another program: at the next look
            if started := worker.start_detached(self.data):
                self._started = started
                self.patience.started()

    def _left_alone(self) -> bool:
        """Whether a person started the last worker themselves and ended it."""
        last = workerfile.read(self.data)
        return last.ended and not last.by_app

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                self.look()

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()
        last = presence.leave(self.data)
        state = workerfile.read(self.data)
        mine = state.working and state.by_app and is_process(state.pid, state.pid_started)
        if not (last and mine):
            return
        with contextlib.suppress(ProcessLookupError), _ctrl_c_again(state.pid):
            print("Saving what is training, then stopping. A second Ctrl-C stops at once.", file=sys.stderr, flush=True)
            os.kill(state.pid, signal.SIGTERM)
            while workerfile.held(self.data):
                if self._started:
                    self._started.poll()
                time.sleep(0.1)


@contextlib.contextmanager
def _ctrl_c_again(pid: int):
    """While inside, Ctrl-C asks the worker a second time, which ends the training at once."""

    def again(*_) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    before = signal.signal(signal.SIGINT, again)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
