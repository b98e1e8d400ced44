"""The draft of the page New: what will become a run, kept on the server until Start.

It survives reloads, restarts and errors. Every function here reads what is on disk, changes only what it was asked to
and writes it whole, under one lock: with two tabs the last write of a field wins, and neither loses the other's
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.drafts import pairing, pictures, settings
from app.drafts.pictures import DraftPicture
from app.drafts.store import Draft, changing, folder_of, judged, load, looked_over, scratch, successor, write
from training import jsonfile, presets
from training.base import models
from training.errors import BadInput, MissingModel
from training.runs.run import Run
from training.specwords import explain
from training.subject import intake
from training.subject.pictures import LARGEST_FILE_MB

__all__ = ["Draft", "DraftPicture", "load"]

FIELDS = (
    "task",
    "name",
    "class_word",
    "token",
    "base",
    "effort",
    "method",
    "settings",
    "parent",
    "start_step",
    "pressed",
)
TAUGHT = ("task", "name", "base", "class_word", "token")  # of a spec, what a draft has under the same name
LIMITS = f"At most {intake.MOST_PICTURES} pictures, each up to {LARGEST_FILE_MB} MB."
LEFT_OUT = "{name} was left out: " + f"{intake.MOST_PICTURES} pictures are the most, and 4 to 8 are usual."


def save(draft: Draft, **changes: Any) -> Draft:
    """Change some of FIELDS; all others stay as they are on disk.

    settings: only those named change; None takes a setting back to its preset.

    Raises BadInput, naming the field, for a value that it cannot have.
    """
    if unknown := set(changes) - set(FIELDS):
        raise TypeError(f"A draft has no {', '.join(sorted(unknown))}.")
    with changing(draft) as now:
        if "settings" in changes:
            for name, value in changes["settings"].items():
                if not jsonfile.keeps(value):
                    words = f"{settings.label(name)} cannot be kept as it was given."
                    raise BadInput(words, "Write another value.", name)
            typed = {**now.settings, **changes["settings"]}
            changes["settings"] = {name: value for name, value in typed.items() if value is not None}
        try:
            now = now.changed(**changes)
        except ValidationError as error:
            raise explain(error, Draft) from error
        return write(judged(now) if {"base", "settings"} & set(changes) else now)


def clear(draft: Draft) -> Draft:
    """An empty draft in its place, with the same base model, effort and method."""
    with changing(draft) as now:
        return write(successor(now))


# Pictures


def add_pictures(draft: Draft, files: Sequence[tuple[str, Path]], *, delete: bool = True) -> tuple[Draft, list[str]]:
    """Take in uploaded pictures: (the client's name, where the upload lies).

    Args:
        delete: remove the uploads, whether they could be used or not: only the cleaned copies stay.

    Returns:
        The draft, and a sentence for each file that was refused.

    Raises:
        StudioError: the copies cannot be written.
    """
    refused: list[str] = []
    taken: list[DraftPicture] = []
    room = intake.MOST_PICTURES - len(load(draft.data, draft.user).pictures)
    try:
        with scratch(draft.folder) as beside:
            for given, path in files:
                name = pictures.shown_name(given)
                if len(taken) >= room:
                    refused.append(LEFT_OUT.format(name=name))
                    continue
                try:
                    taken.append(pictures.take_in(Path(path), name, beside))
                except BadInput as error:
                    refused.append(str(error))
            with changing(draft) as now:
                fitting = taken[: intake.MOST_PICTURES - len(now.pictures)]  # another tab may have been faster
                refused += [LEFT_OUT.format(name=picture.name) for picture in taken[len(fitting) :]]
                _move(fitting, beside, now.folder)
                return write(looked_over(now.changed(pictures=(*now.pictures, *fitting)))), refused
    finally:
        for _, path in files if delete else ():
            Path(path).unlink(missing_ok=True)


def remove_picture(draft: Draft, picture_id: str) -> Draft:
    """Take a picture out; one that is gone already is no error."""
    with changing(draft) as now:
        left = tuple(picture for picture in now.pictures if picture.id != picture_id)
        return write(looked_over(now.changed(pictures=left)))


def set_crop(draft: Draft, picture_id: str, crop: float) -> Draft:
    """Move the square of a picture: 0 left or top, 0.5 the middle, 1 right or bottom."""
    if crop not in pictures.CROPS:
        raise BadInput(f"crop: {crop} is none of 0, 0.5 and 1.")
    with changing(draft) as now:
        moved = tuple(p.changed(crop=crop) if p.id == picture_id else p for p in now.pictures)
        return write(judged(now.changed(pictures=moved)))


def thumbnails_folder(data: Path, user: str = "") -> Path:
    """Where the thumbnails of a user's draft lie, by `DraftPicture.thumbnail`."""
    return folder_of(data, user) / "thumbnails"


def thumbnail(draft: Draft, picture: DraftPicture) -> Path:
    """The square PNG that shows what will be used of a picture; another crop has another file."""
    return draft.folder / "thumbnails" / picture.thumbnail


# Whole drafts from what is there already


def use_sample(draft: Draft, name: str = "poodle") -> Draft:
    """Fill in a sample subject: its pictures, name, kind and token. Base model, effort and method stay.

    Raises BadInput naming the samples that there are.
    """
    from evaluation.samplesubjects import sample_subject

    sample = sample_subject(name)
    title = sample.name.replace("-", " ").capitalize()
    files = [(path.name, path) for path in sample.pictures]
    return _replace(draft, files, task="dreambooth", name=title, class_word=sample.class_word)


def from_run(data: Path, run: Run, user: str = "", *, longer: bool = False) -> Draft:
    """A draft with all settings and pictures of a run, which becomes its parent, in the place of the user's own.

    longer: go on from its last save, for twice its steps.

    Raises BadInput where the run has no save to go on from, or its pictures are gone.
    """
    spec, changes = run.spec, {}
    start = run.latest_checkpoint() if longer else None
    if longer and start is None:
        raise BadInput(f"Run {run.id} has no save to go on from.", "Run it again from the beginning.", "run")
    if longer:
        changes["steps"] = str(2 * spec.steps)
    try:
        embedded = models.describe(spec.base, data).embedded
    except (BadInput, MissingModel):  # the page says so beside the base model
        embedded = spec.base == "embedded"
    kind, method = "embedded" if embedded else "sd", spec.adapter.method
    effort = next((e for e in presets.EFFORTS if presets.STEPS[spec.task, kind][e] == spec.steps), "balanced")
    taught = {name: getattr(spec, name) for name in TAUGHT if hasattr(spec, name)}
    own = settings.overrides(spec, presets.make_spec(kind, method, effort, **taught))
    fields = {**taught, "effort": effort, "method": method, "settings": own | changes}
    fill = pairing.from_run if spec.task == "maps" else _from_pictures
    return fill(load(data, user), run, **fields, parent=run.id, start_step=start)


def _from_pictures(draft: Draft, run: Run, **fields: Any) -> Draft:
    """A draft with the pictures of a run. Raises BadInput where they are gone."""
    files = [(f"{run.name}, picture {i + 1}", path) for i, path in enumerate(run.pictures())]
    if not files:
        raise BadInput(f"The pictures of run {run.id} are gone.", "Add them again.", "pictures")
    return _replace(draft, files, **fields)


def _replace(draft: Draft, files: Sequence[tuple[str, Path]], **fields: Any) -> Draft:
    """A new draft in the place of this one, of `files` (what to call each, where it lies), which stay there."""
    with scratch(draft.folder) as beside:
        taken = tuple(pictures.take_in(path, name, beside) for name, path in files)
        with changing(draft) as now:
            _move(taken, beside, now.folder)
            return write(looked_over(successor(now, pictures=taken, **fields)))


def _move(found: Sequence[DraftPicture], source: Path, folder: Path) -> None:
    for picture in found:
        for path in source.glob(f"{picture.id}*.png"):
            path.replace(folder / ("thumbnails" if "-" in path.name else "pictures") / path.name)
