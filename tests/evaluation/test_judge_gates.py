"""The gate of the judges in short: on one subject, with what was drawn of it kept in drawn/, without any training.

`python -m evaluation.judge_gates` is the long form: it trains, and takes eight subjects.
"""

from pathlib import Path

import pytest
from PIL import Image

from evaluation import gate_sets, judge_gates, samplesubjects
from evaluation.figures import CLEAN, FIGURES, FOLLOWS, LIKENESS
from evaluation.gate_sets import PictureSet
from evaluation.judge_gates import Judged

DRAWN = Path(__file__).parent / "drawn"  # sheets of 4 x 4: four places, four seeds each


def sheet(name):
    """The 16 pictures of a sheet, row by row."""
    with Image.open(DRAWN / f"ox-{name}.webp") as whole:
        whole = whole.convert("RGB")
    return [whole.crop((x, y, x + 128, y + 128)) for y in range(0, 512, 128) for x in range(0, 512, 128)]


@pytest.fixture(scope="module")
def measured():
    """The figures of all sets of the ox, and those of rising damage."""
    subject, base = samplesubjects.sample_subject("ox"), sheet("base")
    judge = judge_gates.judge_of(subject, base)
    sets = gate_sets.rendered_sets(subject)
    sets += [
        PictureSet("base model", base, True, (LIKENESS,)),
        PictureSet("DeLoRA at its preset", sheet("delora"), True),
        PictureSet("LoRA at 8 times its rate, step 40", sheet("overshot-40"), False),
        PictureSet("LoRA at 8 times its rate, step 80", sheet("overshot-80"), False),
    ]
    degrees = judge_gates.rising(judge, gate_sets.renders(subject)[::2])
    return judge_gates.judged(judge, subject, base, sets), degrees


def test_every_bad_set_fails_no_good_one_does_and_damage_lowers_the_figure_in_each_degree(measured):
    found, degrees = measured
    assert {one.name: one.passes() for one in found if one.passes() != one.good} == {}
    assert judge_gates.auc(found) >= judge_gates.AUC
    assert judge_gates.faults(found, [degrees]) == []


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.key)
def test_none_of_the_three_figures_can_be_taken_out(measured, figure):
    """Without one of them the gate would not hold: these bad sets pass then, which are caught by nothing else."""
    expected = {
        LIKENESS: "others of its kind",
        FOLLOWS: "its own pictures, whatever the prompt",
        CLEAN: "real renders, 30 % noise",
    }
    assert expected[figure] in judge_gates.let_through(measured[0], figure)


def test_the_gate_tells_what_is_wrong():
    def made(name, good, *figures):
        return Judged("ox", name, good, dict(zip((figure.key for figure in FIGURES), figures, strict=True)))

    good, unlike = made("good", True, 90, 95, 99), made("unlike", False, 2, 99, 99)
    deaf, spoilt = made("deaf", False, 90, 3, 99), made("spoilt", False, 90, 99, 9)
    falling = {"noise": [100, 80, 60, 40, 20, 0]}
    assert judge_gates.faults([good, unlike, deaf, spoilt], [falling]) == []
    assert judge_gates.faults([good, unlike, deaf], [falling]) == ["without clean picture no bad set passes"]
    worse = judge_gates.faults([good, unlike, deaf, made("spoilt", False, 90, 99, 99)], [{"blur": [9, 8, 8, 7, 6, 5]}])
    assert "ox: spoilt passes" in worse
    assert any(sentence.startswith("blur does not lower the figure in every degree") for sentence in worse)
    assert "ox: good fails" in judge_gates.faults([made("good", True, 90, 95, 20), unlike, deaf, spoilt], [falling])
