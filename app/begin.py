"""From a draft to a queued run: what is still missing, what it will be, and the one run that Start makes of it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app import control, rundisk, settings
from app.draftstore import Draft, changing, successor, write
from app.engines import Engine, Need
from app.engines.local import gpu_count
from app.kinds import class_suggestions
from training import atomic, fitting, models, presets, rundir, subjects
from training.capabilities import Capabilities
from training.errors import BadInput, MissingModel, from_os_error
from training.run import Run
from training.spec import RunSpec, explain_all, fill

LABELS = {
    "pictures": "Pictures",
    "name": "Name",
    "class_word": "Kind",
    "token": "Word in prompts (token)",
    "base": "Base model",
    "method": "Method",
    "effort": "Effort",
}
BEGUN_KEPT = 50  # keys of drafts that became runs: open tabs may still press Start on the newest ones


@dataclass(frozen=True)
class Problem:
    """Something about a draft, to be said in the list at Start and again beside its field.

    field: pictures, name, class_word, token, base, method, parent, disk, or the name of a setting. words: what is wrong
    and what to do. suggestions: what could be put there instead.
    """

    field: str
    words: str
    suggestions: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the field is called on the page."""
        return LABELS.get(self.field) or settings.label(self.field)

    @property
    def anchor(self) -> str:
        """The element id of the field on the page."""
        return anchor(self.field)


def anchor(field: str) -> str:
    """The element id of a field: "adapter.lambda_" -> "ds-field-adapter-lambda"."""
    return "ds-field-" + field.strip("_").replace(".", "-").replace("_", "-")


def problems(data: Path, draft: Draft) -> list[Problem]:
    """What keeps a draft from becoming a run, in the order of the page; [] where nothing does."""
    found = []
    if not draft.pictures:
        found.append(Problem("pictures", "There are no pictures yet. Add 4 to 8 of your subject, or try the sample."))
    elif not draft.usable:
        found.append(Problem("pictures", "None of the pictures can be read. Add others."))
    for field, words in (
        ("name", "It has no name yet. Any name does; the run and its file are called so."),
        ("class_word", "Say in a plain word what kind of thing it is: dog, car, shoe."),
        ("token", "Choose a rare word that will stand for this one subject in prompts, such as sks."),
    ):
        if not getattr(draft, field).strip():
            found.append(Problem(field, words))
    caps, fault = capabilities(data, draft.base)
    found += [_problem(fault)] if fault else []
    spec, wrong = _spec(draft, caps)
    told = {problem.field for problem in found}
    found += [problem for problem in map(_problem, wrong) if problem.field not in told]
    if spec and caps:
        found += [_problem(fault) for fault in fitting.faults(spec, caps, gpu=gpu_count() > 0)]
        found += [Problem("parent", words) for words in _parent_faults(data, spec)]
        found += [Problem("disk", words) for words in rundisk.faults(data, spec, caps)]
    return found


def warnings(data: Path, draft: Draft) -> list[Problem]:
    """What is worth knowing about a draft and stops nothing."""
    found = [Problem("pictures", draft.background)] if draft.background else []
    caps, _ = capabilities(data, draft.base)
    word = draft.class_word.strip()
    if caps and caps.embedded and 2 * sum(picture.photograph for picture in draft.pictures) > len(draft.pictures):
        words = (
            f"These look like photographs. Expect a toy with your {word or 'subject'}'s colours, not a photo. "
            "For photos choose Stable Diffusion 1.5."
        )
        found.append(Problem("pictures", words))
    if caps and caps.classes and word and word.lower() not in caps.classes:
        near = class_suggestions(caps, word)
        words = f"This base model does not know the word {word!r}, so it has nothing to begin with. "
        words += f"Near it, it knows: {', '.join(near)}." if near else f"It knows {len(caps.classes)}: choose one."
        found.append(Problem("class_word", words, tuple(near)))
    return found


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
        begun.mkdir(exist_ok=True)
        record = begun / (draft.key if draft.key.isalnum() else "none")  # a browser may have sent it
        run_id = record.read_text("utf-8") if record.is_file() else rundir.new_id(now.name)
        run = Run(data / "runs" / run_id)
        if not run.path.is_dir():
            if now.key != draft.key:
                raise BadInput("This draft was cleared or begun in another tab.", "Reload the page.", "pictures")
            run = _made(data, now, run_id, record)
        if run.state().name == "queued":
            control.start(data, run, Need(owner=now.user), engine)
        if now.key == draft.key:
            write(successor(now))
        for old in sorted(begun.iterdir(), key=lambda path: path.stat().st_mtime)[:-BEGUN_KEPT]:
            old.unlink(missing_ok=True)
        return run


def prompt_words(draft: Draft, caps: Capabilities) -> str:
    """What to write in prompts: "Write: a sks dog in the snow"; "" while the kind is not given."""
    token, word = draft.token.strip(), draft.class_word.strip()
    if not token or not word:
        return ""
    place = "in the snow" if "in the snow" in (caps.places or ("in the snow",)) else caps.places[0]
    return f"Write: {fill(f'a {{subject}} {place}', f'{token} {word}')}"


def capabilities(data: Path, base: str) -> tuple[Capabilities | None, BadInput | MissingModel | None]:
    """What a base model can do, or why it cannot be used."""
    try:
        return models.describe(base, data), None
    except (BadInput, MissingModel) as error:
        error.field = "base"
        return None, error


def _spec(draft: Draft, caps: Capabilities | None) -> tuple[RunSpec | None, list[BadInput]]:
    """The spec of a draft, or all that keeps it from being one."""
    values, wrong = settings.values(draft.settings, draft.method)
    for field in ("name", "class_word", "token", "base", "parent", "start_step"):
        values[field] = getattr(draft, field)
    embedded = caps.embedded if caps else draft.base == "embedded"
    try:
        spec = presets.make_spec("embedded" if embedded else "sd", draft.method, draft.effort, **values)
    except BadInput as error:
        cause = error.__cause__
        return None, wrong + (explain_all(cause) if hasattr(cause, "errors") else [error])
    return (None if wrong else spec), wrong


def _problem(fault: BadInput | MissingModel) -> Problem:
    """An error as a problem: with the field that the page has, by its label."""
    field = fault.field or ""
    while field and field not in LABELS and settings.label(field) == field:
        field = field.rpartition(".")[0]  # "sample.seeds.0" is the field "sample.seeds"
    field = field or "method"
    words = f"{fault.message} {fault.remedy}".strip()
    given = fault.field or field
    for name in (given, given.rpartition(".")[2]):
        if words.startswith((f"{name}:", f"{name} ")):
            words = Problem(field, "").label + words.removeprefix(name)
            break
    return Problem(field, words)


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
        raise BadInput(found[0].words, field=found[0].field)
    spec, used = spec_of(data, draft), draft.usable
    size = spec.resolution or models.describe(spec.base, data).size_px
    paths, crops = [draft.picture_file(picture) for picture in used], [picture.crop for picture in used]
    beside = None
    try:
        beside = Path(tempfile.mkdtemp(prefix=".", suffix=atomic.PART, dir=draft.folder))
        cleaned = subjects.prepare(paths, beside / "dataset", size, crops)
        atomic.write_text(record, run_id)  # before the run, so that a crash in between makes no second one
        return rundir.create(data, spec, cleaned, run_id)
    except OSError as error:
        raise from_os_error(error, draft.folder) from error
    finally:
        if beside:
            shutil.rmtree(beside, ignore_errors=True)
