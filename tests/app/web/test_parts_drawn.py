"""The HTML of a drawing: what is there is shown and named, and nothing is promised that does not come."""

import handmade
import pytest

from app.orders import drawings
from app.orders.drawings import parse_request
from app.web.parts import drawn


def ask(**changes):
    return parse_request({"prompt": "a dog in the snow", **changes})


@pytest.fixture
def run(tmp_path):
    return handmade.finished(tmp_path, "Biscuit the 2nd/é")


def drawing(data, *files, **changes):
    made = drawings.create(data, ask(count=2, seed=40, **changes))
    for name in files:
        (made.path / name).write_bytes(handmade.PNG)
    return made


def test_a_frame_without_a_picture_says_what_comes(tmp_path, run):
    made = drawing(tmp_path, run=run.id)
    assert "The first pictures come several at once." in drawn.viewer(made, tmp_path)
    assert "The picture is on its way." in drawn.viewer(drawings.create(tmp_path, ask(count=1)), tmp_path)
    made.set_state("stopped")
    assert "Nothing was drawn." in drawn.viewer(made, tmp_path)


def test_the_base_models_picture_is_shown_where_it_is_the_only_one(tmp_path, run):
    html = drawn.viewer(drawing(tmp_path, "base-00.png", run=run.id), tmp_path)
    assert "base-00.png" in html and ">Base model<" in html and "come" not in html


def test_both_pictures_are_named_where_they_are_seen(tmp_path, run):
    made = drawing(tmp_path, "base-00.png", "adapter-00.png", "adapter-01.png", run=run.id)
    html = drawn.viewer(made, tmp_path)
    over = html[html.index("ds-over") : html.index("ds-cut")]
    assert "base-00.png" in over and ">Base model<" in over and "Biscuit" not in over
    assert ">Biscuit the 2nd/é<" in html and "data-slide" in html and html.count('aria-pressed="false"') == 2
    assert "data-slide" not in drawn.viewer(made, tmp_path, 1)  # its base picture is still to come


def test_a_download_is_named_after_subject_and_seed(tmp_path, run):
    made = drawing(tmp_path, "adapter-00.png", "adapter-01.png", run=run.id)
    assert 'download="biscuit-the-2nd-e-seed-41.png"' in drawn.viewer(made, tmp_path, 1)
    alone = drawing(tmp_path, "base-00.png")
    assert 'download="toy-model-built-in-seed-40.png"' in drawn.viewer(alone, tmp_path)


def test_twice_as_many_as_were_asked_for_are_explained(tmp_path, run):
    compared, alone = drawing(tmp_path, run=run.id), drawing(tmp_path)
    for made in (compared, alone):
        made.set_state("drawing", done=1.4)
    assert "Drawing 2 of 4: each also with the base model." in drawn.standing(compared)
    assert "Drawing 2 of 2 pictures." in drawn.standing(alone)


def test_missing_words_are_told_with_the_button_that_writes_them():
    html = drawn.without_words("sks <dog")
    assert "does not hold “sks &lt;dog”, so the subject may not appear" in html
    assert 'data-act="words" data-word="sks &lt;dog"' in html
