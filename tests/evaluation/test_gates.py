"""The figures of the model card come from formulas that are checked here against closed forms."""

import numpy as np

from evaluation.embedded_gates import frechet_distance, render
from evaluation.gate_prompts import read
from training.pretrain.toyworld.world import pair_is_held_out


def test_frechet_distance_of_a_set_with_itself_is_nought():
    x = np.random.default_rng(0).normal(size=(400, 6))
    assert abs(frechet_distance(x, x)) < 1e-6


def test_frechet_distance_of_gaussians_matches_the_closed_form():
    # diagonal Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2
    rng, n = np.random.default_rng(1), 200_000
    s1, s2, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 1.0, 0.5]), np.array([0.3, -0.2, 1.0])
    got = frechet_distance(rng.normal(size=(n, 3)) * s1, rng.normal(size=(n, 3)) * s2 + shift)
    assert abs(got - (np.square(shift).sum() + np.square(s1 - s2).sum())) < 0.03


def test_gate_prompts_are_what_the_card_says():
    lists = read()
    assert len(lists["prompts"]) == 500
    assert len({(e["class_word"], e["place"]) for e in lists["prompts"]}) == 500
    assert not any(pair_is_held_out(e["class_word"], e["place"]) for e in lists["prompts"])
    assert all(pair_is_held_out(e["class_word"], e["place"]) for e in lists["held_out_pairs"])
    for entry in lists["prompts"]:
        assert entry["class_word"] in entry["prompt"] and (entry["colour"] or "") in entry["prompt"]


def test_renders_show_what_was_asked():
    entries = read()["prompts"][:6]
    for entry, picture in zip(entries, render(entries), strict=True):
        assert picture.image.shape == (128, 128, 3) and picture.place == entry["place"]
