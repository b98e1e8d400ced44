"""The worker as a program: python -m app.worker DATA_FOLDER, or `delora worker`.

Puts together the two that do the work: `app.work.worker`, which minds trainings, and the drawing process of
`app.orders`.
"""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

from app.orders.drawer_process import DrawerProcess
from app.work import launch, output, presence, workerfile
from app.work.worker import Worker
from training import atomic
from training.errors import StudioError

BY_APP = "by-app"


def start_detached(data: Path) -> subprocess.Popen | None:
    """Start a worker of the apps, which outlives this process; None where one is there already.

    Its words go to queue/worker.log.
    The caller keeps the Popen and polls it now and then, so that an ended worker is no zombie.
    """
    if workerfile.held(data):
        return None
    folder = Path(data) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.open_own(folder / "worker.log", "ab") as words:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "app.worker", str(Path(data).resolve()), BY_APP],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=launch.environment(),
            start_new_session=True,
        )


def main(data: Path, by_app: bool = False) -> None:
    """Be the worker of a data folder, with words on stderr. by_app: an app started it, and ends it."""
    output.never_fails()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("delora.worker").setLevel(logging.INFO)
    Worker(data, DrawerProcess, by_app=by_app, wanted=lambda: not by_app or bool(presence.others(data))).run()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), BY_APP in sys.argv[2:])
    except (StudioError, OSError, sqlite3.Error) as error:  # another worker was faster, the disk is full
        sys.exit(f"The worker cannot start: {error}")
