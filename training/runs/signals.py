"""Ctrl-C and SIGTERM while a run is trained."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.runs.run import Run


@contextlib.contextmanager
def stop_on_signals(*runs: Run) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the runs to stop between two steps; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; a request through the folder works everywhere
        return
    if getattr(signal.getsignal(signal.SIGINT), "asks_to_stop", False):
        yield  # the caller has asked for the same already
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        for run in runs:
            run.request_stop()
        signal.signal(number, before[number])

    ask.asks_to_stop = True
    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
