"""From a subject and a plan to a comparison: its runs are made, all or none, and wait in the queue."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.comparisons import comparison, plan, together
from app.comparisons.comparison import Comparison
from app.comparisons.plan import Column, Plan
from app.computer import disk
from app.drafts import begin, draft
from app.drafts.draft import Draft
from app.drafts.store import folder_of
from app.work.engines import Engine, Need
from training import presets
from training.errors import BadInput, DiskFull
from training.runs import rundir
from training.runs.run import Run
from training.spec import RunSpec

OF_A_COLUMN = ("learning_rate", "learning_rate_lambda", "steps", "save_every", "save_at", "keep_every")


@contextlib.contextmanager
def subject(
    data: Path, sample: str = "", run: str = "", files: Sequence[Path] = (), fields: Mapping[str, Any] | None = None
) -> Iterator[Draft]:
    """A draft of a sample subject, of a run's pictures and settings, or of files, for as long as the block takes.

    fields: of the draft (name, class_word, token, base), and `settings` by their dotted names, which come into those of
    a run. Raises BadInput for a sample or run that there is not, and for files that cannot be used.
    """
    user = f"comparison {secrets.token_hex(8)}"  # a draft of its own: a person's stays as it is
    try:
        if run:
            own = draft.from_run(data, rundir.run_by_id(data, run), user)
        elif sample:
            own = draft.use_sample(draft.load(data, user), sample)
        else:
            named = [(Path(file).name, Path(file)) for file in files]
            own, refused = draft.add_pictures(draft.load(data, user), named, delete=False)
            if refused:
                raise BadInput(" ".join(refused), field="pictures")
        given = dict(fields or {})
        settings = {**own.settings, **given.pop("settings", {})}
        yield draft.save(own, settings=settings, **given)
    finally:
        shutil.rmtree(folder_of(data, user), ignore_errors=True)


def specs(data: Path, subject: Draft, wanted: Plan) -> list[tuple[Column, RunSpec]]:
    """What each column would be. Raises BadInput or MissingModel naming the first field that is wrong."""
    columns = plan.columns(wanted)
    caps, fault = begin.capabilities(data, subject.base)
    if fault:
        raise fault
    kind: presets.BaseKind = "embedded" if caps.embedded else "sd"
    found = []
    for column in columns:
        settings = _settings(subject, column, wanted.schedule(kind), kind)
        as_run = subject.changed(method=column.method, settings=settings, start_step=None)
        if wrong := begin.problems(data, as_run):
            raise BadInput(f"{wrong[0].label}: {wrong[0].words}", field=wrong[0].field)
        found.append((column, begin.spec_of(data, as_run)))
    for words in disk.faults_of_all(data, [spec for _, spec in found], caps):
        raise DiskFull(words)
    return found


def make(data: Path, subject: Draft, wanted: Plan, name: str = "") -> Comparison:
    """Make a comparison and its runs, which wait to be started; all of it or nothing.

    name: its subject's where there is none. Raises as `specs`, and DiskFull.
    """
    made, found = [], specs(data, subject, wanted)
    try:
        with begin.cleaned(data, subject, found[0][1]) as pictures:
            for column, spec in found:
                made.append((column, rundir.create(data, spec, pictures)))
        return comparison.make(data, name.strip() or subject.name, found[0][1].saves, made)
    except BaseException:
        for _, run in made:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def start(data: Path, subject: Draft, wanted: Plan, name: str = "", engine: Engine | None = None) -> Comparison:
    """`make`, and put all of it into the queue."""
    made = make(data, subject, wanted, name)
    together.start(data, made, Need(owner=subject.user), engine)
    return made


def set_aside(comparison: Comparison) -> list[Run]:
    """Take its new runs out of the worker's reach, to be trained here one after another; returns the unfinished."""
    found = together.unfinished(comparison)
    for run in found:
        with contextlib.suppress(BadInput):  # at work: who trains it says so
            if run.state().name == "queued":
                run.set_state("stopped", message="It waits for its turn in `delora compare`.")
    return found


def _settings(subject: Draft, column: Column, saves: tuple[int, ...], kind: presets.BaseKind) -> dict[str, Any]:
    """A column's settings as a draft has them: the subject's own, without those that the comparison decides."""
    usual = presets.preset(kind, column.method, subject.effort)
    found = {key: value for key, value in subject.settings.items() if key not in OF_A_COLUMN}
    found |= {key: usual[key] * column.rate for key in ("learning_rate", "learning_rate_lambda") if key in usual}
    found |= {"steps": saves[-1], "save_at": list(saves)}
    own = {"adapter.rank": column.rank, "adapter.lambda_": column.lambda_, "seed": column.seed}
    return found | {key: value for key, value in own.items() if value is not None}
