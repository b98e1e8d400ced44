"""What a program in the background prints goes to a log, and a log that has no room ends no work."""

from __future__ import annotations

import contextlib
import sys
from typing import IO


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


def never_fails() -> None:
    """From here on nothing that is printed raises OSError: progress bars and warnings of libraries would pass it on."""
    sys.stdout, sys.stderr = Unfailing(sys.stdout), Unfailing(sys.stderr)
