"""scores.json: what goes in comes back, and the percents are those of the page."""

import json
from dataclasses import replace

import pytest

from evaluation.scorebook import OtherJudges, ScoreBook
from evaluation.scores import Scores
from evaluation.strangeness import STRANGE
from training.errors import BadInput


def made(dino, clip_i=0.5, thing=0.2, clean=1.0):
    """Scores of two pictures."""
    means = {"dino": dino, "clip_i": clip_i, "clip_t": 0.3, "place": 0.1, "thing": thing, "clean": clean}
    judge = {"ref": "toy", "name": "toy", "preprocessing": "none", "sha256": "0"}
    judges = {"dino": judge, "clip": judge}
    return Scores(
        **means, dino_stderr=0.01, pictures=2, per_image={k: [v, v] for k, v in means.items()}, encoders=judges
    )


BOOK = ScoreBook(made(0.4), {"dino": 0.8, "clip_i": 0.9}, ("a {subject}",), (1, 2))


def test_a_book_comes_back_from_its_file_whole():
    book = replace(BOOK, strangeness=0.9).with_save(400, made(0.7)).with_save(200, made(0.6))
    assert list(book.saves) == [200, 400]
    assert ScoreBook.from_dict(json.loads(json.dumps(book.to_dict("Biscuit")))) == book


def test_the_figures_of_saves_stand_beside_their_scores():
    document = BOOK.with_save(200, made(0.7, thing=0.15, clip_i=0.6, clean=0.96)).to_dict("Biscuit")
    told = document["saves"]["200"]["figures"]
    assert told["likeness"] == pytest.approx(75)  # 0.3 of the 0.4 from the base to the real pictures
    assert told["thing"] == pytest.approx(75 + (75 + 25) / 2)  # of its kind, and half of DINO's and CLIP's ways to it
    assert told["follows"] == pytest.approx(100) and told["clean"] == pytest.approx(96)
    assert document["recommendation"]["step"] == 200
    assert BOOK.figures(0).likeness == 0 and BOOK.figures(0).follows == pytest.approx(100)


def test_one_real_picture_gives_no_percent_of_likeness_and_no_thing():
    book = ScoreBook(made(0.4), None, (), ()).with_save(200, made(0.7, thing=0.01))
    told = book.to_dict("Biscuit")["saves"]["200"]["figures"]
    assert (told["likeness"], told["thing"], told["follows"]) == (None, None, pytest.approx(100))
    assert book.recommend("Biscuit").step == 200


def test_judges_that_know_nothing_of_the_pictures_compare_nothing_with_them():
    book = replace(BOOK, strangeness=STRANGE + 0.01).with_save(200, made(0.9, clean=0.93))
    told = book.figures(200)
    assert (told.likeness, told.follows, told.clean) == (None, None, pytest.approx(93))
    answer = book.recommend("Biscuit")
    assert (answer.step, answer.instead) == (None, 200) and "know nothing of pictures like these" in answer.reason
    assert replace(book, strangeness=STRANGE).figures(200).likeness == pytest.approx(125)


def test_judges_that_know_nothing_of_what_the_base_model_draws_tell_nothing():
    book = replace(BOOK, sees=False).with_save(200, made(0.9, clean=0.1))
    assert set(book.figures(200).to_dict().values()) == {None}
    answer = book.recommend("Biscuit")
    assert (answer.step, answer.instead, answer.warning) == (None, None, "") and "tell nothing" in answer.reason
    assert ScoreBook.from_dict(book.to_dict("Biscuit")) == book


@pytest.mark.parametrize(("version", "which"), [(1, "older"), (None, "older"), (7, "newer")])
def test_another_versions_file_is_told_as_made_by_other_judges(version, which):
    with pytest.raises(OtherJudges, match=f"made by {which} judges"):
        ScoreBook.from_dict({"version": version})


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(base=[]),
        lambda d: d.update(saves={"200": {}}),
        lambda d: d.update(saves={"two": d["base"]}),
        lambda d: d.update(seeds="0"),
        lambda d: d.update(real={"dino": None, "clip_i": 1}),
        lambda d: d["base"].update(dino="much"),
        lambda d: d["base"].update(dino=1e300),
        lambda d: d["base"].update(encoders={"dino": {}}),
        lambda d: d.pop("note"),
        lambda d: d.update(strangeness="much"),
    ],
)
def test_a_damaged_file_is_told_and_raises_nothing_else(change):
    document = json.loads(json.dumps(BOOK.with_save(200, made(0.7)).to_dict("Biscuit")))
    change(document)
    with pytest.raises(BadInput, match="scores.json is damaged"):
        ScoreBook.from_dict(document)


def test_what_a_later_hand_added_is_left_aside():
    document = BOOK.with_save(200, made(0.7)).to_dict("Biscuit")
    more = {**document, "mood": "good", "base": {**document["base"], "mood": 1}}
    assert ScoreBook.from_dict(more) == ScoreBook.from_dict(document)
