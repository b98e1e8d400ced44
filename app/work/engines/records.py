"""What the local engine remembers of jobs that were started: one small JSON file each, in queue/jobs/."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from app.work import processes
from app.work.engines import split_name
from training import atomic, jsonfile
from training.errors import BadInput, StudioError, from_os_error
from training.jsonfile import Moment
from training.runs.run import Run
from training.runs.states import Pid, is_process, started_at

KEEP_SECONDS = 7 * 24 * 3600  # how long the end of a job is remembered


@dataclass(frozen=True)
class Record:
    """A job that was started.

    name: run.attempt. node: the computer. guard, guard_started: the guard's process. group: the job's process group.
    started, ended: seconds since 1970; ended is None while the job is at work. reason: how it ended, in words.
    """

    name: str
    kind: str
    node: str
    guard: Pid
    guard_started: Moment | None
    group: Pid
    started: Moment
    ended: Moment | None = None
    reason: str = ""


def node() -> str:
    """This computer's name."""
    return platform.node() or "this computer"


class Records:
    """All records of a data folder."""

    def __init__(self, data: Path):
        self.data, self.folder = data, data / "queue" / "jobs"
        self._unwritten: dict[str, Record] = {}  # those that the disk had no room for
        self.folder.mkdir(parents=True, exist_ok=True)

    def open(self, name: str, kind: str, guard: int, group: int) -> Record:
        """Remember a job that was just started."""
        self._deadline(name).unlink(missing_ok=True)
        record = Record(name, kind, node(), guard, started_at(guard), group, time.time())
        self._write(record)
        return record

    def close(self, record: Record, reason: str) -> None:
        """Remember how a job ended."""
        self._write(replace(record, ended=time.time(), reason=reason))
        self._deadline(record.name).unlink(missing_ok=True)

    def read(self, name: str) -> Record | None:
        """The record of a job, or None: of a damaged one nothing may be believed, as of one that was never written."""
        if name in self._unwritten:
            return self._unwritten[name]
        try:
            split_name(name)
            record = jsonfile.load(self.folder / f"{name}.json", Record)
        except (BadInput, ValueError):  # removed in this moment, or not ours
            return None
        return record if record.name == name else None

    def all(self) -> list[Record]:
        """All records, oldest first."""
        names = {path.name.removesuffix(".json") for path in self.folder.glob("[!.]*.json")} | set(self._unwritten)
        found = [self.read(name) for name in names]
        return sorted((record for record in found if record), key=lambda record: record.started)

    def forget(self, name: str) -> None:
        """Remove a record."""
        self._unwritten.pop(name, None)
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        self._deadline(name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Forget what ended long ago, and unfinished files. Only for the worker, alone on the folder.

        What another computer's worker started went with that worker, or this one would not hold the folder.
        """
        atomic.sweep(self.folder)
        for record in self.all():
            if record.ended is None and record.node != node():
                self.close(record, f"the worker on {record.node} ended")
            elif record.ended and time.time() - record.ended > KEEP_SECONDS:
                self.forget(record.name)

    def at_work(self, record: Record) -> bool:
        """Whether a job's processes still live: its guard, or the run's own process where the guard was killed.

        A job on another computer counts as living; only its own computer can tell.
        """
        if record.ended is not None:
            return False
        guarded = is_process(record.guard, record.guard_started)
        return record.node != node() or guarded or self._outlived(record)

    # Orders to end a job by force

    def end_at(self, name: str, when: float) -> None:
        """Have the worker end a job by force at a time; an earlier order stays. Raises as `from_os_error`."""
        path = self._deadline(name)
        if when < (self.deadline(name) or float("inf")):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic.write_text(path, repr(when))
            except OSError as error:
                raise from_os_error(error, path) from error

    def deadline(self, name: str) -> float | None:
        """When a job is to be ended by force, or None."""
        try:
            when = float(jsonfile.read_text(self._deadline(name), most=100))
        except (BadInput, ValueError):
            return None
        return when if math.isfinite(when) else None

    def tend(self, minded: Collection[str] = ()) -> None:
        """End by force what was asked to stop and has not in its time, and close what ended unseen.

        minded: the names of jobs that somebody waits for and will close. Only for the worker.
        """
        for record in list(self._unwritten.values()):
            self._write(record)
        for record in self.all():
            if record.ended is not None:
                continue
            if not self.at_work(record):
                if record.name not in minded:
                    self.close(record, "it ended while nobody looked")
            elif (self.deadline(record.name) or float("inf")) < time.time():
                processes.end_group(record.group)

    def _outlived(self, record: Record) -> bool:
        """Whether the run's process lives on in the job's group though the guard is gone."""
        try:
            state = Run(self.data / "runs" / split_name(record.name)[0]).state()
            return state.alive and os.getpgid(state.pid) == record.group
        except (OSError, ValueError, StudioError):  # the process ended in this moment, or the run is no more
            return False

    def _deadline(self, name: str) -> Path:
        return self.folder / f"{name}.deadline"

    def _write(self, record: Record) -> None:
        """Write a record; on a full disk it is kept here until `tend` can, since its job is minded all the same."""
        try:
            atomic.rewrite_text(self.folder / f"{record.name}.json", json.dumps(asdict(record), indent=2) + "\n")
        except OSError:
            self._unwritten[record.name] = record
        else:
            self._unwritten.pop(record.name, None)
