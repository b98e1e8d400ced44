"""How a run is taken up by a process and how it ends, in the fields of state.json."""

from __future__ import annotations

import contextlib
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from training import atomic
from training.errors import DiskFull, StudioError, disk_full, from_os_error
from training.runs import endings, shortage
from training.runs.states import this_process
from training.step import memory
from training.step.trainer import Diverged

if TYPE_CHECKING:
    from training.runs.run import Run
    from training.runs.shortage import Need


def take_up(run: Run) -> None:
    """Bring the run to state running, held by this process, whatever state a crash left it in."""
    state = run.state()
    if state.name in ("running", "stopping") and not (state.alive and state.pid == this_process()["pid"]):
        state = run.set_state("interrupted")  # the lock is ours, so whoever wrote that is gone
    if state.name in ("queued", "stopped", "interrupted", "failed"):
        run.set_state("starting")
    run.set_state("running", heartbeat=time.time(), **this_process())


def end(run: Run, error: Exception) -> None:
    """Give a run that an error ended its state, then keep the report in its log: state first, should room be short."""
    report = traceback.format_exc()
    if full := disk_full(error):
        with contextlib.suppress(DiskFull):  # not even that: the worker settles it
            endings.out_of_room(run, full)
    else:
        state = run.state()
        endings.failed(run, *explain(error, run.latest_checkpoint(), state.memory))
    with contextlib.suppress(OSError):
        atomic.append_line(run.path / "log.txt", report.rstrip())


def explain(error: Exception, saved: int | None, need: Need | None = None) -> tuple[str, str, str]:
    """Message, remedy and cause for a person, where step `saved` is the newest save.

    need: what training was found to need, None where that is not known yet.
    """
    if isinstance(error, Diverged):
        return (
            f"The numbers broke down at step {error.args[0]} (NaN), so training ended itself. The broken step was not "
            "saved." + (f" Step {saved} is good and can be used." if saved else ""),
            "Usual causes: a learning rate too high, or half precision.",
            "nan",
        )
    if memory.is_out_of_memory(error):
        return f"Memory ran out. {shortage.figures(need) if need else ''}".strip(), shortage.remedy(need), "memory"
    if isinstance(error, OSError) and error.errno:  # of a file; those of other libraries have no number
        error = from_os_error(error, Path(error.filename or "a file"))
    if isinstance(error, StudioError):
        return error.message, error.remedy, "disk" if isinstance(error, DiskFull) else "error"
    return f"{type(error).__name__}: {error}", "The whole report is in the run's log.txt.", "error"
