"""What `delora doctor` says, asked by a process of its own: the pages must answer at once, and it imports torch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from app.work import launch

FRESH_SECONDS = 300.0


class Checkup:
    """The doctor's findings of one data folder, asked for in the background and kept for five minutes."""

    def __init__(self, data: Path):
        self.data = Path(data)
        self._lock, self._found, self._when, self._asking = threading.Lock(), None, 0.0, False

    def findings(self, again: bool = False) -> list[dict] | None:
        """The newest findings (topic, level, words, remedy), None while the first are being asked for."""
        with self._lock:
            stale = again or time.monotonic() - self._when > FRESH_SECONDS
            if (self._found is None or stale) and not self._asking:
                self._asking = True
                threading.Thread(target=self._ask, name="checkup", daemon=True).start()
            return self._found

    @property
    def asking(self) -> bool:
        """Whether an answer is on its way."""
        return self._asking

    def _ask(self) -> None:
        command = [sys.executable, "-P", "-c", "from app.cli import main; main()", "doctor", "--json"]
        command += ["--data", str(self.data)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=launch.environment(), timeout=120)
            found = json.loads(done.stdout)["findings"]
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            words = f"`delora doctor` gave no answer: {error}"
            found = [{"topic": "Doctor", "level": "bad", "words": words, "remedy": "Run it in a terminal."}]
        with self._lock:
            self._found, self._when, self._asking = found, time.monotonic(), False
