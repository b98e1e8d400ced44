"""What a person does to a run (start, resume, stop) and to a drawing (draw, stop): called by pages and commands.

The worker does the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from app import attempts, drawings, outcome
from app.drawings import Drawing, DrawRequest
from app.engines import Engine, Need, Running, Waiting, job_name, open_engine, split_name
from training.errors import BadInput
from training.run import Run


def start(data: Path, run: Run, need: Need | None = None, engine: Engine | None = None) -> str | None:
    """Put a run into the queue, or a stopped, interrupted or failed one back into it; returns its job's name.

    A run that waits already keeps its place, and one at work is left alone (None): pressing twice starts once.

    Raises BadInput for a run that is done.
    """
    state = run.state()
    if state.name == "done":
        raise BadInput(f"Run {run.id} is done.", "To train longer, make a new run of it with more steps.", "run")
    if state.resumable:
        with contextlib.suppress(BadInput):  # another press was faster
            run.set_state("queued", cause="")
    if run.state().name != "queued":
        return None
    return (engine or open_engine(data)).submit(run.id, attempts.upcoming(run), need or Need())


def stop(data: Path, run: Run, grace: float | None = None, engine: Engine | None = None) -> None:
    """Take a waiting run out of the queue, or have one at work save and stop; one that ended is left alone.

    grace: seconds until it is ended by force; 0 is at once, without a save; None never.
    """
    engine = engine or open_engine(data)
    state = run.state()
    if state.ended:
        return
    jobs = {name: status for name, status in engine.poll().items() if split_name(name)[0] == run.id}
    names = [name for name, status in jobs.items() if isinstance(status, Waiting | Running)]
    withdrawn = [engine.stop(name, grace) for name in names]
    run.request_stop()
    with contextlib.suppress(BadInput):  # it moved on in this moment, which is as good
        state = run.state()
        if state.name == "queued" and (any(withdrawn) or not engine.capacity().working):
            run.set_state("stopped", message="Removed from the queue.", saved_step=run.latest_checkpoint())
        elif state.name == "running":
            run.set_state("stopping")
    if grace == 0 and not names and state.alive:  # at work without the engine: a training in a terminal
        os.kill(state.pid, signal.SIGKILL)
        outcome.settle(run, run.newest_attempt(), outcome.FORCED)


def draw(data: Path, request: DrawRequest, engine: Engine | None = None) -> Drawing:
    """Make a drawing and put it into the queue. Raises as `drawings.create`, naming the field that is wrong."""
    drawing = drawings.create(data, request)
    (engine or open_engine(data)).submit(drawing.id, 1, Need(kind="generate"))
    return drawing


def stop_drawing(data: Path, drawing: Drawing, engine: Engine | None = None) -> None:
    """Take a waiting drawing out of the queue, or have one at work stop between two sampler steps."""
    engine = engine or open_engine(data)
    if drawing.state().ended:
        return
    drawing.request_stop()
    withdrawn = engine.stop(job_name(drawing.id, 1))
    with contextlib.suppress(BadInput):  # it moved on in this moment, which is as good
        if drawing.state().name == "queued" and (withdrawn or not engine.capacity().working):
            drawing.set_state("stopped", message="Removed from the queue.")
