"""What lies in a run's folder, read again only where it changed: spec, pictures, saves, scores, the exports' record."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from app.adapters import exporting
from app.adapters.exporting import MADE, RECORD
from app.computer import damaged
from app.computer.damaged import Fault
from app.orders import making
from app.web.reading.kept import Kept
from evaluation import scorebook
from evaluation.recommend import Recommendation
from evaluation.scorebook import Book, OtherJudges
from training.errors import BadInput, StudioError
from training.maps import dataset
from training.maps.dataset import Example
from training.runs.run import CHECKPOINT, Run
from training.spec import RunSpec

_specs: Kept[RunSpec] = Kept(256)
_names: Kept[str] = Kept(256)
_folders: Kept[tuple[str, ...]] = Kept(4096)
_books: Kept[Book | None] = Kept(64)
_records: Kept[dict | None] = Kept(256)
_made: Kept[list[dict]] = Kept(256)
_faults: Kept[Fault | None] = Kept(512)
_held: Kept[tuple[Example, ...]] = Kept(64)
_advice: Kept[dict[tuple[str, int], Recommendation]] = Kept(64)


def spec(run: Run) -> RunSpec:
    """The run's spec. Raises BadInput where it is missing or damaged."""
    return _specs.get(run.path / "spec.json", lambda: run.spec, None) or run.spec


def name(run: Run) -> str:
    """What a person calls the run. Raises BadInput as `spec`."""
    return _names.get(run.path / "name.txt", lambda: run.name, "") or spec(run).name


def faults(run: Run) -> list[Fault]:
    """The run's files that cannot be read and that the rest goes on without."""
    looks = (_faults.get(run.path / file, partial(damaged.fault, run, file), None) for file in damaged.NEEDLESS)
    return [fault for fault in looks if fault]


def dated(run: Run) -> str:
    """A run's name and when it was made, which its id says: what tells two of one name apart. Also of a damaged one."""
    try:
        called = name(run)
    except StudioError:
        called = damaged.name(run)
    try:
        made = time.strptime(run.id[:15], "%Y%m%d-%H%M%S")
    except ValueError:  # a folder that a person named
        return called
    return f"{called} ({made.tm_mday} {time.strftime('%b %Y, %H:%M', made)})"


def pictures(folder: Path) -> tuple[str, ...]:
    """The names of the pictures in a folder, in order."""
    return tuple(entry for entry in _folders.get(folder, lambda: _listed(folder), ()) if entry.endswith(".png"))


def samples(run: Run) -> dict[int, tuple[str, ...]]:
    """step -> names of the pictures drawn there. A set of pictures appears whole, so the folders say everything."""
    folder = run.path / "samples"
    names = [entry for entry in _folders.get(folder, lambda: _listed(folder), ()) if CHECKPOINT.fullmatch(entry)]
    found = {int(entry[5:]): pictures(folder / entry) for entry in names}
    return {step: files for step, files in sorted(found.items()) if files}


def saves(run: Run) -> tuple[int, ...]:
    """The steps that were saved and are still there, ascending."""
    folder = run.path / "checkpoints"
    names = _folders.get(folder, lambda: _listed(folder), ())
    return tuple(sorted(int(entry[5:]) for entry in names if CHECKPOINT.fullmatch(entry)))


def scores(run: Run) -> tuple[Book | None, str]:
    """The run's scores, None before the first; and what is wrong where they cannot be read."""
    try:
        return _books.get(run.path / "scores.json", lambda: scorebook.read(run), None), ""
    except OtherJudges as error:
        return None, f"{error.message} Make them again: `delora score {run.id}`"
    except StudioError as error:
        return None, f"This run's scores cannot be read. {error}".replace(f"{run.path}/", "")


def advice(run: Run, book: Book, name: str, first_save: int) -> Recommendation:
    """The rule's answer on a run's scores; that of a run of maps takes a while, so it is kept until they change."""
    kept = _advice.get(run.path / "scores.json", dict, {})
    asked = (name, first_save)
    if asked not in kept:
        kept[asked] = book.recommend(name, first_save)
    return kept[asked]


def held_out(run: Run) -> tuple[Example, ...]:
    """The held-out pairs of a run of maps; none where they are gone or damaged, and of a subject."""

    def read() -> tuple[Example, ...]:
        try:
            return tuple(dataset.read(run.path, dataset.HELD_OUT))
        except BadInput:
            return ()

    return _held.get(run.path / dataset.HELD_OUT, read, ())


def record(run: Run) -> dict[str, Any] | None:
    """What the export wrote about its files, None before it has, and where that is damaged."""
    return _records.get(run.path / "adapter" / RECORD, lambda: exporting.readable_record(run), None)


def made(run: Run) -> list[dict[str, Any]]:
    """The files that were made on demand, as `app.orders.making` listed them."""
    return _made.get(run.path / "adapter" / MADE, lambda: making.read(run.path / "adapter"), [])


def _listed(folder: Path) -> tuple[str, ...]:
    """The names in a folder that can stand in an address, no links; none of a link, no folder, or one closed to us."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.isprintable() and not entry.is_symlink()]
        return () if folder.is_symlink() else tuple(sorted(names))
    except OSError:
        return ()
