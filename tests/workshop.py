"""A data folder with a worker for tests: starts and kills real processes and waits for what becomes of the runs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fakejob
import psutil

from app import control
from app.work.engines.local import LocalEngine
from training.runs import rundir
from training.runs.run import Run
from training.spec import SubjectSpec

WAIT_SECONDS = 120  # the machine may be busy; nothing waits nearly this long when it works


def make_run(data: Path, **how) -> Run:
    """A queued run whose fake job behaves as `fakejob.settings` says."""
    picture = data / "picture.png"
    picture.write_bytes(b"the fake job does not look at it")
    run = rundir.create(data, SubjectSpec(name="Biscuit", class_word="dog"), [picture])
    (run.path / "fake.json").write_text(json.dumps(how))
    return run


class Workshop:
    """A data folder and its engine; `close` kills whatever of it still lives.

    program: what is the worker, and the job of its trainings; see `fakejob`.
    """

    def __init__(self, data: Path, program: str = fakejob.__file__):
        self.data, self.engine, self.program = data, LocalEngine(data), program
        self.workers: list[subprocess.Popen] = []

    def new_run(self, **how) -> Run:
        """A run in the data folder, see `make_run`."""
        return make_run(self.data, **how)

    def start(self, run: Run) -> str:
        """Put a run into the queue."""
        return control.start(self.data, run, engine=self.engine)

    def start_worker(self, verb: str = "worker") -> subprocess.Popen:
        """Start a worker and wait until it works; verb: see `fakejob`."""
        worker = subprocess.Popen(
            [sys.executable, self.program, verb, str(self.data)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            stderr=(self.data / "worker.txt").open("ab"),
            start_new_session=True,
        )
        self.workers.append(worker)
        until(lambda: "works on" in (self.data / "worker.txt").read_text() or worker.poll() is not None)
        return worker

    def said(self) -> str:
        """What the workers said."""
        return (self.data / "worker.txt").read_text()

    def until_state(self, run: Run, *names: str) -> None:
        """Wait until a run is in one of the states."""
        until(lambda: run.state().name in names, lambda: f"{run.state()}\n{self.said()}")

    def until_step(self, run: Run, step: int) -> None:
        """Wait until a run's job has made a step."""
        until(lambda: run.state().step >= step, lambda: f"{run.state()}\n{self.said()}")

    def record(self, name: str):
        """The engine's record of a job."""
        return self.engine.records.read(name)

    def processes(self) -> list[psutil.Process]:
        """All living processes that name the data folder, zombies too."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.data) in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def close(self) -> None:
        """Kill what lives."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for worker in self.workers:
            worker.wait()


def until(true, words=lambda: "") -> None:
    """Wait until `true()` is; fails the test otherwise."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, words()
        time.sleep(0.05)


def kill(pid: int) -> None:
    """kill -9, and wait until the process is no more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def zombies(pid: int) -> list[psutil.Process]:
    """The zombies among a process's descendants."""
    return [p for p in psutil.Process(pid).children(recursive=True) if p.status() == psutil.STATUS_ZOMBIE]
