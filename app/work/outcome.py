"""What a run's state becomes when its process has ended without setting it, in words for a person."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.work import attempts
from training import jsonfile
from training.errors import BadInput
from training.runs import shortage
from training.runs.run import Run
from training.runs.states import RunState

NO_WORD = "the training program ended without a word (computer restarted, program closed, or power lost)"
GUARD = "the worker ended, and its guard ended the training"
FORCED = "it was ended by force"
TAIL_BYTES = 1 << 16  # of a log
WITH_THE_APP = "Stopped with the app."


def settle(run: Run, attempt: int, why: str = NO_WORD, *, out_of_memory: bool = False) -> RunState:
    """Give a run whose process is gone the state that its folder shows; returns the state it has then.

    Stopped where a stop was asked for, failed where memory ran out or the program never began, else interrupted.
    A run that ended, waits, lives, or was taken up by a newer attempt stays as it is.
    """
    state = run.state()
    lives = state.alive and state.pid != os.getpid()  # the worker stands in for a job that has not begun
    if state.ended or state.name == "queued" or not attempts.still_ours(run, attempt) or lives:
        return state
    name, changes = _verdict(run, attempt, state, why, out_of_memory)
    gone = {"phase": "", "pid": None, "pid_started": None, "saved_step": run.latest_checkpoint()}
    try:
        return run.set_state(name, **gone, **changes)
    except BadInput:  # somebody else settled it in this moment
        return run.state()


def _verdict(run: Run, attempt: int, state: RunState, why: str, out_of_memory: bool) -> tuple[str, dict]:
    saved = saved_words(run)
    step = max(state.step, _last_step(run)["step"])
    if state.name == "stopping" or run.stop_requested():
        lost = step > (run.latest_checkpoint() or 0)
        return "stopped", {"message": f"{'Stopped before it could save.' if lost else 'Stopped.'} {saved}"}
    if out_of_memory:
        told = f"{shortage.figures(state.memory)} " if state.memory else ""
        return "failed", {
            "message": f"The computer ran out of memory and the system ended the training. {told}{saved}",
            "remedy": shortage.remedy(state.memory),
            "cause": "memory",
        }
    if state.name == "starting" and run.newest_attempt() < attempt and why == NO_WORD:
        return "failed", {
            "message": f"The training program could not be started: {last_line(run.path / 'log.txt')}",
            "remedy": "The whole report is in the run's log.txt. `delora doctor` looks for the usual causes.",
            "cause": "error",
        }
    when = time.strftime("%a %H:%M", time.localtime(state.heartbeat or state.updated))
    return "interrupted", {
        "step": step,
        "message": f"Interrupted on {when} at step {step}: {why}. {saved}",
        "remedy": _repeats(run, step),
    }


def saved_words(run: Run) -> str:
    """How far a run is saved."""
    saved = run.latest_checkpoint()
    return "Nothing is saved yet." if saved is None else f"Saved up to step {saved}."


def _repeats(run: Run, step: int) -> str:
    """What a resume costs."""
    again = step - (run.latest_checkpoint() or 0)
    if again <= 0:
        return "Resume goes on from there; on this machine the result is the same as without the break."
    seconds = again * (_last_step(run).get("seconds") or 0.0)
    about = f", about {seconds:.0f} s" if seconds >= 1 else ""
    steps = "1 step" if again == 1 else f"{again} steps"
    return f"Resume repeats {steps}{about}; on this machine the result is the same as without the break."


def _last_step(run: Run) -> dict:
    return next(reversed(run.history("step")), {"step": 0})


def last_line(path: Path) -> str:
    """The last line of a log that says something; "" where there is none."""
    try:
        with jsonfile.open_regular(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
