"""Maps for tests: labels with every class in them, and the real files of ADE20K where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
