"""What a run's state becomes when its process has ended without setting it, in words for a person."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any

from app.work import attempts, workerfile
from training import jsonfile, room
from training.errors import BadInput, StudioError
from training.runs import endings, shortage
from training.runs.run import Run
from training.runs.states import RunState

NO_WORD = "the training program ended without a word (computer restarted, program closed, or power lost)"
GUARD = "the worker ended, and its guard ended the training"
FORCED = "it was ended by force"
SILENT_SECONDS = 15.0  # without a heartbeat for this long, a process nobody can see is dead
ENDED_BY_ITSELF = re.compile(r"ended with code \d+")  # as the guard says it
TAIL_BYTES = 1 << 16  # of a log
WITH_THE_APP = "Stopped with the app."


def settle(run: Run, attempt: int, why: str = NO_WORD, *, out_of_memory: bool = False, said: int = 0) -> RunState:
    """Give a run whose process is gone the state that its folder shows; returns the state it has then.

    Stopped where a stop was asked for, failed where memory ran out or the program never began, else interrupted.
    A run that ended, waits, lives, or was taken up by a newer attempt stays as it is.

    Args:
        why: how the process ended, in words.
        said: the length of the run's log in bytes before the process began: what stood there is of others.
    """
    state = run.state()
    if not _is_over(run, attempt, state):
        return state
    name, changes = _verdict(run, attempt, state, why, out_of_memory, said)
    try:
        return run.set_state(name, **endings.released(run), **changes)
    except BadInput:  # somebody else settled it in this moment
        return run.state()


def seen(run: Run) -> RunState:
    """Where a run stands, settled first where its process is gone and no worker is there to do so.

    A process that is not to be seen may be at work on another computer: its last sign of life must be old, or of a time
    that is yet to come.
    """
    state = run.state()
    attempt, age = run.newest_attempt(), time.time() - (state.heartbeat or state.updated)
    if abs(age) < SILENT_SECONDS or not _is_over(run, attempt, state) or workerfile.held(run.path.parent.parent):
        return state
    with contextlib.suppress(StudioError):
        state = settle(run, attempt)
    if not _is_over(run, attempt, state):
        return state
    name, changes = _verdict(run, attempt, state, NO_WORD, out_of_memory=False, said=0)  # a folder not to be written
    return state.model_copy(update={"name": name, **endings.released(run), **changes})


def _is_over(run: Run, attempt: int, state: RunState) -> bool:
    """Whether a run says it is at work and its process is gone."""
    lives = state.alive and state.pid != os.getpid()  # the worker stands in for a job that has not begun
    return not (state.ended or state.name == "queued" or lives) and attempts.still_ours(run, attempt)


def _verdict(
    run: Run, attempt: int, state: RunState, why: str, out_of_memory: bool, said: int
) -> tuple[str, dict[str, Any]]:
    saved = endings.saved_words(run)
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
    if room.is_full(run.path):
        return "interrupted", {
            "step": step,
            "message": f"{room.warning(run.path)} The training program ended at step {step}. {saved}",
            "remedy": endings.BY_ITSELF,
            "cause": "disk",
        }
    if state.name == "starting" and run.newest_attempt() < attempt and ENDED_BY_ITSELF.fullmatch(why):
        words = last_line(run.path / "log.txt", said)
        return "failed", {
            "message": f"The training program could not be started: {words or f'it {why} and wrote no word of why.'}",
            "remedy": "The whole report is in the run's log.txt. `delora doctor` looks for the usual causes.",
            "cause": "error",
        }
    early = why.startswith("ended")  # before it had taken the run up
    when = time.strftime("%a %H:%M", time.localtime(state.heartbeat or state.updated))
    return "interrupted", {
        "step": step,
        "message": f"Interrupted on {when} at step {step}: {'the training program ' if early else ''}{why}. {saved}",
        "remedy": _repeats(run, step),
    }


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


def last_line(path: Path, start: int = 0) -> str:
    """The last line of a log, from byte `start` on, that says something; "" where there is none."""
    try:
        with jsonfile.open_regular(path) as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
