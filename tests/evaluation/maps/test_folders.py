"""Folders of maps are compared file by file of like names, and what their numbers mean is never guessed in silence."""

import mapfiles
import numpy as np
import pytest
from PIL import Image

from evaluation.maps.folders import compare
from training.errors import BadInput
from training.maps import writing
from training.maps.reading import Answers


@pytest.fixture
def folder(tmp_path):
    """Write maps as plain grey PNGs (or palette PNGs) into a folder of that name."""

    def write(name, maps, kind=None):
        (tmp_path / name).mkdir()
        for file, labels in maps.items():
            if kind:
                writing.write(labels, tmp_path / name / file, kind)
            else:
                Image.fromarray(labels).save(tmp_path / name / file)
        return tmp_path / name

    return write


def maps(n=3, classes=150, seed=0, ignored=True):
    rng = np.random.default_rng(seed)
    made = {f"{i}.png": rng.integers(0, classes, (30, 40)).astype(np.uint8) for i in range(n)}
    if ignored:
        for labels in made.values():
            labels[0] = 255
    return made


def guesses(truth, seed=1):
    rng = np.random.default_rng(seed)
    return {
        name: np.where(rng.random(labels.shape) < 0.7, labels % 150, 3).astype(np.uint8)
        for name, labels in truth.items()
    }


def figures(predicted, truth, **options):
    return compare(predicted, truth, **options).agreement.scores().to_dict()


def test_every_way_of_writing_the_same_labels_scores_the_same(folder):
    truth = maps()
    truth = {name: np.where(labels == 48, 6, labels) for name, labels in truth.items()}  # one colour for both
    predicted = guesses(truth)
    expected = figures(folder("p", predicted), folder("t", truth))
    challenge = {name: np.where(labels == 255, 0, labels + 1).astype(np.uint8) for name, labels in truth.items()}
    assert figures(folder("p1", predicted, "palette"), folder("t1", truth, "palette")) == expected
    assert figures(folder("p2", predicted, "index"), folder("t2", challenge)) == expected
    assert expected["maps"] == 3 and 0.5 < expected["miou"] < 0.9


def test_names_may_differ_in_what_marks_them_as_maps(folder):
    truth = maps(1)
    predicted = folder("p", {"street.png": truth["0.png"] % 150})
    assert figures(predicted, folder("t", {"street_seg.png": truth["0.png"]}))["miou"] == 1


def test_predictions_that_hold_0_are_labels_and_it_is_said(folder):
    truth = maps(ignored=False)
    compared = compare(folder("p", truth), folder("t", truth))
    assert compared.agreement.scores().miou == 1
    assert "read as labels 0-149, 0 being wall" in compared.notes[0]
    assert "true maps could be 0-150 or 0-149; they are read as 0-149" in compared.notes[1]


def test_numbers_that_nothing_tells_are_asked_for(folder):
    few = {"a.png": np.array([[1, 2]], dtype=np.uint8)}
    sides = folder("p", few), folder("t", few)
    with pytest.raises(BadInput, match="Nothing tells .* --predicted-numbers and --truth-numbers"):
        compare(*sides)
    for numbers, index in (("0-150", 0), ("0-149", 1)):
        answers = Answers(grey=numbers)
        scores = figures(*sides, predicted_answers=answers, truth_answers=answers)
        assert [c["index"] for c in scores["classes"]] == [index, index + 1]


def test_labels_shifted_by_one_are_caught(folder):
    truth = maps()
    shifted = {name: np.where(labels >= 149, 0, labels + 1).astype(np.uint8) for name, labels in truth.items()}
    compared = compare(folder("p", shifted), folder("t", truth))
    assert compared.agreement.scores().miou < 0.02
    assert any("if each predicted class were one less" in note for note in compared.notes)
    right = compare(folder("p1", {n: m % 150 for n, m in truth.items()}), folder("t1", truth))
    assert not any("would agree" in note for note in right.notes)


def test_red_and_blue_swapped_are_caught(folder, tmp_path):
    truth = maps()
    predicted = folder("p", truth, "palette")
    for path in predicted.iterdir():
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1].copy()).save(path)
    with pytest.raises(BadInput, match="0.png: Its red and blue are swapped"):
        compare(predicted, folder("t", truth))


def test_missing_extra_and_unlike_maps_are_named(folder):
    truth = maps()
    t = folder("t", truth)
    with pytest.raises(BadInput, match="has no map for 1 of the 3 .*: 2.png"):
        compare(folder("p", {"0.png": truth["0.png"], "1.png": truth["1.png"]}), t)
    compared = compare(folder("p1", {**truth, "9.png": truth["0.png"]}), t)
    assert compared.notes[0] == "1 predicted maps have no true one and are left out."
    with pytest.raises(BadInput, match="1.png is 40 x 20 pixels and .*1.png 40 x 30"):
        compare(folder("p2", {**truth, "1.png": truth["1.png"][:20]}), t)
    with pytest.raises(BadInput, match="holds no maps"):
        compare(folder("empty", {}), t)
    (t / "1.png").write_bytes(b"")
    with pytest.raises(BadInput, match="1.png is empty"):
        compare(folder("p3", truth), t)


def test_two_files_are_compared_as_one_map(folder):
    labels = mapfiles.every_class()
    path = folder("a", {"x.png": labels}) / "x.png"
    other = folder("b", {"y.png": labels}) / "y.png"
    assert figures(path, other)["miou"] == 1


def test_the_real_maps_agree_with_themselves(tmp_path):
    folder = mapfiles.ade20k()
    for name in ("p", "t"):
        (tmp_path / name).mkdir()
        for path in folder.glob("ADE_val_*.annotation.png"):
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    scores = figures(tmp_path / "p", tmp_path / "t")
    assert (scores["miou"], scores["pixel_accuracy"], scores["maps"]) == (1, 1, 2)
