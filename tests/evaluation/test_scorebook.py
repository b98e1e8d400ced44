"""scores.json: what goes in comes back, and the percents are those of the page."""

import json

import pytest

from evaluation.scorebook import ScoreBook
from evaluation.subject import Scores
from training.errors import BadInput


def made(dino, clip_t=0.1):
    """Scores of two pictures."""
    per_image = {"dino": [dino, dino], "clip_i": [0.5, 0.5], "clip_t": [clip_t, clip_t], "clip_t_plain": [0.3, 0.3]}
    judge = {"ref": "toy", "name": "toy", "preprocessing": "none", "sha256": "0"}
    judges = {"dino": judge, "clip": judge}
    return Scores(dino, 0.5, clip_t, 0.3, None, 0.01, 2, per_image, judges)


BOOK = ScoreBook(made(0.4), {"dino": 0.8, "clip_i": 0.9}, ("a {subject}",), (1, 2))


def test_a_book_comes_back_from_its_file_whole():
    book = BOOK.with_save(400, made(0.7)).with_save(200, made(0.6))
    assert list(book.saves) == [200, 400]
    assert ScoreBook.from_dict(json.loads(json.dumps(book.to_dict("Biscuit")))) == book


def test_likeness_of_saves_stands_beside_their_scores():
    document = BOOK.with_save(200, made(0.7)).to_dict("Biscuit")
    assert document["saves"]["200"]["likeness"] == pytest.approx(75)
    assert document["recommendation"]["step"] == 200
    assert BOOK.likeness(0) == 0


def test_one_real_picture_gives_no_percent():
    book = ScoreBook(made(0.4), None, (), ()).with_save(200, made(0.7))
    assert book.to_dict("Biscuit")["saves"]["200"]["likeness"] is None
    assert book.recommend("Biscuit").step == 200


def test_another_versions_file_is_refused():
    with pytest.raises(BadInput, match="a newer version of this program. Update the program."):
        ScoreBook.from_dict({"version": 7})
    with pytest.raises(BadInput, match="another version"):
        ScoreBook.from_dict({})


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
