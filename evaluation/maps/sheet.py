"""The contact sheet of runs of maps: a row a held-out map, with its picture, without an adapter, and the saves."""

from __future__ import annotations

from PIL import Image

from evaluation.pictures import read_pictures
from evaluation.sheets import Row, contact_sheet
from training.maps import SEGMENTATION, controls, dataset
from training.runs.run import Run

ROWS = 12


def sheet(saves: dict[str, tuple[Run, int]], rows: int = ROWS) -> Image.Image:
    """Maps, real pictures, the base without an adapter and each save, of the first seed of the first maps.

    Args:
        saves: a save's name on the sheet -> its run and step; the runs share held-out maps, base model and seeds.
    """
    first = next(iter(saves.values()))[0]
    spec, each = first.spec, len(first.spec.sample.seeds)
    held = dataset.read(first.path, dataset.HELD_OUT)[: min(rows, spec.held_out)]
    columns = {
        "map" if spec.control_kind == SEGMENTATION else spec.control_kind: [
            Image.fromarray(controls.painted(controls.of_pair(spec.control_kind, example.picture, example.map)))
            for example in held
        ],
        "real": read_pictures([example.picture for example in held]),
        "no adapter": read_pictures(first.samples(0)[::each][: len(held)]),
    }
    columns |= {name: read_pictures(run.samples(step)[::each][: len(held)]) for name, (run, step) in saves.items()}
    lines = [Row(example.caption, pictures) for example, *pictures in zip(held, *columns.values(), strict=True)]
    title = f"{spec.name}: held-out maps, {spec.protocol}, seed {spec.sample.seeds[0]}"
    return contact_sheet(lines, columns=list(columns), title=title, label_px=190)
