"""The engine of one computer: Huey on SQLite in the data folder, two queues, one worker.

Any process may submit, poll and stop; `app.work.worker` is the one that takes jobs out. Huey deletes a task before it
runs it, so a queue's memory is never believed: see `app.work.reconcile`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from huey import SqliteHuey
from huey.api import TaskWrapper
from huey.registry import Message

from app.work import processes, workerfile
from app.work.engines import KINDS, Capacity, Gone, Kind, Need, Running, Status, Waiting, job_folder, job_name
from app.work.engines.records import Records, node
from training import atomic, room
from training.errors import DiskFull, RunFailed, disk_full
from training.runs.statefolder import StateFolder

DELETE = "delete from task where queue = ? and data = ?"
Handler = Callable[[str, int], None]  # called with a run's id and an attempt number


class LocalEngine:
    """See `app.work.engines.Engine`."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self.folder = self.data / "queue"
        self.records = Records(self.data)
        self.handlers: dict[Kind, Handler] = {}  # filled by the worker
        self.queues: dict[Kind, SqliteHuey] = {}
        self._tasks: dict[Kind, TaskWrapper] = {}
        for kind in KINDS:
            huey = self._open(kind)
            self.queues[kind], self._tasks[kind] = huey, huey.task(name="job")(functools.partial(self._work, kind))

    def _open(self, kind: Kind) -> SqliteHuey:
        """One queue of the database. Raises DiskFull where there is no room for what SQLite keeps beside it."""
        path = str(self.folder / "queue.db")
        try:
            return SqliteHuey(kind, filename=path, results=False, serializer=_Json(), strict_fifo=True)
        except sqlite3.OperationalError as error:  # it says "disk I/O error"
            if room.is_full(self.folder):
                words = f"{room.warning(self.data)} The queue cannot be opened."
                raise DiskFull(words, "Free some space, then try again.") from error
            raise

    # The four verbs

    def submit(self, run: str, attempt: int, need: Need) -> str:
        """Put a job into the queue of its kind; a name that waits or runs is left as it is.

        Raises DiskFull or RunFailed where the queue cannot be written; what waits in its folder is put in later.
        """
        name = job_name(run, attempt)
        with atomic.locked(self.folder / "submit.lock"):
            if isinstance(self.poll().get(name), Waiting | Running):
                return name
            self.records.forget(name)
            task = self._tasks[need.kind].s(run, attempt, id=name, priority=need.priority)
            with _told():
                self.queues[need.kind].enqueue(task)
        return name

    def poll(self) -> dict[str, Status]:
        """What waits, what runs, and how what was started here in the last days ended."""
        found: dict[str, Status] = {}
        for record in self.records.all():
            alive = self.records.at_work(record)
            found[record.name] = Running(record.node, record.started) if alive else Gone(record.reason or "it ended")
        for huey in self.queues.values():
            for ahead, task in enumerate(huey.pending()):
                if not isinstance(found.get(task.id), Running):
                    found[task.id] = Waiting(ahead)
        return found

    def stop(self, name: str, grace: float | None = None) -> bool:
        """Take a job out of its queue, or ask it to save and stop: by its stop file and SIGTERM to its group.

        A drawing has no group of its own: its file alone stops it. Where a run waits, its state stays queued; with its
        stop file there nothing puts it back. A second call sends no second SIGTERM, which would end a training without
        a save, but may shorten the grace.
        """
        folder = job_folder(self.data, name)
        again = (folder / "stop").exists()
        if folder.is_dir():
            StateFolder(folder).request_stop()
        if self._withdraw(name):
            return True
        record = self.records.read(name)
        if record is None or record.node != node() or not self.records.at_work(record):
            return False  # on another computer the stop file must do
        if grace == 0:
            processes.end_group(record.group)
            return False
        if not again:
            processes.signal_group(record.group, signal.SIGTERM)
        if grace is not None:
            self.records.end_at(name, time.time() + grace)
        return False

    def capacity(self) -> Capacity:
        """This computer, which works on one job of each kind at a time."""
        states = list(self.poll().values())
        return Capacity(
            nodes=1,
            gpus=gpu_count(),
            threads=usable_threads(),
            running=sum(isinstance(state, Running) for state in states),
            waiting=sum(isinstance(state, Waiting) for state in states),
            working=workerfile.held(self.data),
        )

    # Inside

    def _work(self, kind: Kind, run: str, attempt: int) -> None:
        self.handlers[kind](run, attempt)

    def _withdraw(self, name: str) -> bool:
        """Take a waiting job out; False where it does not wait."""
        for huey in self.queues.values():
            for blob in huey.storage.enqueued_items():
                if huey.deserialize_task(blob).id == name:
                    before = huey.pending_count()
                    with _told():
                        huey.storage.sql(DELETE, (huey.name, blob), commit=True)
                    return huey.pending_count() < before
        return False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """SQLite's errors while it writes, in words for a person."""
    try:
        yield
    except sqlite3.Error as error:
        failed = RunFailed(f"The queue cannot be written: {error}.", "Check the permissions of the data folder.")
        raise disk_full(error) or failed from error


class _Json:
    """Tasks as JSON: a run's id and an attempt number need no pickle."""

    def serialize(self, message: Message) -> bytes:
        return json.dumps(message._asdict()).encode()

    def deserialize(self, data: bytes) -> Message:
        return Message(**json.loads(bytes(data)))


def usable_threads() -> int:
    """The CPU cores that this process may use; hyperthreads count once."""
    import psutil

    logical, physical = psutil.cpu_count() or 1, psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return max(1, allowed * physical // logical)


@functools.cache
def gpu_count() -> int:
    """NVIDIA GPUs that the driver lists, asked without importing torch."""
    if not shutil.which("nvidia-smi"):
        return 0
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())
