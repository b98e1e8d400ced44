"""The run folder: the only thing that app and training share.

    runs/<id>/
      spec.json      what makes the run, frozen when it is made
      state.json     where it stands; the truth for every page and queue
      dataset/       what is learned from: cleaned pictures of the subject, or pictures and maps with pairs.jsonl
      held-out/      pairs that saves of a run of maps are judged by
      events.jsonl   one JSON object a line: loss, distances, saves, notes
      checkpoints/step-000200/   see training.runs.checkpoint
      samples/step-000200/       pictures drawn at a save; step 0 is the base model
      scores.json    what evaluation found
      adapter/       exports
      attempts/N     made once by each process that takes the run up; the newest one holds it
      name.txt       what a person renamed the run to, if they did
      log.txt

Every write is beside-then-rename, and events are appended whole lines, so a reader never sees half of anything.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from training import atomic, jsonfile
from training.errors import BadInput, from_os_error
from training.runs.run import Run
from training.runs.states import RunState
from training.spec import RunSpec

__all__ = ["Run", "create", "holds_run", "list_folders", "list_runs", "open_run", "run_by_id"]

HEART = {"spec.json", "state.json"}
PARTS = {*HEART, "events.jsonl", "scores.json", "dataset", "checkpoints", "samples", "adapter"}
DATA = ("dataset", "held-out")  # the folders that a run is made of


def create(
    data: Path, run_spec: RunSpec, pictures: Sequence[Path] | Mapping[str, Path], run_id: str | None = None
) -> Run:
    """Make a run in state queued. It appears whole or not at all.

    Args:
        data: the data folder.
        pictures: cleaned pictures, as `training.subject.intake.prepare` makes them; or whole folders by their name in
            the run (those of DATA), as `training.maps.intake.prepare` makes each. They are copied.
        run_id: as `new_id` gives it, for who must know it before; None makes a new one.

    Raises:
        BadInput: no pictures, or a parent that is not there or has no such save. RunFailed: a full disk.
    """
    if not pictures:
        raise BadInput("No pictures were given.", "Give 4 to 8 pictures of your subject.", field="pictures")
    path = Path(data) / "runs" / (run_id or new_id(run_spec.name))
    try:
        with atomic.new_folder(path) as folder:
            (folder / "spec.json").write_text(run_spec.to_json(), "utf-8")
            state = RunState(name="queued", updated=time.time(), parent=run_spec.parent)
            (folder / "state.json").write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
            _copy_data(pictures, folder)
            if run_spec.start_step is not None:
                _copy_start(open_run(data, run_spec.parent), run_spec.start_step, folder)
    except OSError as error:
        raise from_os_error(error, path) from error
    return Run(path)


def open_run(data: Path, run_id: str) -> Run:
    """The run of that id, or of that path. Raises BadInput where there is none.

    One of the data folder may be damaged: reading its parts then says what is wrong with them.
    """
    path = Path(data) / "runs" / run_id
    if holds_run(path):
        return Run(path)
    if (Path(run_id) / "spec.json").is_file():
        return Run(Path(run_id))
    raise BadInput(f"There is no run {run_id!r}.", "See `delora runs list` for those that there are.", field="run")


def run_by_id(data: Path, run_id: str) -> Run:
    """The run of that id in this data folder, damaged or not; never another folder, whatever the id says.

    Raises BadInput where there is none.
    """
    run = Run(Path(data) / "runs" / run_id)
    if run.path.name != run_id or not holds_run(run.path):
        raise BadInput(f"There is no run {run_id!r}.", "Choose another one; it may have been deleted.", field="run")
    return run


def list_runs(data: Path) -> list[Run]:
    """All runs with a state, newest first. Folders that are no runs are passed over."""
    folder = Path(data) / "runs"
    paths = sorted(folder.glob("[!.]*/state.json"), reverse=True) if folder.is_dir() else []
    return [Run(path.parent) for path in paths]


def list_folders(data: Path) -> list[Run]:
    """All folders that hold anything of a run, newest first: those that cannot be read are among them."""
    folder = Path(data) / "runs"
    paths = sorted(folder.glob("[!.]*"), reverse=True) if folder.is_dir() else []
    return [Run(path) for path in paths if holds_run(path)]


def holds_run(path: Path) -> bool:
    """Whether a folder holds anything of a run, be it damaged; one that is closed to us may.

    A link must lead to more than a folder with a dataset, which other programs' folders have too.
    """
    try:
        return not (HEART if os.path.islink(path) else PARTS).isdisjoint(os.listdir(path))
    except PermissionError:
        return True
    except (OSError, ValueError):  # a file, gone, or a name that no file can have
        return False


def data_of(run: Run) -> Mapping[str, Path]:
    """What another run of the same data is made of, for `create`. Raises BadInput where it is gone."""
    folders = {name: run.path / name for name in DATA if os.path.lexists(run.path / name)}
    if not run.pictures():
        raise BadInput(f"The pictures of run {run.id} are gone.", "Make a new run on the page New.", "pictures")
    return folders


def _copy_data(pictures: Sequence[Path] | Mapping[str, Path], folder: Path) -> None:
    """Put what a run learns from into its folder; links are not followed."""
    if isinstance(pictures, Mapping):
        for name, source in pictures.items():
            (folder / name).mkdir()
            for file in jsonfile.files(source, ".", "*"):
                shutil.copyfile(file, folder / name / file.name)
        return
    (folder / "dataset").mkdir()
    for i, picture in enumerate(pictures):
        shutil.copyfile(picture, folder / "dataset" / f"{i:02d}.png")


def _copy_start(parent: Run, step: int, folder: Path) -> None:
    """Put the parent's checkpoint into a new run, so that it needs the parent no more."""
    source = parent.checkpoint(step)
    if step not in parent.checkpoints():
        saved = ", ".join(map(str, parent.checkpoints())) or "none"
        raise BadInput(f"Run {parent.id} has no save at step {step} (there: {saved}).", "", field="start_step")
    shutil.copytree(source, folder / "checkpoints" / source.name, symlinks=True)  # a link's target stays where it is


def new_id(name: str) -> str:
    """An id for a run: date, time, name and four random digits."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:32] or "run"
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{slug}-{secrets.token_hex(2)}"
