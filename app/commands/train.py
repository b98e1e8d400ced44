"""`delora train`: from pictures to a finished run, and on with one that was stopped."""

import inspect
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands.maps import Nearest, Numbers, Shared, answers
from app.commands.shared.common import Bars, Data, Json, answer, command, default_data, words_for_notes
from app.commands.shared.options import spec_parameters, spec_values
from evaluation.tasks.task import Given
from training.errors import BadInput, DiskFull, MissingModel, RunFailed, Stopped
from training.runs.run import Run
from training.runs.rundir import create, open_run
from training.spec import USUAL

OWN = {
    "pictures": Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PICTURES...",
            help="4 to 8 pictures of your subject, or their folder; for --task maps the folder (or zip) of the pairs.",
        ),
    ],
    "judged_by": Annotated[
        Path | None,
        typer.Option(
            "--held-out", metavar="FOLDER", help="Pairs that judge the saves of --task maps; else some are split off."
        ),
    ],
    "numbers": Numbers,
    "shared": Shared,
    "nearest": Nearest,
    "sheet": Annotated[bool, typer.Option("--sheet", help="Also write a contact sheet into the run's folder.")],
    "effort": Annotated[
        Literal["quick", "balanced", "thorough"],
        typer.Option(help="Preset that every setting not given here comes from."),
    ],
    "resume": Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run instead of making a new one.")
    ],
    "dino": Annotated[
        str | None, typer.Option(help="Judge: embedded, a folder, or facebook/dino-vits16 if downloaded.")
    ],
    "clip": Annotated[
        str | None, typer.Option(help="Judge: embedded, a folder, or openai/clip-vit-base-patch32 if downloaded.")
    ],
}


def train(
    pictures: list[Path] | None = None,
    judged_by: Path | None = None,
    numbers: str | None = None,
    shared: str | None = None,
    nearest: bool = False,
    sheet: bool = False,
    effort: str = "balanced",
    resume: str | None = None,
    dino: str | None = None,
    clip: str | None = None,
    data: Path | None = None,
    as_json: bool = False,
    **options: Any,
) -> None:
    """Train an adapter on your pictures: draws and scores at each save, recommends one, and exports it.

    With --task maps it learns from pictures and their semantic maps to draw pictures that follow maps.

    Ctrl-C saves and stops; `delora train --resume RUN` goes on from there.
    """
    data = data or default_data()
    values = spec_values(options)
    _check_judges(data, dino=dino, clip=clip)
    if resume is not None:
        if pictures or values or judged_by:
            raise BadInput("--resume goes on with a run as it is.", "Leave pictures and settings out.", field="resume")
        run, base = open_run(data, resume), None
        judges_of(run.spec.task, dino=dino, clip=clip)
        if run.state().name == "done":
            raise BadInput(f"Run {run.id} is done.", "To train longer, make a new run with --steps.", field="resume")
    else:
        judges_of(values.get("task", USUAL), dino=dino, clip=clip)
        given = Given(pictures or [], judged_by, values.get("held_out"), answers(numbers, shared, nearest), data)
        run, base = new_run(given, values, effort, data)
    finish(run, base, as_json, dino=dino, clip=clip, sheet=sheet)


def new_run(given: Given, values: dict[str, Any], effort: str, data: Path) -> tuple[Run, Any]:
    """Check everything, then make the run; returns it with its loaded base model.

    Nothing is written into the data folder before spec, pictures and base model are found good.

    Raises:
        BadInput, MissingModel: naming the field or file that is wrong. DiskFull: there is no room for the run.
    """
    from app.computer import disk
    from evaluation import tasks
    from training import presets
    from training.base import models

    ref = values.get("base", "embedded")
    caps = models.describe(ref, data)
    method = values.get("adapter", {}).get("method", "delora")
    spec = presets.make_spec("embedded" if caps.embedded else "sd", method, effort, **values)
    for words in disk.faults(data, spec, caps):
        raise DiskFull(words)
    task = tasks.of(spec)
    with tempfile.TemporaryDirectory() as beside:
        gathered = task.gather(given, spec, spec.resolution or caps.size_px, Path(beside))
        words_for_notes(gathered.notes)
        from app.adapters.saves import open_base

        base = open_base(spec.base, data, spec.mixed_precision)
        words_for_notes(task.check(gathered.spec, base, data))
        return create(data, gathered.spec, gathered.data), base


def finish(
    run: Run, base: Any, as_json: bool, *, dino: str | None = None, clip: str | None = None, sheet: bool = False
) -> None:
    """Run the job to its end with progress bars, and say what came out.

    Args:
        sheet: also write a contact sheet into the run's folder.

    Raises:
        Stopped, RunFailed: the run did not reach its end; says how to go on.
    """
    from app.work.job import phase_seconds

    to_its_end(run, base, as_json, dino=dino, clip=clip)
    document = {**result(run), "seconds": phase_seconds(run)}
    if sheet:
        from evaluation import tasks

        document["sheet"] = str(run.path / "sheet.png")
        tasks.of(run.spec).sheet(run, document["step"]).save(document["sheet"])
    answer(as_json, document, result_words(document, run))


def to_its_end(run: Run, base: Any, quiet: bool, go_on: str = "", **judges: str | None) -> None:
    """Run the job to its end with progress bars. go_on: the command that takes it up again.

    Raises as `finish`.
    """
    from app.work import attempts, devices, entry
    from app.work.job import JobProgress, run_job
    from training.runs.signals import stop_on_signals

    told = False
    with Bars(quiet=quiet) as bars, stop_on_signals(run):

        def show(progress: JobProgress) -> None:
            nonlocal told
            bars.show(progress.phase, progress.done, progress.total, progress.words)
            if not told and run.stop_requested():
                told = True
                bars.say("Saving, then stopping ...")

        if present := devices.holder(run.path.parent.parent):
            bars.say(f"Waiting for the device: {present}.")
        code = entry.main(
            run.path,
            attempts.upcoming(run),
            lambda path, lease: run_job(path, lease, base=base, report=show, **judges),
        )
    _raise_unless_done(run, code, go_on or f"delora train --resume {run.id}")


def _raise_unless_done(run: Run, code: int, go_on: str) -> None:
    """Raises what the run's state says, with how to go on, unless it is done; `code` is the job's exit code."""
    state, resume = run.state(), f"Go on with: {go_on}"
    if state.name == "done":
        return
    if state.name == "stopped":
        saved = f"step {state.saved_step} is saved" if state.saved_step else "nothing is saved yet"
        raise Stopped(f"Stopped at step {state.step} of {run.spec.steps}; {saved}.", resume)
    if not state.ended:
        raise BadInput(f"Run {run.id} is {state.name} in another process.", "Stop it there first.", field="resume")
    kind = {BadInput.exit_code: BadInput, MissingModel.exit_code: MissingModel}.get(code, RunFailed)
    raise kind(state.message, f"{state.remedy} {resume}".strip())


def result(run: Run) -> dict:
    """What a finished run made: its folder, scores, recommendation and files."""
    from app.adapters.exporting import read_record
    from evaluation.scorebook import is_current

    scores, record = run.scores(), read_record(run)
    step, today = record["step"], is_current(scores)
    return {
        "run": run.id,
        "path": str(run.path),
        "step": step,
        "trigger": run.spec.subject,
        "recommendation": scores["recommendation"],
        "scores": _without_pictures(scores["saves"][str(step)]) if today else None,
        "base": _without_pictures(scores["base"]) if today else None,
        "real": scores["real"] and _without_pictures(scores["real"]),
        "files": [{**file, "path": str(run.path / "adapter" / file["name"])} for file in record["files"]],
        "note": scores["note"],
    }


def _without_pictures(scores: dict) -> dict:
    return {key: value for key, value in scores.items() if key not in ("per_image", "counts")}


def result_words(document: dict, run: Run) -> str:
    """The end of a run in sentences."""
    from app.adapters.formats import main_file
    from app.commands.runs import advice_words
    from evaluation import tasks

    task, file = tasks.of(run.spec), main_file(document["files"])
    use, *then = task.use_words(run)
    if document["scores"] is None:
        lines = [f"Its scores were made by older judges. Make them again: delora score {document['run']}"]
    else:
        lines = advice_words(document)
        lines += [f"Step {document['step']}: {task.save_words(document['scores'])}."]
    lines += [document["note"]] if document["note"] else []
    lines += [
        *([f"Pictures: {document['sheet']}"] if "sheet" in document else []),
        f"Adapter: {file['path']}",
        f"{_checked(file['check'])}{use}",
        *then,
        "Time: " + ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in document["seconds"].items()),
    ]
    return "\n".join(lines)


def judges_of(task: str, **judges: str | None) -> None:
    """Raises BadInput for judges that runs of a task have no use for."""
    from evaluation import tasks
    from training.spec import kind_of

    kind_of(task)
    tasks.TASKS[task].judged_by(judges)


def _check_judges(data: Path, **refs: str | None) -> None:
    """Raises MissingModel for a judge that is not here, before a run is made that could not be scored."""
    from evaluation import encoders

    for kind, ref in refs.items():
        if ref:
            encoders.check(kind, ref, data)


def _checked(check: dict | None) -> str:
    """What loading the file back found; empty where diffusers has no loader for it."""
    if check is None:
        return ""
    words = "Loaded back by diffusers' own loader, it drew the same picture (largest difference"
    return f"{words} {check['picture_difference']:.0e}). "


_keyword = inspect.Parameter.KEYWORD_ONLY
_defaults = inspect.signature(train).parameters
_shared = {"data": Data, "as_json": Json}
_parameters = [
    inspect.Parameter(name, _keyword, default=_defaults[name].default, annotation=annotation)
    for name, annotation in {**OWN, **_shared}.items()
]
train = command(train)
train.__signature__ = inspect.Signature([*_parameters, *spec_parameters()])
