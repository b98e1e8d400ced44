"""Damage: nothing at degree 0, all of it at degree 1, and the same again from the same generator."""

import numpy as np
import pytest
from PIL import Image
from tinyjudges import noise_pictures

from evaluation.damage import KINDS, spoiled


def told(kind, degree, seed=0, size=(64, 48)):
    """A picture, and what becomes of it, both as arrays."""
    (picture,) = noise_pictures(1, 3, size)
    return np.asarray(picture, int), np.asarray(spoiled(picture, kind, degree, np.random.default_rng(seed)), int)


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_no_change_and_a_seed_gives_the_same_again(kind):
    before, after = told(kind, 0.0)
    assert np.array_equal(before, after)
    assert np.array_equal(told(kind, 0.7)[1], told(kind, 0.7)[1])


def test_shuffled_tiles_are_the_same_tiles_and_at_degree_1_none_is_at_home():
    before, after = told("tiles", 1.0)

    def tiles(x):  # 8 x 8 tiles of 6 x 8 pixels
        return [x[i : i + 6, j : j + 8] for i in range(0, 48, 6) for j in range(0, 64, 8)]

    assert sorted(t.tobytes() for t in tiles(before)) == sorted(t.tobytes() for t in tiles(after))
    assert not any(np.array_equal(a, b) for a, b in zip(tiles(before), tiles(after), strict=True))


def test_all_noise_keeps_two_fifths_of_the_picture():
    picture = Image.new("RGB", (300, 300), (200, 200, 200))
    after = np.asarray(spoiled(picture, "noise", 1.0, np.random.default_rng(0)), float)
    assert after.mean() == pytest.approx(0.4 * 200 + 0.6 * 127.5, abs=1.5)
    assert after.std() == pytest.approx(0.6 * 256 / 12**0.5, rel=0.02)  # of evenly spread numbers


def test_a_flat_picture_has_one_colour_and_a_blurred_edge_is_wide():
    assert np.unique(told("flat", 1.0)[1].reshape(-1, 3), axis=0).shape == (1, 3)
    edge = Image.new("RGB", (160, 160))
    edge.paste("white", (80, 0, 160, 160))
    row = np.asarray(spoiled(edge, "blur", 1.0, np.random.default_rng(0)), float)[80, :, 0] / 255
    within = np.flatnonzero((row > 0.159) & (row < 0.841))  # one deviation to both sides: 2 x 160 / 16
    assert len(within) == pytest.approx(20, abs=2)


def test_loud_colours_are_pushed_away_from_grey_and_from_the_middle():
    picture = Image.new("RGB", (8, 8), (140, 128, 128))
    loud = np.asarray(spoiled(picture, "loud", 0.5, np.random.default_rng(0)))[0, 0]
    # mean 132; red is 8 above it: 132 + 8 x 2.5 = 152, then 128 + 24 x 2 = 176
    assert loud[0] == 176
