"""Trains a run and kills itself with SIGKILL in the middle: python killed_run.py MODEL_FOLDER RUN_FOLDER STEP."""

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    from training import loop, models
    from training.run import Run

    run = Run(Path(sys.argv[2]))
    base = models.load_base(sys.argv[1], data=run.path.parent.parent)

    def die(progress):
        if progress.phase == "train" and progress.step == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

    loop.train(run, base, progress=die)


if __name__ == "__main__":
    main()
