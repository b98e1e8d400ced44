"""The app as a process of its own, for tests: started, interrupted, killed, and what of it still lives."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil


def living(data: Path, *words: str) -> list[psutil.Process]:
    """Living processes that name a data folder and all of `words` in their command."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(data) in line and all(word in line for word in words):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


class App:
    """`delora app` on a data folder of its own."""

    def __init__(self, data: Path, port: int = 0, options: tuple[str, ...] = ()):
        self.data, self.port, self.options = data, port, options
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers, and not only for its address: from then on signals reach its server."""
        code = "from app.cli import main; main()"
        command = [sys.executable, "-P", "-c", code, "app", "--no-browser", "--port", str(self.port)]
        root = str(Path(__file__).resolve().parents[1])
        self.process = subprocess.Popen(
            [*command, "--data", str(self.data), *self.options],
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")},
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://localhost:(\d+)", line):
                self.port = int(found.group(1))
                break
        else:
            raise AssertionError("delora app did not start:\n" + "".join(self.said))
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()
        self.url = f"http://localhost:{self.port}"
        with contextlib.suppress(urllib.error.HTTPError):  # any answer will do
            urllib.request.urlopen(self.url, timeout=120).close()  # the socket listens long before

    def kill(self) -> None:
        """kill -9 the server, and it alone."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Living processes that name the data folder and all of `words` in their command."""
        return living(self.data, *words)

    def runs(self) -> list:
        """The runs there are, newest first."""
        from training.runs import rundir

        return rundir.list_runs(self.data)

    def until(self, true, seconds: float = 300):
        """Wait until `true()` is, and return what it gave; fails the test otherwise."""
        deadline = time.monotonic() + seconds
        while not (value := true()):
            assert time.monotonic() < deadline, f"waited {seconds} s; the app said:\n" + "".join(self.said[-20:])
            time.sleep(0.1)
        return value

    def close(self) -> None:
        """Kill whatever of it still lives."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()
