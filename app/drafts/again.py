"""A new run made of an old one. Nothing is overwritten: the old run stays as it is and is the new one's parent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import control
from app.work.engines import Engine
from training import presets, spec
from training.runs import rundir
from training.runs.run import Run


def derived(data: Path, run: Run, changes: Mapping[str, Any], engine: Engine | None = None) -> Run:
    """A queued run with the data and the spec of `run`, and `changes` in it.

    Raises BadInput where the run's pictures are gone, or the changes do not fit.
    """
    values = presets.merged(run.spec.model_dump(), {"parent": run.id, **changes})
    made = rundir.create(data, spec.parse(values), rundir.data_of(run))
    control.start(data, made, engine=engine)
    return made
