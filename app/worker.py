"""The worker as a program: python -m app.worker DATA_FOLDER, or `delora worker`.

Puts together the two that do the work: `app.work.worker`, which minds trainings, and the drawing process of
`app.orders`.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from app.orders.drawer_process import DrawerProcess
from app.work import launch, workerfile
from app.work.worker import Worker


def start_detached(data: Path) -> subprocess.Popen | None:
    """Start a worker that outlives this process; None where one is there already. Its words go to queue/worker.log.

    The caller keeps the Popen and polls it now and then, so that an ended worker is no zombie.
    """
    if workerfile.held(data):
        return None
    folder = Path(data) / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "worker.log").open("ab") as words:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "app.worker", str(Path(data).resolve())],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=launch.environment(),
            start_new_session=True,
        )


def main(data: Path) -> None:
    """Be the worker of a data folder, with words on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("delora.worker").setLevel(logging.INFO)
    Worker(data, DrawerProcess).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
