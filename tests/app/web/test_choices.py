"""What Generate draws with: which save is called what, what a choice fills in, and when a prompt lacks its words."""

import gradio as gr
import handmade
import pytest
from PIL import Image

from app.adapters import saves
from app.orders import drawings, reuse
from app.orders.request import complete, parse_request
from app.web.pages.generate import choices
from app.web.pages.generate.choices import IMPORTED, choice
from app.web.pages.generate.form import DrawForm
from app.web.parts import drawn
from evaluation.pictures import write_picture
from training.base import hub
from training.errors import MissingModel


def scored(tmp_path, saves):
    return handmade.score(handmade.train(handmade.run(tmp_path), 16), saves)


@pytest.mark.parametrize(
    ("given", "best", "title"),
    [
        ({4: (0.5, 1.0), 8: (0.7, 0.97), 16: (0.71, 0.7)}, 8, "Step 8 (recommended)"),
        ({4: (0.7, 0.7), 8: (0.8, 0.6)}, 4, "Step 4 (ignores least of the prompt)"),
        ({4: (0.4, 1.0), 8: (0.4, 1.0)}, 16, "Step 16 (newest)"),  # none looks more like it than the base model does
    ],
)
def test_a_save_is_called_recommended_only_where_it_is(tmp_path, given, best, title):
    run = scored(tmp_path, given)
    found = choice(tmp_path, run.id)
    assert found.best == best == saves.best_step(run)
    assert [name for name in found.saves.values() if "(" in name] == [title] and list(found.saves) == [4, 8, 12, 16]


def test_without_scores_the_newest_is_called_the_newest(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 8)
    assert choice(tmp_path, run.id).saves == {4: "Step 4", 8: "Step 8 (newest)"}


def test_a_run_brings_the_settings_of_its_own_test_pictures(tmp_path, sd15_folder):
    run = handmade.finished(tmp_path, base=str(sd15_folder), sample={"guidance": 6.5, "steps": 11, "negative": "a cat"})
    found = choice(tmp_path, run.id)
    assert found.sample == {"steps": 11, "guidance": 6.5, "negative": "a cat"}
    assert (found.base, found.trigger, found.prompt) == (str(sd15_folder), "sks dog", "a sks dog in the snow")


def test_without_a_run_the_settings_are_the_base_models_usual_ones(tmp_path, sd15_folder):
    toy, real = {"steps": 20, "guidance": 3.0, "negative": ""}, {"steps": 25, "guidance": 7.5, "negative": ""}
    assert choice(tmp_path, "").sample == toy and choice(tmp_path, "").base == "embedded"
    assert choice(tmp_path, "", str(sd15_folder)).sample == real
    assert choice(tmp_path, "", "sd15").sample == real  # not on this computer
    handmade.imported(tmp_path, "Owl")
    assert choice(tmp_path, f"{IMPORTED}owl").sample == toy
    record = tmp_path / "adapters" / "owl" / "adapter.json"
    record.write_text(record.read_text().replace('"embedded"', f'"{sd15_folder}"'))
    found = choice(tmp_path, f"{IMPORTED}owl")
    assert (found.sample, found.base, found.prompt) == (real, str(sd15_folder), "a zwx cat")


def test_what_is_gone_or_damaged_leaves_the_base_model_alone(tmp_path):
    run = handmade.finished(tmp_path)
    (run.path / "spec.json").unlink()
    for value in (run.id, "gone", f"{IMPORTED}gone", "../../etc"):
        assert (choice(tmp_path, value).value, choice(tmp_path, value).saves) == ("", {})


@pytest.mark.parametrize(
    ("prompt", "lacks"),
    [
        ("Fluffy at the Eiffel tower", True),
        ("a dog in the snow", True),
        ("a taskset dog", True),  # within another word
        ("a SKS dog in the snow", False),
        ("a sks brown dog", False),
    ],
)
def test_a_prompt_lacks_the_words_where_one_of_them_is_not_in_it(prompt, lacks):
    assert choices.lacks(prompt, "sks dog") is lacks
    assert not choices.lacks(prompt, "")


def test_a_base_model_left_in_the_hidden_field_does_not_stand_against_the_adapter():
    assert choices.from_form({"run": f"{IMPORTED}owl", "base": "embedded", "prompt": "x"}) == {
        "adapter": "owl",
        "prompt": "x",
    }
    assert choices.from_form({"run": "", "base": "sd15", "prompt": "x"}) == {"base": "sd15", "prompt": "x"}


@pytest.mark.parametrize("name", ["run", "adapter"])
def test_another_base_model_than_its_own_goes_through_the_form_and_back(tmp_path, sd15_folder, name):
    hub.add(sd15_folder, tmp_path, "finetune")
    handmade.imported(tmp_path, "Owl")
    with_ = {"run": handmade.finished(tmp_path).id, "adapter": "owl"}[name]
    own = complete(tmp_path, parse_request({"prompt": "x", name: with_}))
    other = complete(tmp_path, parse_request({"prompt": "x", name: with_, "base": "finetune", "other_base": True}))
    assert (own.base, own.other_base, other.base, other.other_base) == ("embedded", False, "finetune", True)
    assert [choices.as_form(request)["other_base"] for request in (own, other)] == ["", "finetune"]
    for request in (own, other):
        values = choices.from_form(choices.as_form(request))
        assert complete(tmp_path, parse_request(values)) == request
    named = parse_request({"prompt": "x", name: with_, "base": "embedded", "other_base": True})
    assert complete(tmp_path, named) == own  # its own, named as another one
    told = [drawn.facts(drawings.create(tmp_path, request), tmp_path) for request in (own, other)]
    assert ["not the base model it was made for" in html for html in told] == [False, True]
    assert "on finetune (not the base model it was made for)" in told[1]


def test_another_base_model_left_in_the_hidden_field_does_not_draw_in_place_of_the_one_chosen():
    form = {"run": "", "base": "sd15", "other_base": "finetune", "prompt": "x"}
    assert choices.from_form(form) == {"base": "sd15", "prompt": "x"}


def test_the_form_shows_saves_for_a_run_and_base_models_for_a_base_model_alone(tmp_path):
    run = handmade.finished(tmp_path)
    with gr.Blocks():
        form = DrawForm(tmp_path)
    for value, seen in ((run.id, (True, False, True)), ("", (False, True, False))):
        shown, step, base, other, _, *brought = form.chosen(value)
        assert (step["visible"], base["visible"], other["visible"]) == seen and shown["value"] == value
        assert brought == [choice(tmp_path, value).prompt, 20, 3.0, ""]
    assert ("Toy model (built in)", "embedded") in base["choices"] and base["value"] == "embedded"
    assert form.renamed(run.id, 12, "", "")[1]["value"] == 12  # the save that was chosen stays


@pytest.fixture
def form(tmp_path, sd15_folder):
    """The form where an adapter of the built-in model and a further base model are."""
    hub.add(sd15_folder, tmp_path, "finetune")
    handmade.imported(tmp_path, "Owl")
    with gr.Blocks():
        return DrawForm(tmp_path)


def test_an_adapter_is_offered_its_own_base_model_first_and_then_the_others(form):
    other = form.chosen(f"{IMPORTED}owl")[3]
    own = ("The one it was made for: Toy model (built in)", "")
    assert (other["choices"], other["value"]) == ([own, ("finetune", "finetune")], "")
    assert form.renamed(f"{IMPORTED}owl", None, "", "finetune")[3]["value"] == "finetune"  # what was chosen stays
    assert form.renamed(f"{IMPORTED}gone", None, "", "finetune")[3]["value"] == ""


def asked(form, **changes):
    """The request of the form as it opens, with these fields changed."""
    values = {name: field.value for name, field in form.fields.items()} | changes
    return complete(form.data, parse_request(form.given(tuple(values.values()))))


def test_another_base_model_that_is_chosen_is_asked_for_as_such(form):
    with_ = {"run": f"{IMPORTED}owl", "prompt": "x"}
    own, other = asked(form, **with_), asked(form, **with_, other_base="finetune")
    assert (own.base, own.other_base, other.base, other.other_base) == ("embedded", False, "finetune", True)
    with pytest.raises(MissingModel, match="no base model 'gone'"):
        asked(form, **with_, other_base="gone")


def test_a_picture_drawn_on_another_base_model_fills_the_form_with_it(form, tmp_path):
    names = list(form.fields)
    picture = tmp_path / "picture.png"
    facts = {"prompt": "x", "seed": 3, "adapter": "owl", "strength": 0.5, "made_for": "embedded"}
    for base, value, missing in (("finetune", "finetune", ""), ("gone", None, "there is no base model 'gone'.")):
        write_picture(Image.new("RGB", (8, 8)), picture, {**facts, "base": base})
        found = reuse.read(tmp_path, picture)
        assert missing in found.missing and bool(missing) == bool(found.missing)
        filled = dict(zip(names, form.filled(found.request, keep=bool(found.missing)), strict=False))
        assert filled["other_base"].get("value") == value  # where it is missing, what is chosen stays
    assert found.request.adapter is None and not found.request.other_base
