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
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from huey import Huey
from huey.api import TaskWrapper
from huey.registry import Message
from pydantic import BaseModel

from app.work import processes, workerfile
from app.work.engines import KINDS, Capacity, Gone, Kind, Need, Running, Status, Waiting, job_folder, job_name
from app.work.engines.records import Records, node
from app.work.engines.storage import MendingStorage
from training import atomic, jsonfile
from training.errors import from_os_error
from training.runs.statefolder import StateFolder

DELETE = "delete from task where queue = ? and data = ?"
Handler = Callable[[str, int], None]  # called with a run's id and an attempt number


class LocalEngine:
    """See `app.work.engines.Engine`."""

    def __init__(self, data: Path):
        """Raises a StudioError where the data folder cannot hold a queue."""
        self.data = Path(data)
        self.folder = self.data / "queue"
        try:
            self.records = Records(self.data)
        except OSError as error:
            raise from_os_error(error, self.folder) from error
        self.handlers: dict[Kind, Handler] = {}  # filled by the worker
        self.queues: dict[Kind, Huey] = {}
        self._tasks: dict[Kind, TaskWrapper] = {}
        for kind in KINDS:
            huey = Huey(
                kind,
                storage_class=MendingStorage,
                filename=str(self.folder / "queue.db"),
                results=False,
                serializer=_Json(),
                strict_fifo=True,
            )
            self.queues[kind], self._tasks[kind] = huey, huey.task(name="job")(functools.partial(self._work, kind))

    # The four verbs

    def submit(self, run: str, attempt: int, need: Need) -> str:
        """Put a job into the queue of its kind; a name that waits or runs is left as it is.

        Raises DiskFull or RunFailed where the queue cannot be written; what waits in its folder is put in later.
        """
        name = job_name(run, attempt)
        lock = self.folder / "submit.lock"
        with contextlib.ExitStack() as held:
            try:
                self.records.folder.mkdir(parents=True, exist_ok=True)  # removed under the app, perhaps
                held.enter_context(atomic.locked(lock))
            except OSError as error:
                raise from_os_error(error, lock) from error
            if isinstance(self.poll().get(name), Waiting | Running):
                return name
            self.records.forget(name)
            task = self._tasks[need.kind].s(run, attempt, id=name, priority=need.priority)
            self.queues[need.kind].enqueue(task)
        return name

    def poll(self) -> dict[str, Status]:
        """What waits, what runs, and how what was started here in the last days ended."""
        found: dict[str, Status] = {}
        for record in self.records.all():
            alive = self.records.at_work(record)
            found[record.name] = Running(record.node, record.started) if alive else Gone(record.reason or "it ended")
        for huey in self.queues.values():
            for ahead, name in enumerate(name for name, _ in _waiting(huey)):
                if not isinstance(found.get(name), Running):
                    found[name] = Waiting(ahead)
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
            for other, blob in _waiting(huey):
                if other == name:
                    before = huey.pending_count()
                    huey.storage.sql(DELETE, (huey.name, blob), commit=True)
                    return huey.pending_count() < before
        return False


class _Json:
    """Tasks as JSON: a run's id and an attempt number need no pickle."""

    def serialize(self, message: Message) -> bytes:
        return json.dumps(message._asdict()).encode()

    def deserialize(self, data: bytes) -> Message:
        """Raises ValueError for what is no task of ours."""
        values = jsonfile.from_json(bytes(data))
        task = _Task.model_validate(values)
        if task.id != job_name(*task.args):
            raise ValueError(f"a job's name is not {task.id!r}")
        return Message(**{name: value for name, value in values.items() if name in Message._fields})


class _Task(BaseModel):
    """What is read of a task in the queue."""

    id: str
    name: str
    args: tuple[str, int]


def _waiting(huey: Huey) -> Iterator[tuple[str, bytes]]:
    """The jobs in a queue, the next one first: name, and what stands in the database.

    What is no job of ours is taken out: it could never be done, and whatever it was is put back from its folder.
    """
    for blob in huey.storage.enqueued_items():
        try:
            yield huey.serializer.deserialize(blob).id, blob
        except (ValueError, TypeError):
            huey.storage.sql(DELETE, (huey.name, blob), commit=True)


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
