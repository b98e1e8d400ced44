"""From a draft to a queued run: what is still missing, what it will be, and the one run that Start makes of it."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from app import control, ownfolders
from app.computer import disk
from app.drafts import maps, settings, subject
from app.drafts.content import Content
from app.drafts.problem import Problem, problem_of
from app.drafts.store import KEY, Draft, changing, successor, write
from app.work.engines import Engine, Need
from app.work.engines.local import gpu_count
from training import atomic, jsonfile, presets
from training.base import models
from training.base.capabilities import Capabilities
from training.errors import BadInput, MissingModel, from_os_error
from training.runs import rundir
from training.runs.run import Run
from training.spec import KINDS, RunSpec
from training.specwords import explain_all
from training.step import fitting

CONTENTS: dict[str, Content] = {"dreambooth": subject.Subject(), "maps": maps.Maps()}
LARGE_NUMBERS = 200_000_000  # of a base model's weights: the built-in one has 29 million, Stable Diffusion a billion
RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,100}")  # as `rundir.new_id` makes them
BEGUN_KEPT = 50  # keys of drafts that became runs: open tabs may still press Start on the newest ones


def problems(data: Path, draft: Draft) -> list[Problem]:
    """What keeps a draft from becoming a run, one for each field, in the order of the page; [] where nothing does."""
    return _one_each([*content(draft).gaps(draft), *_faults(data, draft)])


def faults(data: Path, draft: Draft) -> list[Problem]:
    """`problems` without what is only not given yet."""
    return _one_each(_faults(data, draft))


def warnings(data: Path, draft: Draft) -> list[Problem]:
    """What is worth knowing about a draft and stops nothing."""
    caps, _ = capabilities(data, draft.base)
    found = content(draft).warnings(draft, caps)
    if caps and _takes_hours(data, draft.base):
        words = "This computer has no NVIDIA GPU. On the processor alone, training this base model takes many hours."
        found.append(Problem("base", words))
    return found


def outline(data: Path, draft: Draft) -> RunSpec:
    """`spec_of` a draft that may lack a name and a kind."""
    return spec_of(data, content(draft).completed(draft))


def spec_of(data: Path, draft: Draft) -> RunSpec:
    """What a draft would become. Raises BadInput or MissingModel naming the first field that is wrong."""
    caps, fault = capabilities(data, draft.base)
    if fault:
        raise fault
    spec, wrong = _spec(draft, caps)
    if spec is None:
        raise wrong[0]
    return spec


def begin(data: Path, draft: Draft, engine: Engine | None = None) -> Run:
    """Make the run of a draft and put it into the queue; an empty draft takes its place.

    A draft makes one run however often this is called with it, by however many tabs, also when an earlier call was cut
    off; a later call waits for an earlier one and returns its run.

    Raises:
        BadInput, MissingModel: the first of `problems`; nothing was made. RunFailed: a full disk.
    """
    with changing(draft) as now:
        begun = now.folder / "begun"
        ownfolders.clear_the_way(begun)
        begun.mkdir(exist_ok=True)
        record = begun / (draft.key if draft.key.isalnum() else "none")  # a browser may have sent it
        run_id = _begun(record) or rundir.new_id(now.name)
        run = Run(data / "runs" / run_id)
        if not run.path.is_dir():
            if now.key != draft.key:
                raise BadInput("This draft was cleared or begun in another tab.", "Reload the page.", "pictures")
            run = _made(data, now, run_id, record)
        if run.state().name == "queued":
            control.start(data, run, Need(owner=now.user), engine)
        if now.key == draft.key:
            write(successor(now))
        records = [path for path in begun.iterdir() if KEY.fullmatch(path.name) and not path.is_dir()]
        for old in sorted(records, key=lambda path: path.lstat().st_mtime)[:-BEGUN_KEPT]:
            old.unlink(missing_ok=True)
        return run


def _begun(record: Path) -> str:
    """The id of the run that was begun of a draft, "" where none was, or nobody can tell any more."""
    try:
        run_id = jsonfile.read_text(record, most=200)
    except BadInput:
        return ""
    return run_id if RUN_ID.fullmatch(run_id) else ""


def content(draft: Draft) -> Content:
    """What a draft holds of what it teaches."""
    return CONTENTS[draft.task]


def capabilities(data: Path, base: str) -> tuple[Capabilities | None, BadInput | MissingModel | None]:
    """What a base model can do, or why it cannot be used."""
    try:
        return models.describe(base, data), None
    except (BadInput, MissingModel) as error:
        error.field = "base"
        return None, error


def _faults(data: Path, draft: Draft) -> list[Problem]:
    """What of a draft cannot be as it is."""
    caps, fault = capabilities(data, draft.base)
    found = [problem_of(fault)] if fault else []
    spec, wrong = _spec(content(draft).completed(draft), caps)
    found += [*content(draft).faults(draft), *map(problem_of, wrong)]
    if spec and caps:
        found += [problem_of(fault) for fault in fitting.faults(spec, caps, gpu=gpu_count() > 0)]
        found += [problem_of(fault) for fault in content(draft).misfits(data, spec, caps)]
        found += [Problem("parent", words) for words in _parent_faults(data, spec)]
        found += [Problem("disk", words) for words in disk.faults(data, spec, caps)]
    return found


def _one_each(found: list[Problem]) -> list[Problem]:
    """The first problem of each field."""
    told: dict[str, Problem] = {}
    for problem in found:
        told.setdefault(problem.field, problem)
    return list(told.values())


def _spec(draft: Draft, caps: Capabilities | None) -> tuple[RunSpec | None, list[BadInput]]:
    """The spec of a draft, or all that keeps it from being one."""
    values, wrong = settings.values(draft.settings, draft.method, draft.task)
    for field in ("task", "name", "base", "parent", "start_step"):
        values[field] = getattr(draft, field)
    values |= content(draft).values(draft)
    embedded = caps.embedded if caps else draft.base == "embedded"
    try:
        spec = presets.make_spec("embedded" if embedded else "sd", draft.method, draft.effort, **values)
    except BadInput as error:
        cause = error.__cause__
        return None, wrong + (explain_all(cause, KINDS[draft.task]) if hasattr(cause, "errors") else [error])
    return (None if wrong else spec), wrong


def _takes_hours(data: Path, base: str) -> bool:
    """Whether a base model is too large to be trained on this computer's processor while one waits."""
    if gpu_count() > 0 or (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        return False
    try:
        return models.count_numbers(base, data) > LARGE_NUMBERS
    except (BadInput, MissingModel):  # damaged weights are told when they are loaded
        return False


def _parent_faults(data: Path, spec: RunSpec) -> list[str]:
    """Why a run cannot go on from its parent's save."""
    if spec.start_step is None:
        return []
    try:
        parent = rundir.open_run(data, spec.parent)
        before = parent.spec
    except BadInput:
        return [f"Run {spec.parent}, which this one goes on from, is not there any more. Begin at step 0 instead."]
    if spec.start_step not in parent.checkpoints():
        return [f"The save at step {spec.start_step} of {parent.name} is not there any more. Begin at step 0 instead."]
    same = (spec.adapter, spec.targets, spec.base) == (before.adapter, before.targets, before.base)
    return [] if same else ["To train longer, base model, method and adapter stay as they were. Or begin at step 0."]


def _made(data: Path, draft: Draft, run_id: str, record: Path) -> Run:
    """The run of a draft, under the draft's lock. record: where its id is written down."""
    if found := problems(data, draft):
        raise BadInput(f"{found[0].label}: {found[0].words}", field=found[0].field)
    spec = spec_of(data, draft)
    with cleaned(data, draft, spec) as made:
        atomic.write_text(record, run_id)  # before the run, so that a crash in between makes no second one
        return rundir.create(data, spec, made, run_id)


@contextlib.contextmanager
def cleaned(data: Path, draft: Draft, spec: RunSpec) -> Iterator[Sequence[Path] | Mapping[str, Path]]:
    """A draft's pictures, or pairs, as a run of `spec` reads them and `rundir.create` takes them, for one block.

    Raises as `from_os_error`.
    """
    size, beside = spec.resolution or models.describe(spec.base, data).size_px, None
    try:
        beside = Path(tempfile.mkdtemp(prefix=".", suffix=atomic.PART, dir=draft.folder))
        yield content(draft).prepare(draft, beside, size)
    except OSError as error:
        raise from_os_error(error, draft.folder) from error
    finally:
        if beside:
            shutil.rmtree(beside, ignore_errors=True)
