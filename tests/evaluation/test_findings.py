"""The sentence of a comparison says what its figures say."""

import handmade
import pytest

from evaluation import scorebook
from evaluation.findings import NOTHING, Told, sentence


@pytest.fixture
def told(tmp_path):
    """told(name, {step: (DINO, place, clean)}, ...) -> a column; base 0.4, own pictures 0.8, standard error 0.01."""

    def make(name, saves=None, **more):
        run = handmade.run(tmp_path)
        book = scorebook.read(handmade.score(run, saves)) if saves is not None else None
        return Told(name, "Biscuit", book, **more)

    return make


def test_the_nearest_column_and_those_within_its_spread_are_named(told):
    columns = [
        told("DeLoRA ×1", {4: (0.6, 1.0), 8: (0.7, 1.0)}),
        told("LoRA ×1", {4: (0.695, 1.0), 8: (0.695, 1.0)}),
        told("DoRA ×1", {4: (0.6, 1.0), 8: (0.6, 1.0)}),
    ]
    assert sentence(columns) == (
        "DeLoRA ×1 comes nearest to Biscuit (likeness 75 ± 2 % at step 8), with LoRA ×1 (likeness 74 ± 2 % at step 4) "
        "within its spread; all 3 columns still draw clean pictures at step 8."
    )


def test_what_was_destroyed_is_told_with_its_step(told):
    columns = [
        told("DeLoRA ×8", {4: (0.6, 1.0), 8: (0.7, 1.0)}),
        told("LoRA ×4", {4: (0.6, 1.0), 8: (0.5, 1.0, 0.4)}),
        told("LoRA ×8", {4: (0.3, 1.0, 0.1), 8: (0.2, 1.0, 0.0)}),
        told("LoRA ×64", {4: (0.3, 1.0, 0.1)}, broken=6),
    ]
    found = sentence(columns)
    assert found.startswith("DeLoRA ×8 comes nearest to Biscuit (likeness 75 ± 2 % at step 8); ")
    assert "the numbers of LoRA ×64 broke down at step 6, " in found
    assert "LoRA ×4 (since step 8) and LoRA ×8 (since step 4) no longer draw clean pictures, " in found
    assert found.endswith(" DeLoRA ×8 still does at step 8.")


def test_while_it_runs_it_says_so_far(told):
    columns = [told("DeLoRA", {4: (0.6, 1.0)}, ended=False), told("LoRA", None, ended=False)]
    assert sentence(columns) == (
        "So far, DeLoRA comes nearest to Biscuit (likeness 50 ± 2 % at step 4); DeLoRA still draws clean pictures at "
        "step 4."
    )
    assert sentence(columns[1:]) == NOTHING and sentence([told("LoRA", {})]) == NOTHING


def test_where_nothing_is_like_the_subject_no_column_is_praised(told):
    found = sentence([told("DeLoRA", {4: (0.41, 1.0)}), told("LoRA", {4: (0.35, 1.0), 8: (0.3, 1.0)})])
    assert found == (
        "No column has a save to recommend; DeLoRA and LoRA still draw clean pictures at their newest saves."
    )
