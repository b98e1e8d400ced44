"""Maps for tests: labels with every class in them, and the real files of ADE20K where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.maps import colours, writing

ROOT = Path(__file__).resolve().parents[1]


def every_class(height=75, width=80, ignored=True):
    """Labels (H, W) in blocks of 5 x 5 px, all 150 classes of them, and 255 in a corner."""
    labels = np.arange(15 * 16, dtype=np.int64).reshape(15, 16) % 150
    labels = np.kron(labels, np.ones((5, 5), dtype=np.int64))[:height, :width].astype(np.uint8)
    if ignored:
        labels[-5:, -5:] = 255
    return labels


def scene(height=48, width=64):
    """A small scene: sky over grass, with a person, a tree and a strip of no class."""
    labels = np.full((height, width), 2, dtype=np.uint8)
    labels[height // 2 :] = 9
    labels[height // 3 :, width // 4 : width // 3] = 12
    labels[height // 5 : height // 2 + 4, width // 2 : width // 2 + 9] = 4
    labels[:2] = 255
    return labels


def picture(size=(64, 48), seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def full(labels, numbers):
    """Labels in the full set's encoding, with instances in blue. numbers: class -> its number there."""
    table = np.zeros(256, dtype=np.int64)
    for label, number in numbers.items():
        table[label] = number
    number = table[labels]
    instance = np.arange(labels.size).reshape(labels.shape) % 7
    return Image.fromarray(np.stack([number // 256 * 10, number % 256, instance], -1).astype(np.uint8))


def ade20k():
    """The folder of real files: what DELORA_TEST_ADE20K names, or shared/data/ade20k beside the checkout."""
    named = os.environ.get("DELORA_TEST_ADE20K")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "ade20k"
    if not folder.is_dir():
        pytest.skip("no files of ADE20K: set DELORA_TEST_ADE20K to their folder")
    return folder


def write_faulty(folder):
    """A pair of every fault that a map can have; name of the file that is to blame -> words that its message holds."""
    painted = colours.paint(scene())
    off = painted.copy()
    off[20:22] += 1
    road = np.where(scene() == 9, 6, scene()).astype(np.uint8)
    maps = {
        "off.png": Image.fromarray(off),
        "coco.png": Image.fromarray(colours.OTHERS["COCO"][scene() % 60]),
        "cityscapes.png": Image.fromarray(colours.OTHERS["Cityscapes"][7 + scene() % 20]),
        "small.png": Image.fromarray(painted).resize((32, 24), Image.Resampling.NEAREST),
        "grey.png": Image.fromarray(np.where(scene() == 255, 3, scene())),
        "road.png": Image.fromarray(colours.paint(road)),
        "jpeg_map.jpg": Image.fromarray(painted),
        "webp_map.webp": Image.fromarray(painted),
    }
    for i, (name, shown) in enumerate(maps.items()):
        shown.save(folder / name, **({"quality": 80} if name.endswith(("jpg", "webp")) else {}))
        stem = name.partition(".")[0]
        other = f"{stem.removesuffix('_map')}.png" if stem.endswith("_map") else f"{stem}.jpg"
        picture(seed=i).save(folder / other)
    picture(seed=99).save(folder / "alone.jpg")
    writing.write(scene(), folder / "lonely_map.png", "palette")
    return {
        "off.png": "in 4.2 % of its pixels are no class's",
        "coco.png": "those of COCO, whose classes are others",
        "cityscapes.png": "those of Cityscapes, whose classes are others",
        "small.jpg": "Its map is 32 x 24 pixels and the picture 64 x 48",
        "jpeg_map.jpg": "It is a JPEG, which damages classes at every edge",
        "webp_map.webp": "It is a lossy WebP, which damages classes at every edge",
        "alone.jpg": "has no partner: no map has its name",
        "lonely_map.png": "has no partner: no",
    }
