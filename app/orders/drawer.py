"""The drawing process: does one order after another (see `app.orders.book`), and keeps the models ready in between.

    python -P -m app.orders.drawer DATA_FOLDER

The worker starts it and writes to its standard input, a line each: an order's id, or "leave". It answers each id with
the same line when the order has ended, however it did; what came of it stands in the order's state.json. A closed input
means that the worker is no more: then it ends at once.

It owns the device from its first drawing to its end, since its models lie there in between; so it leaves when somebody
else wants the device, or after five minutes without an order.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path

from app.orders import book, waiting
from app.orders.drawings import Drawing
from app.orders.exports import Export
from app.orders.importing import Import
from app.orders.order import Order
from app.orders.segmenting import Segmentation
from app.work import devices, output
from app.work.entry import beating
from training import room
from training.base import modelref
from training.errors import MissingModel, Stopped, StudioError, from_os_error
from training.runs.rundir import run_by_id
from training.runs.states import this_process

LEAVE = "leave"
IDLE_SECONDS = 300.0
PAUSE_SECONDS = 1.0  # so long the next drawing in the queue may take to come while somebody waits for the device
TURN_SECONDS = 60.0  # and so long drawings go before somebody who waits
TELL_SECONDS = 0.3
WITHOUT_WORKER = "The worker ended before {undone}."


class Drawer:
    """One drawing process."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self.orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.current: Order | None = None
        self.broken = False  # after an error nobody foresaw, a new process is safer
        self._warm = None
        self._lease: devices.Lease | None = None
        self._held = contextlib.ExitStack()  # never closed: the device goes with the process
        self._since = 0.0

    def work(self, answer) -> None:
        """Do what is ordered until it is time to leave; `answer` is called with each id when that has ended."""
        while not self.broken and (order := self._next()):
            self.current = book.at(self.data, order)
            self._do(self.current)
            self.current = None
            answer(order)
        self._cool()

    def _next(self) -> str | None:
        """The next order, or None where it is time to leave."""
        began = time.monotonic()
        if self._lease and began - self._since > TURN_SECONDS and self._lease.wanted():
            return None
        if self._lease:
            self._lease.say("Generate: kept ready")
        while True:
            with contextlib.suppress(queue.Empty):
                order = self.orders.get(timeout=0.2)
                return None if order == LEAVE else order
            idle = time.monotonic() - began
            if idle > IDLE_SECONDS or (idle > PAUSE_SECONDS and self._lease and self._lease.wanted()):
                return None

    def _do(self, order: Order) -> None:
        """Do one order; however it ends, its state says so."""
        work = {
            Drawing: self._draw,
            Export: self._export,
            Import: self._import,
            Segmentation: self._segment,
        }[type(order)]
        with beating(order):
            try:
                with modelref.confined(self.data, order.state().reach):
                    work(order)
            except Stopped:
                end = {"name": "stopped", "message": "Stopped."}
            except (StudioError, OSError) as error:
                path = getattr(error, "filename", None) or order.path
                told = from_os_error(error, Path(path)) if isinstance(error, OSError) else error
                end = {"name": "failed", "message": told.message, "remedy": told.remedy, "field": told.field}
            except Exception as error:
                traceback.print_exc()
                self.broken, end = True, {"name": "failed", **_explain(error, order)}
            else:
                end = {"name": "done", "done": order.state().total, "message": ""}
            with contextlib.suppress(StudioError):  # somebody else has ended it, or it was removed
                order.set_state(**end)

    def _hold(self, order: Order, who: str) -> None:
        """Have the device; while somebody else does, the order's state says whom it waits for and how long."""
        if self._lease:
            self._lease.say(who)
            return
        told, looked = "", 0.0

        def ask(present: str) -> None:
            nonlocal told, looked
            if order.stop_requested():
                raise Stopped(f"Stopped while waiting for {present}.")
            if time.monotonic() - looked < 1.0:
                return
            looked, words = time.monotonic(), waiting.sentence(self.data)
            if words and words != told:
                order.set_state("waiting", waits_for=words, **this_process())
                told = words

        self._lease = self._held.enter_context(devices.owner(self.data, who, ask))
        self._since = time.monotonic()

    def _draw(self, drawing: Drawing) -> None:
        """Load what is not there and draw the pictures into the drawing's folder."""
        request = drawing.request()
        room.check(self.data, drawing.needed_bytes(), "this drawing", "Free some space, then draw it again.")
        self._hold(drawing, f"Generate: drawing {request.count} picture{'s'[: request.count > 1]}")
        drawing.set_state("drawing", message="Loading the model.", began=time.time(), **this_process())
        from app.orders.warm import Warm
        from evaluation.pictures import write_picture

        self._warm = self._warm or Warm(self.data)
        self._warm.open(request, drawing.labels())
        drawing.beat(message="", began=time.time())
        told = 0.0

        def tell(done: float) -> None:
            nonlocal told
            if drawing.stop_requested():
                raise Stopped("Stopped on request.")
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                drawing.beat(done=done)

        tell(0.0)
        for name, facts, image in self._warm.pictures(request, tell):
            write_picture(image, drawing.path / name, facts)
        if request.map:
            self._judge(drawing)

    def _judge(self, drawing: Drawing) -> None:
        """Look how well the pictures follow their map; without a segmentor they stay as they are."""
        from app.orders import agreeing

        drawing.beat(message="Comparing the pictures with the map.", done=drawing.state().total)

        def tell() -> None:
            if drawing.stop_requested():
                raise Stopped("Stopped on request.")

        with contextlib.suppress(MissingModel):
            agreeing.judge(drawing, self._warm.segmentor(), tell)

    def _segment(self, order: Segmentation) -> None:
        """Make the map of a picture."""
        self._hold(order, "Generate: making a map of a picture")
        order.set_state("writing", message="Loading the segmentor.", began=time.time(), **this_process())
        from app.orders import segmenting
        from app.orders.warm import Warm

        self._warm = self._warm or Warm(self.data)
        segmentor = self._warm.segmentor_of(order.request().segmentor)
        if order.stop_requested():
            raise Stopped("Stopped on request.")
        order.beat(message="Looking at the picture.")
        segmenting.work(order, segmentor)

    def _export(self, order: Export) -> None:
        """Write a file of a run. It takes a base model of its own, so what is kept for drawings makes room."""
        request = order.request()
        name = run_by_id(self.data, request.run).name
        self._hold(order, f"{name}: export")
        order.set_state("writing", message="Loading the model.", began=time.time(), **this_process())
        self._cool()
        from app.orders import making

        def tell(words: str) -> None:
            if order.stop_requested():
                raise Stopped("Stopped on request.")
            order.beat(message=words)

        making.make(self.data, request, tell)

    def _import(self, order: Import) -> None:
        """Import a LoRA file: on the processor, whoever has the device."""
        order.set_state("writing", message="Reading the file.", began=time.time(), **this_process())
        from app.orders import importing

        order.set_state(made=importing.work(self.data, order).slug)

    def _cool(self) -> None:
        """Take the drawings' models off the device."""
        if self._warm:
            self._warm.close()
            self._warm = None


def _explain(error: Exception, order: Order) -> dict[str, str]:
    from training.step.memory import is_out_of_memory

    if is_out_of_memory(error):
        words = "Memory ran out, even with one picture at a time." if isinstance(order, Drawing) else "Memory ran out."
        return {"message": words, "remedy": order.SMALLER}
    remedy = "The whole report is in queue/worker.log in the data folder."
    return {"message": f"{type(error).__name__}: {error}", "remedy": remedy}


def _listen(drawer: Drawer) -> None:
    """Pass on orders; at their end, which is the worker's, say so in the one at work and end the process."""
    with open(0, "rb", buffering=0) as lines:  # unbuffered: a buffer's lock would be held at the interpreter's end
        for line in lines:
            drawer.orders.put(line.decode().strip())
    if order := drawer.current:
        with contextlib.suppress(StudioError):
            order.set_state("failed", message=WITHOUT_WORKER.format(undone=order.UNDONE), remedy=order.AGAIN)
    os._exit(1)


def main(data: Path) -> None:
    """Be the drawing process of a data folder."""
    output.never_fails()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    drawer = Drawer(data)
    threading.Thread(target=_listen, args=(drawer,), name="orders", daemon=True).start()
    drawer.work(lambda order: print(order, file=answers, flush=True))
    os._exit(0)  # at once: Python's own way out takes a second, in which the next owner waits for the device


if __name__ == "__main__":
    main(Path(sys.argv[1]))
