"""`delora runs`: list, show, report on and delete what has been trained."""

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared.common import Data, Json, answer, command, default_data, table
from app.computer import damaged, remove
from app.work import outcome
from evaluation import tasks
from evaluation.figures import FIGURES
from evaluation.scorebook import brief
from evaluation.tasks.subject import percent
from training import room
from training.errors import StudioError
from training.runs import rundir

app = typer.Typer(no_args_is_help=True, help="List, show, report on and delete runs.")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id (or the path of its folder).")]


@app.command("list")
@command
def list_runs(data: Data = default_data(), as_json: Json = False) -> None:
    """List all runs, newest first; folders of runs that cannot be read are told below them."""
    runs, broken = [], []
    for run in rundir.list_folders(data):
        try:
            runs.append(summary(run))
        except StudioError:
            if found := damaged.look(run):
                broken.append(found)
    figures = {figure.key: figure.name.lower() for figure in FIGURES}
    figures |= {"miou": "mIoU"} if any(r["miou"] is not None for r in runs) else {}
    headings = ["id", "name", "state", "step", "method", "base", *figures.values()]
    rows = [
        [r["id"], r["name"], r["state"], f"{r['step']}/{r['steps']}", r["method"], r["base"]]
        + [percent(r[key]) for key in figures]
        for r in runs
    ]
    lines = [table(headings, rows)] if rows else []
    lines += [_resume_words(r) for r in runs if r["resume"] and r["state"] == "interrupted"]
    if older := [r["id"] for r in runs if r["older_judges"]]:
        lines.append(f"Scored by older judges: {', '.join(older)}. Make their scores again: delora score RUN")
    lines += [f"{r['id']}: {fault}" for r in runs for fault in r["faults"]]
    lines += [_damaged_words(found) for found in broken]
    lines += [full] if (full := room.warning(data)) else []
    document = {"runs": runs, "damaged": [_damaged_document(found) for found in broken]}
    answer(as_json, document, "\n\n".join(lines) or f"No runs in {data} yet. Try `delora demo`.")


@app.command("show")
@command
def show(run_id: RunId, data: Data = default_data(), as_json: Json = False) -> None:
    """Show one run: state, scores of each save, the recommended one, its files; of a damaged one what is left."""
    run = rundir.open_run(data, run_id)
    if found := damaged.look(run):
        answer(as_json, _damaged_document(found), _damaged_words(found))
        return
    document = {**summary(run), "path": str(run.path), "spec": run.spec.model_dump(mode="json")}
    document["scores"] = _readable_scores(run)
    document["files"] = [str(path) for path in exports(run)]
    answer(as_json, document, _words(run, document))


@app.command("report")
@command
def report(
    run_id: RunId,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; report.html in the run's folder.")
    ] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Write a run's report: one HTML file with its pictures, scores and distances inside it."""
    from evaluation.report import write_report

    run = rundir.open_run(data, run_id)
    path = write_report(run, out or run.path / "report.html")
    answer(as_json, {"report": str(path)}, f"Report: {path}")


@app.command("delete")
@command
def delete(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of the runs to delete.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Delete runs with their pictures, saves and exports. Asks first."""
    runs = [rundir.open_run(data, run_id) for run_id in run_ids]
    for run in runs:
        remove.check(data, run)
    names = ", ".join(run.id for run in runs)
    if not yes and not typer.confirm(f"Delete {names} with all pictures, saves and exports?", err=True):
        raise typer.Exit(0)
    for run in runs:
        remove.remove_run(data, run)
    answer(as_json, {"deleted": [run.id for run in runs]}, f"Deleted {names}.")


def summary(run: rundir.Run) -> dict:
    """What a list says about a run. Raises BadInput for a damaged one."""
    state, spec = outcome.seen(run), run.spec
    return {
        "id": run.id,
        "name": run.name,
        "state": state.name,
        "phase": state.phase,
        "step": state.step,
        "steps": spec.steps,
        "method": spec.adapter.method,
        "base": spec.base,
        **brief(_scores(run)),
        "updated": state.updated,
        "message": state.message,
        "remedy": state.remedy,
        "resume": f"delora train --resume {run.id}" if state.resumable else None,
        "faults": [fault.words for fault in damaged.partly(run)],
    }


def _scores(run: rundir.Run) -> dict | None:
    """The run's scores, by whichever judges; None also where they cannot be read: the rest of it can."""
    with contextlib.suppress(StudioError):
        return run.scores()
    return None


def _readable_scores(run: rundir.Run) -> dict | None:
    """The run's scores by today's judges; None where there are none, or they cannot be read."""
    from evaluation import scorebook

    with contextlib.suppress(StudioError):
        if book := scorebook.read(run):
            return book.to_dict(run.spec.name)
    return None


def _resume_words(run: dict) -> str:
    return f"{run['id']}: {run['message']}\nResume: {run['resume']}"


def _damaged_document(found: damaged.Damaged) -> dict:
    left = {"pictures": found.pictures, "saves": found.saves, "files": found.files}
    about = {"id": found.run.id, "name": found.name, "state": "damaged", "path": str(found.run.path)}
    return {**about, "message": " ".join((*found.faults, *found.remedies)), "left": left}


def _damaged_words(found: damaged.Damaged) -> str:
    told = f"{found.run.id} is damaged. {found.message}"
    return f"{told}\n{found.left} To delete it: delora runs delete {found.run.id}"


def exports(run: rundir.Run) -> list[Path]:
    """The run's exported files and folders; no link is followed."""
    folder = run.path / "adapter"
    found = [] if folder.is_symlink() else sorted(folder.glob("[!.]*"))
    return [path for path in found if path.suffix != ".json" and not path.is_symlink()]


def _words(run: rundir.Run, document: dict) -> str:
    state, spec = outcome.seen(run), run.spec
    when = datetime.fromtimestamp(state.updated).strftime("%Y-%m-%d %H:%M")
    lines = [
        f"{run.name} ({run.id})",
        f"{state.name}, step {state.step} of {spec.steps}, {when}. {state.message} {state.remedy}".rstrip(),
        f"{spec.adapter.method} on {spec.base}{_call_words(spec)}",
        f"Folder: {run.path}",
    ]
    lines += [f"Cannot be read: {fault}" for fault in document["faults"]]
    if state.resumable:
        lines.append(f"Resume: delora train --resume {run.id}")
    if document["older_judges"]:
        lines += ["", f"Its scores were made by older judges. Make them again: delora score {run.id}"]
    elif scores := document["scores"]:
        lines += ["", score_table(run, scores), "", *advice_words(scores)]
        lines += [scores["note"]] if scores["note"] else []
    if document["files"]:
        lines += ["", "Exports:", *(f"  {path}" for path in document["files"])]
    return "\n".join(lines)


def _call_words(spec) -> str:
    """How what was taught is called."""
    return f"; write '{spec.subject}' in prompts." if spec.subject else f"; {spec.task}."


def score_table(run: rundir.Run, scores: dict) -> str:
    """The scores of a run, as a table for the terminal."""
    return table(*tasks.of(run.spec).table(scores))


def advice_words(scores: dict) -> list[str]:
    """The sentences of a run's recommendation, what has collapsed first."""
    advice = scores["recommendation"]
    return [text for text in (advice["warning"], advice["reason"]) if text]
