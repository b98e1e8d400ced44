"""The drawing process as the worker minds it: started when something is ordered of it, found when it dies.

Each order (see `app.orders.book`) is a job of the generate queue. Its state.json is the truth: what the queue lost is
put back, and an order whose process is gone is said to have failed.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.orders import book
from app.orders.drawer import LEAVE
from app.orders.order import AT_WORK, Order
from app.work import launch, processes
from app.work.engines import Engine, Need, Waiting, job_name, split_name
from app.work.outcome import WITH_THE_APP
from app.work.reconcile import Finding
from training.errors import StudioError

QUEUE_SECONDS = 1.5  # missing for this long, a queued order is lost and not just between the queue and its process
TRIES = 3  # a process that leaves in the moment of an order has not begun it
LEAVE_SECONDS = 10.0

log = logging.getLogger("delora.worker")


class DrawerProcess:
    """The drawing process of a data folder, and what becomes of its orders.

    Args:
        minded: the names of jobs that threads of this worker see to; `draw` adds its own.
    """

    def __init__(self, data: Path, minded: set[str]):
        self.data, self.minded = Path(data), minded
        self._process: subprocess.Popen | None = None
        self._left: list[subprocess.Popen] = []  # told to leave, and not gone yet
        self._lock = threading.Lock()
        self._ending = False
        self._at_work: Order | None = None
        self._ended: set[str] = set()
        self._missing: dict[str, float] = {}

    def draw(self, order_id: str, attempt: int) -> None:
        """Do one job of the generate queue; returns when the order has ended."""
        order, name = book.at(self.data, order_id), job_name(order_id, attempt)
        self.minded.add(name)
        try:
            for _ in range(TRIES):
                if self._ending or not order.path.is_dir() or order.state().name != "queued":
                    break
                if order.stop_requested():
                    order.set_state("stopped", message="Removed from the queue.")
                    break
                self._order(order)
            else:
                if order.state().name == "queued":
                    words = "The drawing program could not be started."
                    order.set_state("failed", message=words, remedy="`delora doctor` looks for the usual causes.")
            if order.path.is_dir():
                log.info("%s is %s. %s", order.id, order.state().name, order.state().message)
            book.prune(self.data)
        except StudioError as error:  # damaged, or a full disk
            log.warning("%s: %s", order_id, error)
        finally:
            self.minded.discard(name)

    def look(self, engine: Engine) -> list[Finding]:
        """Put orders and queue right where they differ; returns what there was to say. Only for the worker."""
        with self._lock:
            self._left = [process for process in self._left if process.poll() is None]
            if self._process and self._process.poll() is not None:  # it left by itself: collected here, no zombie
                self._process = None
        open_ones = [order for order in book.all_orders(self.data) if not self._is_ended(order)]
        self._missing = {order.id: self._missing.get(order.id, time.monotonic()) for order in open_ones}
        if not open_ones:
            return []
        waiting = {split_name(name)[0] for name, status in engine.poll().items() if isinstance(status, Waiting)}
        waiting |= {split_name(name)[0] for name in list(self.minded)}
        findings = []
        for order in open_ones:
            with contextlib.suppress(StudioError):  # damaged in this moment
                findings.append(self._compare(order, order.id in waiting, engine))
        return [finding for finding in findings if finding]

    def drop(self) -> None:
        """Have the process leave the device, after the order at work if there is one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                self._left.append(process)
                with contextlib.suppress(OSError):
                    process.stdin.write(f"{LEAVE}\n".encode())

    def leave(self) -> None:
        """Stop the order at work and begin no other, since the worker ends."""
        self._ending = True
        if order := self._at_work:
            order.request_stop()
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

    def _order(self, order: Order) -> None:
        """Have the process do one order, and wait for it; where the process died over it, say so in its state."""
        kills, process = processes.oom_kills(), self._warm()
        self._at_work = order
        try:
            with contextlib.suppress(OSError):  # it has just left
                process.stdin.write(f"{order.id}\n".encode())
                if any(line.decode().strip() == order.id for line in process.stdout):
                    return
            with self._lock:
                if self._process is process:
                    self._process = None
            process.wait()
            _fail(order, out_of_memory=processes.oom_kills() > kills)
        finally:
            self._at_work = None
            state = order.state()
            if self._ending and state.name == "stopped":
                order.set_state(message=WITH_THE_APP)

    def _warm(self) -> subprocess.Popen:
        """The process, started where there is none."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "app.orders.drawer", str(self.data.resolve())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=launch.environment(),
                    start_new_session=True,
                    bufsize=0,
                )
            return self._process

    def _is_ended(self, order: Order) -> bool:
        """Whether nothing more becomes of an order; a damaged one counts as ended."""
        if order.id not in self._ended:
            if order.is_open:
                return False
            self._ended.add(order.id)
        return True

    def _compare(self, order: Order, known: bool, engine: Engine) -> Finding | None:
        """One order that has not ended. known: it waits in the queue, or a thread of this worker sees to it."""
        state = order.state()
        if known or state.ended:
            self._missing[order.id] = time.monotonic()
        elif state.name != "queued":
            if not state.alive:
                _fail(order)
                return Finding(order.id, "ended", f"{order.id}: its process was dead.")
        elif order.stop_requested():
            order.set_state("stopped", message="Removed from the queue.")
            return Finding(order.id, "ended", f"{order.id} was removed from the queue.")
        elif time.monotonic() - self._missing[order.id] > QUEUE_SECONDS:
            engine.submit(order.id, 1, Need(kind="generate"))
            return Finding(order.id, "put back", f"{order.id} was lost from the queue and is back in it.")
        return None


def _fail(order: Order, *, out_of_memory: bool = False) -> None:
    """The state of an order whose process is gone; one that waits in the queue or has ended stays as it is."""
    if out_of_memory:
        words = "The computer ran out of memory and the system ended the drawing program."
        remedy = order.SMALLER
    else:
        words, remedy = f"The drawing program ended before {order.UNDONE} (closed, or power lost).", order.AGAIN
    with contextlib.suppress(StudioError):  # somebody else has said what became of it
        if order.state().name in AT_WORK:
            order.set_state("failed", message=words, remedy=remedy)
