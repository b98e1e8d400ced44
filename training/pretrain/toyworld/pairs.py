"""The sample set for *pictures from maps*: scenes of two and three objects, which the embedded model cannot draw yet.

    python -m training.pretrain.toyworld.pairs

64 pairs to train and 64 to judge, laid out as ADEChallengeData2016 is: `images/training/*.jpg`,
`annotations/training/*.png` (uint8, 0 for no class, else the class 1 to 150), the same under `validation`, and captions
in `images/training/metadata.jsonl`. Glyphs and places are those of the training; that several objects share a picture,
and the canvases of the places, are new.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import assets
from training.pretrain.toyworld import world
from training.pretrain.toyworld.scenes import Scene, several

SPLITS = ("training", "validation")
PAIRS = 64  # in each split
CANVASES = {"count": 24, "first_seed": 30_000}  # that no training picture has


def draw(split: str, count: int = PAIRS) -> list[Scene]:
    """The scenes of a split; the same on every machine."""
    rng = np.random.default_rng([world.VALIDATION_SEED, 3, SPLITS.index(split)])
    return [several(rng, objects=2 + i % 2, **CANVASES) for i in range(count)]


def write(folder: Path) -> None:
    """Writes the sample set anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for split in SPLITS:
        images, maps = folder / "images" / split, folder / "annotations" / split
        images.mkdir(parents=True), maps.mkdir(parents=True)
        rows = []
        for number, scene in enumerate(draw(split), 1):
            name = f"scene_{number:03}"
            Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=95, subsampling=0)
            Image.fromarray(scene.labels + np.uint8(1)).save(maps / f"{name}.png", optimize=True)  # 255 becomes 0
            rows.append(json.dumps({"file_name": f"{name}.jpg", "text": scene.caption}) + "\n")
        (images / "metadata.jsonl").write_text("".join(rows))


if __name__ == "__main__":
    write(assets.path("scenes"))
