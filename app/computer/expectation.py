"""How long a run will take and how much memory it will hold, from this computer's own record of like runs."""

from __future__ import annotations

import functools
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from app import words
from app.work.job import phase_seconds
from training import jsonfile
from training.errors import StudioError
from training.jsonfile import Figure
from training.runs.run import Run
from training.runs.rundir import list_runs
from training.spec import RunSpec

RUNS_LOOKED_AT = 200  # the newest
RUNS_USED = 3
LIKE = (
    *("task", "protocol", "base", "batch_size", "gradient_accumulation", "resolution"),
    *("gradient_checkpointing", "mixed_precision"),
)
NOT_MEASURED = "Time and memory: not measured yet. The first run like this one will tell."


@dataclass(frozen=True)
class Expectation:
    """What like runs took. seconds: of the whole run, from Start to its files. memory_mb: at the peak. runs: how many
    like runs it comes from, 0 where there is none; both figures are None then. words: all of it in a sentence.
    """

    seconds: float | None
    memory_mb: float | None
    runs: int
    words: str


class _Adapter(BaseModel):
    model_config = ConfigDict(strict=True)

    method: str = ""


class _Spec(BaseModel):
    """What tells like runs. Strict, so that the plain values are as good as these."""

    model_config = ConfigDict(strict=True)

    task: str | None = None
    protocol: str | None = None
    base: str | None = None
    batch_size: int | None = None
    gradient_accumulation: int | None = None
    resolution: int | None = None
    gradient_checkpointing: bool | None = None
    mixed_precision: str | None = None
    prior_weight: Figure = 0
    class_pictures: int = 0
    class_prompt: str | None = None
    class_steps: int | None = None
    adapter: _Adapter = _Adapter()
    sample: dict[str, Any] = {}


@dataclass(frozen=True)
class Record:
    """What one run took. Rates are seconds for one step, one test picture at one sampler step, one save's scores, one
    class picture; rest is what does not grow with the run (preparing, exporting).
    """

    step: float
    memory_mb: float
    picture: float
    score: float
    class_picture: float
    rest: float


def expectation(data: Path, spec: RunSpec) -> Expectation:
    """What a run of `spec` will take, judged by the newest like runs in the data folder.

    Like runs have the same base model, method, batch, resolution, precision, checkpointing and use of class pictures.
    """
    wanted = spec.model_dump(mode="json")
    like = [(run, values) for run, values in _begun(data) if _key(values) == _key(wanted)]
    records, drawn = [], False
    for run, values in like:
        if len(records) < RUNS_USED and (record := _record(*_identity(run))):
            records.append(record)
        drawn = drawn or _class_key(values) == _class_key(wanted)
    if not records:
        return Expectation(None, None, 0, NOT_MEASURED)

    def middle(name: str) -> float:
        return statistics.median(getattr(record, name) for record in records)

    steps = spec.steps - (spec.start_step or 0)
    saves = len(spec.saves)
    pictures = (saves + 1) * spec.pictures_per_save  # and the base model's
    seconds = middle("rest") + steps * middle("step") + saves * middle("score")
    seconds += pictures * spec.sample.steps * middle("picture")
    if spec.with_prior and not drawn:  # a run that found its class pictures there took no time for them
        seconds += spec.class_pictures * max(record.class_picture for record in records)
    memory = max(record.memory_mb for record in records)
    return Expectation(seconds, memory, len(records), _words(seconds, memory, len(records)))


def _begun(data: Path) -> list[tuple[Run, dict[str, Any]]]:
    """The newest runs that began, with their specs as plain values: validating a thousand takes seconds."""
    found = []
    for run in list_runs(data)[:RUNS_LOOKED_AT]:
        try:
            if (run.path / "events.jsonl").stat().st_size:
                path = run.path / "spec.json"
                values = jsonfile.read(path)
                jsonfile.check(path, values, _Spec)
                found.append((run, values))
        except (OSError, StudioError):  # not begun, deleted in this moment, or damaged
            continue
    return found


def _key(values: dict[str, Any]) -> tuple:
    with_prior = values.get("prior_weight", 0) > 0 and values.get("class_pictures", 0) > 0
    return (*(values.get(name) for name in LIKE), values.get("adapter", {}).get("method"), with_prior)


def _class_key(values: dict[str, Any]) -> tuple:
    """What decides whether a run's class pictures are there already; see `training.subject.priors`."""
    sample = values.get("sample", {})
    return tuple(values.get(key) for key in ("class_prompt", "class_steps", "class_pictures")) + (
        sample.get("guidance"),
    )


def _identity(run: Run) -> tuple[Path, float, int]:
    stat = (run.path / "events.jsonl").stat()
    return run.path, stat.st_mtime, stat.st_size


@functools.lru_cache(maxsize=64)  # the summary asks at every change of the form
def _record(path: Path, changed: float, size: int) -> Record | None:
    """What a run took; None before its first steps made alone, and for a damaged one.

    changed, size: of its events, so that a longer run is read anew.
    """
    run = Run(path)
    told = [event for event in run.events("step") if event.get("seconds") and event.get("memory_mb")]
    steps = [event for event in told if "together" not in event]  # a pass that several runs shared took longer
    if len(steps) < 2:
        return None
    try:
        spec, seconds = run.spec, phase_seconds(run)
    except StudioError:
        return None
    saves = max(1, len([step for step in run.checkpoints() if run.samples(step)]))
    pictures = saves * spec.pictures_per_save * spec.sample.steps
    return Record(
        step=statistics.median(event["seconds"] for event in steps),  # the first one warms up and is an outlier
        memory_mb=max(event["memory_mb"] for event in steps),
        picture=seconds.get("draw", 0.0) / max(1, pictures),
        score=seconds.get("score", 0.0) / saves,
        class_picture=seconds.get("class pictures", 0.0) / max(1, spec.class_pictures if spec.with_prior else 1),
        rest=seconds.get("prepare", 0.0) + seconds.get("export", 0.0),
    )


def _words(seconds: float, memory_mb: float, runs: int) -> str:
    time, like = words.about(seconds), words.counted(runs, "like run")
    return f"{time[0].upper()}{time[1:]} and {memory_mb / 1000:.1f} GB of memory, judged by {like} on this computer."
