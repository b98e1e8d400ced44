"""The drawing process as the worker minds it: started when something is to be drawn, found when it dies.

Each drawing is a job of the generate queue. Its state.json is the truth: what the queue lost is put back, and a drawing
whose process is gone is said to have failed.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

from app import drawings, launch, processes
from app.drawer import AGAIN, LEAVE
from app.drawings import Drawing
from app.engines import Engine, Need, Waiting, job_name, split_name
from app.outcome import WITH_THE_APP
from app.reconcile import Finding
from training.errors import StudioError

QUEUE_SECONDS = 1.5  # missing for this long, a queued drawing is lost and not just between the queue and its process
TRIES = 3  # a process that leaves in the moment of an order has not begun it
LEAVE_SECONDS = 10.0

log = logging.getLogger("delora.worker")


class DrawerProcess:
    """The drawing process of a data folder, and what becomes of drawings.

    Args:
        minded: the names of jobs that threads of this worker see to; `draw` adds its own.
    """

    def __init__(self, data: Path, minded: set[str]):
        self.data, self.minded = Path(data), minded
        self._process: subprocess.Popen | None = None
        self._left: list[subprocess.Popen] = []  # told to leave, and not gone yet
        self._lock = threading.Lock()
        self._ending = False
        self._at_work: Drawing | None = None
        self._ended: set[str] = set()
        self._missing: dict[str, float] = {}

    def draw(self, drawing_id: str, attempt: int) -> None:
        """Do one job of the generate queue; returns when the drawing has ended."""
        drawing, name = Drawing(self.data / "drawings" / drawing_id), job_name(drawing_id, attempt)
        self.minded.add(name)
        try:
            for _ in range(TRIES):
                if self._ending or not drawing.path.is_dir() or drawing.state().name != "queued":
                    break
                if drawing.stop_requested():
                    drawing.set_state("stopped", message="Removed from the queue.")
                    break
                self._order(drawing)
            else:
                if drawing.state().name == "queued":
                    words = "The drawing program could not be started."
                    drawing.set_state("failed", message=words, remedy="`delora doctor` looks for the usual causes.")
            if drawing.path.is_dir():
                log.info("%s is %s. %s", drawing.id, drawing.state().name, drawing.state().message)
            drawings.prune(self.data)
        except StudioError as error:  # damaged, or a full disk
            log.warning("%s: %s", drawing_id, error)
        finally:
            self.minded.discard(name)

    def look(self, engine: Engine) -> list[Finding]:
        """Put drawings and queue right where they differ; returns what there was to say. Only for the worker."""
        with self._lock:
            self._left = [process for process in self._left if process.poll() is None]
            if self._process and self._process.poll() is not None:  # it left by itself: collected here, no zombie
                self._process = None
        open_ones = [drawing for drawing in drawings.list_drawings(self.data) if not self._is_ended(drawing)]
        self._missing = {drawing.id: self._missing.get(drawing.id, time.monotonic()) for drawing in open_ones}
        if not open_ones:
            return []
        waiting = {split_name(name)[0] for name, status in engine.poll().items() if isinstance(status, Waiting)}
        waiting |= {split_name(name)[0] for name in list(self.minded)}
        return [finding for drawing in open_ones if (finding := self._compare(drawing, drawing.id in waiting, engine))]

    def drop(self) -> None:
        """Have the process leave the device, after the drawing at work if there is one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                self._left.append(process)
                with contextlib.suppress(OSError):
                    process.stdin.write(f"{LEAVE}\n".encode())

    def leave(self) -> None:
        """Stop the drawing at work and begin no other, since the worker ends."""
        self._ending = True
        if drawing := self._at_work:
            drawing.request_stop()
        self.drop()

    def close(self, seconds: float = LEAVE_SECONDS) -> None:
        """Wait until every process is gone; one that takes longer is killed."""
        self.drop()
        for process in self._left:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _order(self, drawing: Drawing) -> None:
        """Have the process do one drawing, and wait for it; where the process died over it, say so in its state."""
        kills, process = processes.oom_kills(), self._warm()
        self._at_work = drawing
        try:
            with contextlib.suppress(OSError):  # it has just left
                process.stdin.write(f"{drawing.id}\n".encode())
                if any(line.decode().strip() == drawing.id for line in process.stdout):
                    return
            with self._lock:
                if self._process is process:
                    self._process = None
            process.wait()
            _fail(drawing, out_of_memory=processes.oom_kills() > kills)
        finally:
            self._at_work = None
            state = drawing.state()
            if self._ending and state.name == "stopped":
                drawing.set_state(message=WITH_THE_APP)

    def _warm(self) -> subprocess.Popen:
        """The process, started where there is none."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "app.drawer", str(self.data.resolve())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=launch.environment(),
                    start_new_session=True,
                    bufsize=0,
                )
            return self._process

    def _is_ended(self, drawing: Drawing) -> bool:
        """Whether nothing more becomes of a drawing; a damaged one counts as ended."""
        if drawing.id not in self._ended:
            with contextlib.suppress(StudioError):
                if not drawing.state().ended:
                    return False
            self._ended.add(drawing.id)
        return True

    def _compare(self, drawing: Drawing, known: bool, engine: Engine) -> Finding | None:
        """One drawing that has not ended. known: it waits in the queue, or a thread of this worker sees to it."""
        state = drawing.state()
        if known or state.ended:
            self._missing[drawing.id] = time.monotonic()
        elif state.name != "queued":
            if not state.alive:
                _fail(drawing)
                return Finding(drawing.id, "ended", f"{drawing.id}: its process was dead.")
        elif drawing.stop_requested():
            drawing.set_state("stopped", message="Removed from the queue.")
            return Finding(drawing.id, "ended", f"{drawing.id} was removed from the queue.")
        elif time.monotonic() - self._missing[drawing.id] > QUEUE_SECONDS:
            engine.submit(drawing.id, 1, Need(kind="generate"))
            return Finding(drawing.id, "put back", f"{drawing.id} was lost from the queue and is back in it.")
        return None


def _fail(drawing: Drawing, *, out_of_memory: bool = False) -> None:
    """The state of a drawing whose process is gone; one that waits in the queue or has ended stays as it is."""
    if out_of_memory:
        words = "The computer ran out of memory and the system ended the drawing program."
        remedy = "Close other programs, or draw fewer or smaller pictures."
    else:
        words, remedy = "The drawing program ended before the pictures were done (closed, or power lost).", AGAIN
    with contextlib.suppress(StudioError):  # somebody else has said what became of it
        if drawing.state().name in ("waiting", "drawing"):
            drawing.set_state("failed", message=words, remedy=remedy)
