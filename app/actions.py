"""The actions that other programs call by name: start, status, stop, download. (`app.orders.drawings` has generate.)

Each takes plain values and gives plain values back; whatever is wrong is a `training.errors.StudioError`.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app import control
from app.adapters import exporting, formats
from app.computer import damaged
from app.drafts import begin, draft, settings
from app.drafts.store import folder_of
from app.work.engines import Engine
from evaluation.scorebook import brief
from training import presets
from training.errors import BadInput
from training.runs.rundir import run_by_id

FIELDS = ("base", "effort", "method", "token")


def start(
    data: Path,
    files: Sequence[str | Path],
    name: str,
    class_word: str,
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    engine: Engine | None = None,
    delete: bool = False,
) -> str:
    """Make a run of pictures and put it into the queue; returns its id.

    Args:
        given: base, effort, method, token, and any setting by its name ("steps", "sample.steps", "rank" or
            "adapter.rank").
        delete: remove the files afterwards: only the run's cleaned copies stay.

    Raises:
        BadInput, MissingModel: naming the file or field; nothing was made.
    """
    user = f"api {secrets.token_hex(8)}"  # a draft of its own: a person's stays as it is
    own = draft.load(data, user)
    try:
        own, refused = draft.add_pictures(own, [(Path(file).name, Path(file)) for file in files], delete=delete)
        if refused:
            raise BadInput(" ".join(refused), field="pictures")
        fields = {key: given[key] for key in FIELDS if key in given}
        method = fields.get("method", own.method)
        presets.preset("embedded", method, fields.get("effort", own.effort))  # raises for what there is not
        typed = {_setting(key, method): value for key, value in given.items() if key not in FIELDS}
        own = draft.save(own, name=name, class_word=class_word, settings=typed, **fields)
        return begin.begin(data, own, engine).id
    finally:
        shutil.rmtree(folder_of(data, user), ignore_errors=True)


def status(data: Path, run_id: str) -> dict[str, Any]:
    """Where a run stands.

    Returns:
        id, name, state, phase with done of total, step of steps, message, remedy, silent_s (seconds since its last sign
        of life, None without one), recommended (step) with its likeness, follows and clean in percent, collapsed (the
        step since which no save is a clean picture, or None), older_judges (whether the scores were made by such, and
        nothing is recommended for that), files (names for `download`), and faults: a sentence for each file of the run
        that cannot be read and is not needed for the rest.
    """
    run = run_by_id(data, run_id)
    state, record = run.state(), exporting.readable_record(run)
    try:
        scores = brief(run.scores())
    except BadInput:
        scores = brief(None)
    return {
        "id": run.id,
        "name": run.name,
        **state.model_dump(include={"phase", "done", "total", "step", "message", "remedy"}),
        "state": state.name,
        "steps": run.spec.steps,
        "silent_s": None if state.heartbeat is None else round(time.time() - state.heartbeat, 1),
        **scores,
        "files": [file["name"] for file in record["files"]] if record else [],
        "faults": [fault.words for fault in damaged.partly(run)],
    }


def stop(data: Path, run_id: str, engine: Engine | None = None) -> dict[str, Any]:
    """Have a run save and stop, or take it out of the queue; returns its status."""
    control.stop(data, run_by_id(data, run_id), engine=engine)
    return status(data, run_id)


def download(data: Path, run_id: str) -> Path:
    """The finished file for other programs. Raises BadInput while there is none."""
    run = run_by_id(data, run_id)
    record = exporting.read_record(run)  # a damaged one is told
    if record and (path := run.path / "adapter" / formats.main_file(record["files"])["name"]).is_file():
        return path
    raise BadInput(f"Run {run.id} has no file yet: it is {run.state().name}.", "Wait until it is done.", "run")


def _setting(name: str, method: str) -> str:
    """The dotted name of a setting given by it or by its last part. Raises BadInput where `method` has none."""
    known = [field.name for field in settings.settings_fields(method)]
    for candidate in (name, f"adapter.{name}", f"sample.{name}"):
        if candidate in known:
            return candidate
    raise BadInput(f"{name}: {method} has no such setting.", f"There are {', '.join(known)}.", name)
