"""What a person does: start, resume, stop and export a run, draw, import a file, and stop that.

Pages and commands call it; the worker does the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.orders import drawings, exports, importing, segmenting
from app.orders.drawings import Drawing, DrawRequest
from app.orders.exports import Export
from app.orders.importing import Import
from app.orders.order import Order
from app.orders.segmenting import Segmentation
from app.work import attempts, outcome
from app.work.engines import Engine, Need, Running, Waiting, job_name, open_engine, split_name
from training.errors import BadInput
from training.runs.run import Run

if TYPE_CHECKING:
    import numpy as np


def start(data: Path, run: Run, need: Need | None = None, engine: Engine | None = None) -> str | None:
    """Put a run into the queue, or a stopped, interrupted or failed one back into it; returns its job's name.

    A run that waits already keeps its place, and one at work is left alone (None): pressing twice starts once.

    Raises BadInput for a run that is done, or one in whose folder a training could not write.
    """
    run.check_places()
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


def draw(data: Path, request: DrawRequest, engine: Engine | None = None, labels: np.ndarray | None = None) -> Drawing:
    """Make a drawing, of a map where there are labels, and put it into the queue. Raises as `drawings.create`, naming
    the field that is wrong."""
    drawing = drawings.create(data, request, labels)
    (engine or open_engine(data)).submit(drawing.id, 1, Need(kind="generate"))
    return drawing


def export(data: Path, run: Run, kind: str, engine: Engine | None = None, step: int | None = None) -> Export:
    """Have a file of a save made in a format; one that waits or is at work stays. Raises as `exports.create`."""
    order = exports.create(data, run, kind, step)
    (engine or open_engine(data)).submit(order.id, 1, Need(kind="generate"))
    return order


def import_lora(data: Path, files: Sequence[Path], engine: Engine | None = None, **settings) -> Import:
    """Have an uploaded LoRA file imported. Arguments and errors as `importing.create`."""
    order = importing.create(data, files, **settings)
    (engine or open_engine(data)).submit(order.id, 1, Need(kind="generate"))
    return order


def segment(data: Path, photo: Path, segmentor: str, engine: Engine | None = None) -> Segmentation:
    """Have the map of a picture made. Raises as `segmenting.create`."""
    order = segmenting.create(data, photo, segmentor)
    (engine or open_engine(data)).submit(order.id, 1, Need(kind="generate"))
    return order


def stop_order(data: Path, order: Order, engine: Engine | None = None) -> None:
    """Take a waiting drawing or export out of the queue, or have one at work stop at its next step."""
    engine = engine or open_engine(data)
    if order.state().ended:
        return
    order.request_stop()
    withdrawn = engine.stop(job_name(order.id, 1))
    with contextlib.suppress(BadInput):  # it moved on in this moment, which is as good
        if order.state().name == "queued" and (withdrawn or not engine.capacity().working):
            order.set_state("stopped", message="Removed from the queue.")
