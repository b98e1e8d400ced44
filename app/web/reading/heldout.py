"""The maps that runs hold out to be judged by, which Generate can draw from as well."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.orders import following
from training import jsonfile
from training.errors import BadInput, StudioError
from training.maps import captions
from training.maps.dataset import HELD_OUT as FOLDER
from training.maps.intake import LIST
from training.runs.rundir import list_runs, run_by_id

if TYPE_CHECKING:
    import numpy as np

    from training.runs.run import Run

SUFFIX = ".map.png"


class HeldOut(NamedTuple):
    """A held-out map. name: what it is found by in its run. caption: its picture's, "" where none is known."""

    name: str
    caption: str


def runs(data: Path) -> list[Run]:
    """The runs that hold maps out, the newest first; damaged ones are left out."""
    return [run for run in list_runs(data) if _files(run)]


def maps(data: Path, run_id: str) -> list[HeldOut]:
    """What a run holds out, in order. Raises BadInput where there is no such run."""
    run = run_by_id(data, run_id)
    known: dict[str, str] = {}
    with contextlib.suppress(StudioError, OSError):  # only the captions are lost
        known = {row.picture.stem: row.caption for row in captions.rows(run.path / FOLDER / LIST)}
    return [HeldOut(name, known.get(name, "")) for name in _files(run)]


def labels(data: Path, run_id: str, name: str) -> np.ndarray:
    """The labels (H, W) of one of them. Raises BadInput where it is not there, or damaged."""
    path = _files(run_by_id(data, run_id)).get(name)
    if path is None:
        raise BadInput(f"Run {run_id} holds out no map {name!r}.", "Choose another one.", "map")
    return following.read(path)


def _files(run: Run) -> dict[str, Path]:
    return {path.name.removesuffix(SUFFIX): path for path in jsonfile.files(run.path, FOLDER, f"*{SUFFIX}")}
