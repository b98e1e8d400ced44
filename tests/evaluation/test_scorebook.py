"""scores.json: what goes in comes back, and the percents are those of the page."""

import json

import pytest

from evaluation.scorebook import ScoreBook
from evaluation.subject import Scores


def made(dino, clip_t=0.1):
    """Scores of two pictures."""
    per_image = {"dino": [dino, dino], "clip_i": [0.5, 0.5], "clip_t": [clip_t, clip_t], "clip_t_plain": [0.3, 0.3]}
    judges = {"dino": {"name": "d"}, "clip": {"name": "c"}}
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
    with pytest.raises(ValueError, match="version 7"):
        ScoreBook.from_dict({"version": 7})
