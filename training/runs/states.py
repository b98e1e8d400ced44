"""The states of a run and the moves between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from training import jsonfile
from training.errors import BadInput
from training.jsonfile import Count, Moment
from training.runs.shortage import Need

MOVES = {
    "queued": {"starting", "stopped", "failed"},  # stopped: removed from the queue
    "starting": {"running", "stopping", "stopped", "interrupted", "failed"},
    "running": {"stopping", "stopped", "interrupted", "failed", "done"},
    "stopping": {"stopped", "interrupted", "failed", "done"},
    "stopped": {"queued", "starting"},
    "interrupted": {"queued", "starting"},
    "failed": {"queued", "starting"},
    "done": set(),  # nothing is overwritten: training longer is a new run
}
ENDED = ("stopped", "interrupted", "failed", "done")
CLOCK_SECONDS = 5.0
Pid = Annotated[int, Field(ge=1, lt=2**31)]  # 0 and below mean groups to kill()
Name = Literal["queued", "starting", "running", "stopping", "stopped", "interrupted", "failed", "done"]


class RunState(BaseModel):
    """What state.json holds.

    name: the state. phase: what a live run is doing ("prepare", "class pictures", "train", "draw", "score", "export").
    done, total: how far that phase is, in its own units (pictures, steps); total is 0 where nothing is counted.
    step: the last step made; steps: those of the spec. saved_step: what a resume starts from.
    pid, pid_started: the process that holds the run and when it began (pids are used again). heartbeat: its last sign
    of life. updated: of this file. All times are seconds since 1970.
    message, remedy: for a person, where a run failed or was interrupted. cause: "nan", "memory", "disk", "error" or "".
    memory: what its training needs, None before it began, and in runs of versions that did not write it down.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    phase: str = ""
    done: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0
    total: Count = 0
    step: Count = 0
    steps: Count = 0
    saved_step: Count | None = None
    pid: Pid | None = None
    pid_started: Moment | None = None
    heartbeat: Moment | None = None
    updated: Moment = 0.0
    parent: str | None = None
    message: str = ""
    remedy: str = ""
    cause: str = ""
    memory: Need | None = None

    @property
    def ended(self) -> bool:
        """Whether no process should be at work on the run."""
        return self.name in ENDED

    @property
    def resumable(self) -> bool:
        """Whether the run can be taken up again."""
        return self.name in ("stopped", "interrupted", "failed")

    @property
    def alive(self) -> bool:
        """Whether the process that holds the run still runs on this computer."""
        return is_process(self.pid, self.pid_started)


def load(path: Path) -> RunState:
    """Read a state.json. Raises BadInput, naming the file, where it is missing, damaged or of a newer version."""
    values = jsonfile.read(path)
    try:
        return jsonfile.check(path, values, RunState)
    except BadInput:
        name = values.get("name")
        if isinstance(name, str) and name not in MOVES:
            words = f"says {name[:40]!r}, a state that only a newer version of this program knows"
            raise BadInput(f"{path} {words}.", "Update the program.") from None
        raise


def check_move(run_id: str, old: str, new: str) -> None:
    """Raises BadInput unless a run may go from state `old` to `new` (staying is always allowed)."""
    if old != new and new not in MOVES[old]:
        choices = ", ".join(sorted(MOVES[old])) or "nothing else"
        raise BadInput(f"Run {run_id} is {old} and cannot become {new}.", f"From there it can become {choices}.")


def started_at(pid: int) -> float | None:
    """When the process began, in seconds since 1970; None where there is no such process, or only its zombie."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, OverflowError, ValueError):  # the last two: no process can have that number
        return None


def is_process(pid: int | None, began: float | None) -> bool:
    """Whether the process `pid` lives and is the one that began at `began`, not a later one with the same number.

    A few seconds do not count: the system computes the beginning from its clock, which is set now and then.
    """
    now = None if pid is None or began is None else started_at(pid)
    return now is not None and abs(now - began) < CLOCK_SECONDS


def this_process() -> dict[str, float | int | None]:
    """The fields of RunState that name the process calling."""
    return {"pid": os.getpid(), "pid_started": started_at(os.getpid())}
