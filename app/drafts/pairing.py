"""The pairs of a draft come, go and are answered for; the draft on disk is changed and returned anew."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

import assets
from app.drafts import pairfiles
from app.drafts.pairs import LONGEST_CAPTION, MOST_FILES, PARTS, DraftPairs, Part
from app.drafts.pictures import shown_name
from app.drafts.store import Draft, changing, scratch, successor, write
from training.errors import BadInput
from training.maps import dataset
from training.runs.run import Run
from training.specwords import explain

TOO_MANY = (
    f"{{name}} was left out: the page takes {MOST_FILES:,} files. For more there is `delora train PAIRS --task maps`."
)


def add(draft: Draft, files: Sequence[tuple[str, Path]], part: Part = "training", *, delete: bool = True):
    """Take in dropped files: (the client's name, where the upload lies). A file of a name that is there replaces it.

    Args:
        delete: remove the uploads, whether they could be used or not.

    Returns:
        The draft, and a sentence for each file that was refused.

    Raises:
        StudioError: the copies cannot be written.
    """
    refused: list[str] = []
    try:
        with scratch(draft.folder) as new:
            for given, path in files:
                name = shown_name(given)
                try:
                    pairfiles.unpack_or_take(Path(path), name, new)
                except BadInput as error:
                    refused.append(str(error).replace(Path(path).name, name))
            found = sorted(file for file in new.glob("*/**/*") if file.is_file())
            with changing(draft) as now:
                folder = now.pairs_folder
                there = sum(file.is_file() for file in folder.rglob("*"))
                for file in found:
                    place = Path(*map(pairfiles.safe, file.relative_to(new).parts[1:]))  # without its drop's folder
                    place = pairfiles.part_of(place, part) / place
                    if not (folder / place).exists() and there >= MOST_FILES:
                        refused.append(TOO_MANY.format(name=place.name))
                        continue
                    there += not (folder / place).exists()
                    pairfiles.settle(file, folder, place)
                pairfiles.clean(folder)
                return write(now.with_pairs(stamp=secrets.token_hex(8))), refused
    finally:
        for _, path in files if delete else ():
            Path(path).unlink(missing_ok=True)


def remove(draft: Draft, part: Part, names: Sequence[str]) -> Draft:
    """Take files out, by their paths in a part; one that is gone already is no error.

    Raises BadInput for a name that leads outside.
    """
    for name in names:
        if part not in PARTS or ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise BadInput(f"{name} is no file of this draft.", "Load the page again.", "pairs")
    with changing(draft) as now:
        for name in names:
            path = now.pairs_folder / part / name
            with contextlib.suppress(OSError):  # gone, or a folder
                path.unlink()
        return write(now.with_pairs(stamp=secrets.token_hex(8)))


def clear(draft: Draft) -> Draft:
    """Take all files out, with what was said about them."""
    with changing(draft) as now:
        shutil.rmtree(now.pairs_folder, ignore_errors=True)
        return write(now.changed(pairs={}))


def answer(draft: Draft, **answers: Any) -> Draft:
    """Keep what a person said about maps that leave something open: `grey`, `shared`, `nearest`; None asks again.

    Raises BadInput for what is no answer.
    """
    with changing(draft) as now:
        try:
            return write(now.with_pairs(**answers))
        except ValidationError as error:
            raise explain(error, DraftPairs) from error


def caption(draft: Draft, part: Part, name: str, words: str) -> Draft:
    """Give the pair of a picture, by its path in a part, a caption; "" goes back to the one it came with."""
    words = " ".join(words.split())[:LONGEST_CAPTION]
    with changing(draft) as now:
        others = {place: told for place, told in now.pairs.captions.items() if place != f"{part}/{name}"}
        there = any(
            looked.name(p.pair.picture) == name for at, looked in now.seen.parts if at == part for p in looked.pairs
        )
        return write(now.with_pairs(captions=others | ({f"{part}/{name}": words} if words and there else {})))


def use_scenes(draft: Draft) -> Draft:
    """Fill in the sample set: pairs to train with and pairs to judge by, with a name; base, effort and method stay."""
    folder = assets.path("scenes")
    files = {path: str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()}
    return _replace(draft, files, {"grey": "0-150"}, task="maps", name="Scenes")


def from_run(draft: Draft, run: Run, **fields: Any) -> Draft:
    """A draft with the pairs of a run, their captions as a person's, in the place of this one.

    Raises BadInput where they are gone.
    """
    files, captions = {}, {}
    for name, part in ((dataset.TRAINING, "training"), (dataset.HELD_OUT, "held-out")):
        for i, found in enumerate(dataset.read(run.path, name)):
            stem = f"{i:04d} {Path(pairfiles.safe(found.name)).stem}"
            files[found.picture] = f"{part}/images/{stem}.png"
            files[found.map] = f"{part}/annotations/{stem}.png"
            captions[f"{part}/{files[found.picture]}"] = found.caption
    return _replace(draft, files, {"captions": captions}, **fields)


def _replace(draft: Draft, files: dict[Path, str], said: dict[str, Any], **fields: Any) -> Draft:
    """A new draft in the place of this one, of copies of `files` and what is said about them."""
    with changing(draft) as now:
        new = successor(now, **fields, pairs=DraftPairs(stamp=secrets.token_hex(8), **said))
        pairfiles.lay(files, new.pairs_folder)
        return write(new)
