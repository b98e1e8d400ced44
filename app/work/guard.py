"""The guard: starts a job in a process group of its own, and ends all of it when the worker dies.

    python -m app.work.guard RUN_FOLDER ATTEMPT COMMAND...

Its standard input is a pipe from the worker, which says nothing and closes when the worker ends. It prints the group's
number, and when nothing of the job lives any more, how it ended. It adopts what the job orphans, so nothing stays a
zombie: accelerate, told to stop, leaves its trainer behind while that saves.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from app.work import outcome, processes
from training import atomic
from training.errors import StudioError
from training.runs.run import Run

LOOK_SECONDS = 0.2


def main(run_path: Path, attempt: int, command: list[str]) -> None:
    """Start `command` and stay until nothing of it lives."""
    processes.adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # ends with the job; a handler, since the job would inherit SIG_IGN
    with atomic.open_own(run_path / "log.txt", "ab") as log:
        job = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=run_path
        )
    print(job.pid, flush=True)
    ended = _watch(job.pid)
    processes.end_group(job.pid)
    if ended is None:
        with contextlib.suppress(StudioError):  # a job of the other queue has no run's state
            outcome.settle(Run(run_path), attempt, outcome.GUARD)
    with contextlib.suppress(BrokenPipeError):
        print(ended, flush=True)


def _watch(leader: int) -> str | None:
    """Wait for the job's end and say how it came; None where the worker's end came first."""
    words = ""
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if not processes.members(leader):
                    return words
                break  # orphans that another process adopted still save
            if pid == 0:
                break
            code = os.waitstatus_to_exitcode(status)
            words = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
            if pid == leader and code >= 0:  # it waits for what it starts, so what is left is astray
                return words
        if select.select([sys.stdin], [], [], LOOK_SECONDS)[0] and not os.read(sys.stdin.fileno(), 1):
            return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
