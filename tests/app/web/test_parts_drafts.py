"""What the page New says of a draft in its own HTML."""

import pytest

from app.drafts import draft
from app.drafts.problem import Problem
from app.web.parts import drafts
from training import presets


@pytest.fixture
def mine(tmp_path):
    return draft.load(tmp_path / "data")


def test_only_a_picture_that_is_no_square_has_a_part_to_choose(mine):
    def shown(shape):
        return drafts.shelf(mine.changed(pictures=[draft.DraftPicture(id="a", name="a.png", shape=shape)]))

    assert "Part that is used" not in shown("square") and 'data-act="crop"' not in shown("square")
    for shape, words in (("wide", ("Left", "Right")), ("tall", ("Top", "Bottom"))):
        assert "Part that is used" in shown(shape) and all(f">{word}</button>" in shown(shape) for word in words)


def test_a_wrong_value_is_not_called_missing(mine):
    wrong = [Problem("name", "It has no name yet."), Problem("sample.seeds", "'one' cannot be used.")]
    box = drafts.problem_list(wrong)
    assert "2 things to see to before training can start:" in box and ">Test seeds</a>: &#x27;one&#x27;" in box
    assert "One thing to see to before training can start:" in drafts.problem_list(wrong[:1])
    assert drafts.problem_list([]) == ""


def test_the_rare_word_is_explained_where_it_is_met():
    assert "ohwx is the rare word that will mean only this subject." in drafts.to_write(
        "Write: an ohwx owl", "ohwx", []
    )
    assert drafts.to_write("", "ohwx", []) == ""


def test_the_summary_says_what_is_drawn_before_the_first_step(mine):
    spec = presets.make_spec("embedded", "delora", "quick", class_word="dog")
    told = drafts.summary(mine, spec, "")
    assert "the base model draws 48 class pictures (any dog) and 16 test pictures to compare with" in told
    assert "Then each save draws 16 test pictures" in told
    plain = drafts.summary(mine, spec.model_copy(update={"prior_weight": 0.0}), "")
    assert "the base model draws 16 test pictures to compare with" in plain
