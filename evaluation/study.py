"""What studies share: runs in a folder of the study's own, made once, gone on with and then only read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation import tasks
from evaluation.tasks.task import Scorer
from training import loop
from training.atomic import write_text
from training.errors import RunFailed, Stopped
from training.runs import rundir

if TYPE_CHECKING:
    from training.base.models import BaseModel
    from training.runs.run import Run


@dataclass(frozen=True)
class Runs:
    """The runs of a study in `folder`, by keys that runs.json keeps."""

    folder: Path

    @property
    def data(self) -> Path:
        """The study's own data folder: no worker and no page minds its runs."""
        return self.folder / "data"

    def get(self, key: str, make: Callable[[], Run]) -> Run:
        """The run of that key; made, and noted down, if there is none yet."""
        path = self.folder / "runs.json"
        known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if key not in known:
            known[key] = make().id
            write_text(path, json.dumps(known, indent=2) + "\n")
        return rundir.open_run(self.data, known[key])


def finish(run: Run, base: BaseModel, data: Path) -> Scorer:
    """Train, draw and score what is left of a run.

    data: where models are looked for and pictures of the base kept. Raises Stopped or RunFailed where the run does not
    reach its end.
    """
    task = tasks.of(run.spec)
    scorer = task.scorer(run, base.capabilities.embedded, data)
    task.draw_base(run, base, data)
    if run.state().name != "done":

        def on_save(step: int, adapter) -> None:
            task.draw(run, base, adapter, step, data)

        outcome = loop.train(run, base, task.take_in, on_save=on_save, data=data)
        if outcome == "stopped":
            raise Stopped("The study was stopped.", "Start it again with the same --out to go on.")
        if outcome != "done":
            raise RunFailed(f"Run {run.id}: {run.state().message}", run.state().remedy)
        run.set_state("done", phase="", pid=None, pid_started=None)
    scorer.update()
    return scorer
