"""What a program in the background prints goes to a log, and a log that has no room ends no work."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import IO

from training.errors import disk_full


class Unfailing:
    """A stream whose words are lost where they cannot be written; all else is the stream's own."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def write(self, words: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._stream.write(words)
        return len(words)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def full_disk_in_words(record: logging.LogRecord) -> bool:
    """A filter of a logger: a full disk is no fault of the program, so it is told in a line and without a traceback."""
    error = record.exc_info and record.exc_info[1]
    if full := error and disk_full(error):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {full.message}", (), None
    return True


def never_fails() -> None:
    """From here on nothing that is printed raises OSError: progress bars and warnings of libraries would pass it on."""
    sys.stdout, sys.stderr = Unfailing(sys.stdout), Unfailing(sys.stderr)
