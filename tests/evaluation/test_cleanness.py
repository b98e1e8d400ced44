"""The judge of clean pictures on any encoders, and how it knows that it knows nothing of a picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tinyjudges import noise_pictures

from evaluation import encoders, samplesubjects
from evaluation.cleanness import MOST, Cleanness, shrunk
from evaluation.damage import spoiled
from evaluation.pictures import read_pictures
from evaluation.strangeness import STRANGE, strangeness

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "dreambooth"


def shapes(count, seed):
    """Pictures with something in them: discs on a ground, smooth in between."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    out = []
    for _ in range(count):
        ground, disc = rng.integers(0, 256, (2, 3))
        inside = (x - rng.integers(20, 44)) ** 2 + (y - rng.integers(20, 44)) ** 2 < rng.integers(10, 18) ** 2
        out.append(Image.fromarray(np.where(inside[..., None], disc, ground).astype(np.uint8)))
    return out


def seen(dino, clip, pictures):
    return dino.see(pictures), clip.see(pictures)


def test_clean_pictures_get_1_and_damage_that_was_learnt_gets_less(dino, clip):
    clean = shapes(24, 0)
    judge = Cleanness(dino, clip, clean, ("flat",))  # what even judges of random weights can tell
    assert np.mean(judge.of(*seen(dino, clip, clean))) == pytest.approx(1, abs=1e-6)
    rng = np.random.default_rng(1)
    told = [
        np.mean(judge.of(*seen(dino, clip, [spoiled(picture, "flat", degree, rng) for picture in clean])))
        for degree in (0.0, 0.5, 1.0)
    ]
    assert told[0] > told[1] + 0.03 > told[2] + 0.06


def test_the_same_pictures_make_the_same_judge(dino, clip):
    clean, asked = shapes(6, 0), seen(dino, clip, noise_pictures(3, 2))
    assert Cleanness(dino, clip, clean).of(*asked) == Cleanness(dino, clip, clean).of(*asked)


def test_of_many_clean_pictures_some_evenly_over_the_list_are_learnt_from(dino, clip, monkeypatch):
    asked = []
    monkeypatch.setattr(
        type(dino), "see", lambda self, images, see=type(dino).see: asked.append(images) or see(self, images)
    )
    many = shapes(4 * MOST, 0)
    Cleanness(dino, clip, many, ("noise",))
    learnt = asked[0][:MOST]
    assert np.array_equal(learnt[0], shrunk(many[0])) and np.array_equal(learnt[-1], shrunk(many[-1]))
    assert len(asked[0]) == MOST + 2 * MOST


def test_layers_are_those_after_each_third_of_the_blocks(dino):
    import torch

    pictures = shapes(2, 0)
    layers = dino.see(pictures).layers
    assert layers.shape == (2, 3, 2, 32)
    pixels = dino._processor(images=pictures, return_tensors="pt")["pixel_values"]
    states = dino._model(pixels, output_hidden_states=True).hidden_states  # the tiny judge has two blocks
    for third, block in enumerate((1, 1, 2)):
        assert torch.allclose(layers[:, third, 0], states[block][:, 0], atol=1e-5)
        assert torch.allclose(layers[:, third, 1], states[block][:, 1:].mean(1), atol=1e-5)


def test_only_the_built_in_judge_has_an_edge_of_its_world(dino):
    assert strangeness(dino, dino.see(shapes(1, 0)).layers) is None


def test_every_sample_subject_is_of_the_toy_world_and_a_photograph_is_not():
    dino = encoders.load("dino")

    def far(paths):
        return strangeness(dino, dino.see(read_pictures(list(paths))).layers)

    for group in ("subjects", "subjects_photo"):
        assert max(far(subject.pictures) for subject in samplesubjects.sample_subjects(group)) < STRANGE
    import matplotlib

    assert far([Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"]) > STRANGE


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="real photographs are not shipped")
def test_subjects_of_real_photographs_are_not_of_the_toy_world():
    dino = encoders.load("dino")
    folders = sorted(folder for folder in PHOTOGRAPHS.iterdir() if folder.is_dir())
    assert len(folders) >= 5
    for folder in folders:
        squares = [shrunk(square(picture)) for picture in read_pictures(sorted(folder.glob("*.jpg"))[:5])]
        assert strangeness(dino, dino.see(squares).layers) > STRANGE, folder.name


def square(picture):
    """The square in a picture's middle."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
