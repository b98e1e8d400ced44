"""Trains a run in a process of its own: python train_run.py MODEL_FOLDER RUN_FOLDER [STEP TO KILL ITSELF AT]."""

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    from training import loop
    from training.base import models
    from training.runs.run import Run

    run = Run(Path(sys.argv[2]))
    base = models.load_base(sys.argv[1], data=run.path.parent.parent)
    last_step = int(sys.argv[3]) if len(sys.argv) > 3 else None

    def die(progress):
        if progress.phase == "train" and progress.step == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    print(loop.train(run, base, progress=die))


if __name__ == "__main__":
    main()
