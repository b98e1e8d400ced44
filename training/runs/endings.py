"""How a run stands when no process holds it any more, in the fields of state.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.errors import DiskFull, StudioError

if TYPE_CHECKING:
    from training.runs.run import Run
    from training.runs.states import RunState

BY_ITSELF = "Free some space. Where a worker minds it, it then goes on by itself; Resume does the same."


def released(run: Run) -> dict[str, Any]:
    """The fields that say so: no process, no phase, and how far it is saved."""
    return {"phase": "", "pid": None, "pid_started": None, "saved_step": run.latest_checkpoint()}


def saved_words(run: Run) -> str:
    """How far a run is saved."""
    saved = run.latest_checkpoint()
    return "Nothing is saved yet." if saved is None else f"Saved up to step {saved}."


def out_of_room(run: Run, error: DiskFull) -> RunState:
    """Say that a run ended because the disk is full: stopped where that was asked for, else interrupted.

    An interrupted one goes on by itself, see `app.work.reconcile`. Raises as `Run.set_state`.
    """
    message, state = f"{error.message} {saved_words(run)}", run.state()
    if state.ended:
        return state
    if state.name == "stopping" or run.stop_requested():
        words = f"Stopped before it could save. {message}"
        return run.set_state("stopped", message=words, remedy=error.remedy, **released(run))
    return run.set_state("interrupted", message=message, remedy=BY_ITSELF, cause="disk", **released(run))


def failed(run: Run, message: str, remedy: str, cause: str = "error") -> None:
    """Say that a run failed, unless its state says already how it ended; on a full disk that has to wait."""
    try:
        if not run.state().ended:
            run.set_state("failed", message=message, remedy=remedy, cause=cause, **released(run))
    except StudioError:  # the worker settles it when it finds the process gone
        return
