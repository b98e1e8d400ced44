"""Pictures that come without maps, for runs that follow edges: a segmentor makes the maps that judge what is drawn."""

from __future__ import annotations

from pathlib import Path

from evaluation.maps import segmentor
from training.errors import BadInput
from training.maps import writing
from training.maps.pairs import Found, Pair
from training.subject import pictures

NOTE = (
    "{} pictures came without maps. The segmentor made theirs, which only judge: mIoU then says how alike the drawn "
    "and the real pictures are to it."
)


def with_maps(found: Found, folder: Path, ref: str, data: Path | None) -> int:
    """Give the pictures without a map one each, as an index PNG in `folder`; returns how many there were.

    ref: of the segmentor, as in `segmentor.load`, whose errors are raised. A picture that cannot be read stays a fault.
    """
    if not found.alone:
        return 0
    judge = segmentor.load(ref, data)
    folder.mkdir(parents=True)
    made = {}
    for i, (path, caption) in enumerate(found.alone.items()):
        try:
            image = pictures.read(path).image
        except BadInput:
            continue
        shown = folder / f"{i:05d}.png"
        writing.write(judge.segment([image])[0], shown, "index")
        made[path] = Pair(path, shown, caption)
    found.pairs = sorted([*found.pairs, *made.values()], key=lambda pair: pair.picture)
    found.faults = [(path, problem) for path, problem in found.faults if path not in made]
    found.alone = {path: caption for path, caption in found.alone.items() if path not in made}
    return len(made)
