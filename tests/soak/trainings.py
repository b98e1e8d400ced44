"""Real trainings of a tiny model through a real worker, for the soaks: begun, settled, and compared to the bit.

python trainings.py worker DATA       the worker, whose jobs are these
python trainings.py job RUN ATTEMPT   such a job, behind the real entry point, launcher and guard
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

STEPS, SAVE_EVERY = 30, 5
LONG_SECONDS = 180  # nothing takes nearly so long when it works


def job(path: Path, lease=None) -> str:
    """Train, and draw at each save. The judges are left out: they are slow to load and none of the soaks' matter."""
    from app.work import attempts
    from training import loop, sample
    from training.base import models
    from training.runs import endings
    from training.runs.run import Run

    run = attempts.take(Run(path))
    base = models.load_base(run.spec.base, data=path.parent.parent)

    def draw(step, adapter):
        run.beat(phase="draw")
        sample.draw(run, base, adapter, step)
        run.beat(phase="train")

    outcome = loop.train(run, base, on_save=draw, data=path.parent.parent)
    if outcome == "done":
        run.set_state("done", **endings.released(run))
    return str(outcome)


def command(run, attempt: int) -> list[str]:
    """The command of a job: this file under accelerate, as the real one is."""
    from app.work import launch

    own = [sys.executable, "-P", __file__, "job", str(run.path), str(attempt)]
    return launch.accelerate(own, run.path.parent.parent / "queue", threads=1)


class Trainings:
    """A data folder with a worker, and a training that went through undisturbed to compare with."""

    def __init__(self, data: Path, models: Path):
        import tinypipeline
        from workshop import Workshop

        self.base = models / "tiny"
        if not self.base.is_dir():
            tinypipeline.build(self.base)
        data.mkdir(parents=True, exist_ok=True)
        self.shop = Workshop(data, __file__)
        self.worker = None
        began = time.monotonic()
        run = self.begin()
        if not self.until(run, "done", seconds=LONG_SECONDS):
            raise SystemExit(f"Undisturbed it did not end well: {run.state()}\n{self.shop.said()}")
        self.seconds = time.monotonic() - began
        self.right = adapter_of(run)
        shutil.rmtree(run.path)

    def keep_worker(self) -> None:
        """Have a worker, as the app's keeper does."""
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self.shop.start_worker()

    def begin(self):
        """A new run of the same spec and pictures, at work or soon."""
        import tinypipeline

        self.keep_worker()
        changes = {"steps": STEPS, "save_every": SAVE_EVERY, "keep_every": STEPS, "sample": {"seeds": (0,), "steps": 1}}
        run = tinypipeline.run(self.shop.data, self.base, **changes)
        self.shop.start(run)
        return run

    def until(self, run, *names: str, seconds: float) -> bool:
        """Whether the run comes to one of the states in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if run.state().name in names:
                return True
            self.keep_worker()
            time.sleep(0.05)
        return False

    def is_right(self, run) -> bool:
        """Whether a run made what the undisturbed one made: the same bytes of its adapter, each step told once."""
        steps = [event["step"] for event in run.history("step")]
        return adapter_of(run) == self.right and steps == list(range(1, STEPS + 1))

    def foreign_errors(self) -> int:
        """Tracebacks in what the workers said."""
        return self.shop.said().count("Traceback")

    def forget(self, run) -> None:
        """Remove a run's folder, and what its pictures were made from."""
        shutil.rmtree(run.path, ignore_errors=True)
        for left in self.shop.data.glob("cleaned-*"):
            shutil.rmtree(left, ignore_errors=True)


def adapter_of(run) -> dict[str, bytes]:
    """The newest save's adapter, tensor by tensor; the header also holds the run's own name."""
    from safetensors.numpy import load_file

    path = run.checkpoint(run.latest_checkpoint()) / "adapter.safetensors"
    return {key: tensor.tobytes() for key, tensor in load_file(path).items()}


def main(verb: str, path: str, attempt: str = "0") -> int:
    """Be the worker or the job."""
    if verb == "job":
        from app.work import entry, output

        output.never_fails()
        return entry.main(Path(path), int(attempt), job)
    import logging

    from app.orders.drawer_process import DrawerProcess
    from app.work import output
    from app.work.worker import Worker

    output.never_fails()
    logging.basicConfig(level=logging.INFO)
    Worker(Path(path), DrawerProcess, command).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
