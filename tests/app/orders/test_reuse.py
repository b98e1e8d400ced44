"""Settings out of a picture: what was drawn here can be drawn again, and anything else gets one clear sentence."""

import json

import handmade
import mapfiles
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.orders import drawings, reuse
from app.orders.request import complete, parse_request
from evaluation.pictures import write_picture
from training.base import controlnet
from training.errors import BadInput
from training.runs.run import Run

FACTS = {
    "prompt": "a sks dog on the beach",
    "negative": "a cat",
    "steps": 7,
    "guidance": 4.5,
    "sampler": "euler",
    "seed": 41,
    "size": 96,
    "base": "Toy model (built in)",
    "strength": 1.25,
}


@pytest.fixture
def run(tmp_path) -> Run:
    return handmade.finished(tmp_path)


def drawn(folder, **facts):
    path = folder / "picture.png"
    write_picture(Image.new("RGB", (96, 96)), path, {**FACTS, **facts})
    return path


def test_a_picture_fills_everything_that_decides_it(tmp_path, run):
    found = reuse.read(tmp_path, drawn(tmp_path, run=run.id, step=8))
    request = found.request
    kept = {key: getattr(request, key) for key in FACTS if key != "base"}
    assert kept == {key: value for key, value in FACTS.items() if key != "base"}
    assert (request.run, request.step, request.count, found.missing) == (run.id, 8, 1, "")
    assert complete(tmp_path, request).base == "embedded"


def test_a_picture_of_the_base_model_does_not_silence_the_next_adapter(tmp_path):
    found = reuse.read(tmp_path, drawn(tmp_path, strength=0.0))
    assert (found.request.run, found.request.base, found.request.strength) == (None, "embedded", 1.0)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"run": "20260101-000000-gone-0000", "step": 8}, "there is no run '20260101-000000-gone-0000'."),
        ({"run": "RUN", "step": 5}, "has no save at step 5."),
        ({"adapter": "ghibli"}, "there is no imported adapter 'ghibli'."),
        ({"base": "somebody's model"}, 'there is no base model "somebody\'s model".'),
        ({"run": "../../etc", "step": 1}, "there is no run '../../etc'."),
    ],
)
def test_what_drew_it_and_is_not_here_is_named_and_the_rest_is_filled_in(tmp_path, run, facts, words):
    facts = {key: run.id if value == "RUN" else value for key, value in facts.items()}
    found = reuse.read(tmp_path, drawn(tmp_path, **facts))
    assert words in found.missing and found.missing.endswith("The other settings are filled in.")
    assert (found.request.run, found.request.adapter, found.request.step) == (None, None, None)
    assert (found.request.prompt, found.request.seed) == (FACTS["prompt"], 41)


def test_a_damaged_run_draws_nothing(tmp_path, run):
    (run.path / "spec.json").unlink()
    assert "spec.json is missing" in reuse.read(tmp_path, drawn(tmp_path, run=run.id, step=8)).missing


def other(folder, what):
    path = folder / "other.png"
    info = PngInfo()
    if what == "text":
        path.write_text("no picture")
    elif what == "bomb":
        Image.new("1", (20_000, 20_000)).save(path)
    else:
        info.add_text("delora", what)
        Image.new("RGB", (8, 8)).save(path, pnginfo=info if what else None)
    return path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("", "carries no settings of this program"),
        ("not JSON", "cannot be read as a picture"),
        ("[1]", "carries no settings"),
        (json.dumps({"seed": 3}), "carries no settings"),
        (json.dumps({"prompt": "a dog", "steps": "many"}), "cannot be used: steps"),
        (json.dumps({"prompt": ["a dog"]}), "cannot be used: prompt"),
        ("text", "other.png cannot be read as a picture"),
        ("bomb", "other.png cannot be read as a picture"),
    ],
)
def test_another_picture_gets_one_clear_sentence(tmp_path, what, words):
    with pytest.raises(BadInput, match=words):
        reuse.read(tmp_path, other(tmp_path, what))


def test_a_picture_of_a_map_brings_the_map_where_a_drawing_still_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(controlnet, "inspect", lambda *_: None)  # the built-in one need not be here
    made = drawings.create(tmp_path, parse_request({"prompt": "a dog"}), mapfiles.scene(48, 48))
    picture = drawn(tmp_path, map=made.request().map, control="the built-in ControlNet", control_scale=0.5, strength=0)
    found = reuse.read(tmp_path, picture)
    assert found.mapped.id == made.id and not found.lost
    assert (found.request.control, found.request.control_scale, found.request.map) == ("embedded", 0.5, None)
    found = reuse.read(tmp_path, drawn(tmp_path, map="0" * 16, control_scale=0.5))
    assert found.mapped is None and found.lost and found.request.prompt == FACTS["prompt"]
    assert not reuse.read(tmp_path, drawn(tmp_path)).lost
