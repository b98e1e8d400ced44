"""What is wrong in a draft is told all at once, each beside its field; what is worth knowing stops nothing."""

from collections import namedtuple

import pytest
from draftforms import fill

import assets
from app.drafts import begin, draft, kinds, subject
from training.base import models
from training.errors import BadInput, MissingModel
from training.runs import rundir


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def ready(data, tmp_path):
    """A draft that can be begun."""
    return fill(draft.load(data), tmp_path)


def fields_of(found):
    return [problem.field for problem in found]


def test_an_empty_form_names_all_gaps_at_once(data):
    found = begin.problems(data, draft.load(data))
    assert fields_of(found) == ["pictures", "name", "class_word"]
    assert [problem.anchor for problem in found] == ["ds-field-pictures", "ds-field-name", "ds-field-class-word"]
    assert "Add 4 to 8" in found[0].words and "dog, car, shoe" in found[2].words


def test_blank_words_are_gaps_and_a_full_form_has_none(data, ready):
    assert begin.problems(data, ready) == []
    found = begin.problems(data, draft.save(ready, name="  ", class_word="\t", token=" "))
    assert fields_of(found) == ["name", "class_word", "token"]


def test_pictures_that_vanished_are_not_begun_with(data, ready):
    for picture in ready.pictures:
        ready.picture_file(picture).unlink()
    words = [problem.words for problem in begin.problems(data, ready)]
    assert words == ["None of the pictures can be read. Add others."]


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"steps": "many"}, "steps", "'many' cannot be used. It must be a whole number."),
        ({"learning_rate": "0,5"}, "learning_rate", "'0,5' cannot be used. It must be a number."),
        ({"adapter.rank": "0"}, "adapter.rank", "'0' cannot be used."),
        ({"adapter.rank": "97"}, "adapter.rank", "Choose at most 96."),
        ({"adapter.lambda_": "5", "adapter.lambda_max": "4"}, "adapter.lambda_", "It (5) lies above"),
        ({"adapter.rank_pattern": "to_q"}, "adapter.rank_pattern", "'to_q' is no name and value"),
        ({"adapter.rank_pattern": "to_q: 97"}, "adapter.rank_pattern", "Choose at most 96."),
        ({"sample.seeds": "1, two"}, "sample.seeds", "'two' cannot be used. It must be a whole number."),
        ({"sample.seeds": "one and two"}, "sample.seeds", "'one' cannot be used. It must be a whole number."),
        ({"sample.seeds": ","}, "sample.seeds", "It must have at least 1 item, not 0."),
        ({"sample.prompts": "a dog"}, "sample.prompts", "{subject}"),
        ({"resolution": "100"}, "resolution", "Choose a multiple of 32: 96."),
        ({"targets": "to_z"}, "targets", "No layer's name ends in 'to_z'."),
        ({"warmup_steps": "500"}, "warmup_steps", "It (500) must be fewer than steps (120)"),
        ({"instance_prompt": "a dog"}, "instance_prompt", "It does not hold the token"),
    ],
)
def test_a_setting_that_cannot_be_is_told_beside_its_field(data, ready, typed, field, words):
    ready = draft.save(ready, settings=typed)
    [found] = begin.problems(data, ready)
    assert found.field == field and words in found.words
    assert not found.words.startswith((found.label, field, field.rpartition(".")[2])), "its label stands before it"
    with pytest.raises(BadInput):
        begin.begin(data, ready)
    assert rundir.list_runs(data) == [] and draft.load(data) == ready
    assert begin.faults(data, draft.save(ready, name="", class_word="")) == [found], "also while there are gaps"


def test_what_is_only_not_given_yet_is_no_fault(data):
    assert begin.faults(data, draft.load(data)) == []
    assert begin.outline(data, draft.load(data)).class_word == "thing"
    assert fields_of(begin.faults(data, draft.save(draft.load(data), token=" ", name="x" * 90))) == ["name", "token"]


def test_several_settings_are_all_told(data, ready):
    ready = draft.save(ready, settings={"steps": "x", "seed": "-1", "adapter.rank": "z", "adapter.lambda_pattern": "q"})
    found = fields_of(begin.problems(data, ready))
    assert sorted(found) == ["adapter.lambda_pattern", "adapter.rank", "seed", "steps"]


def test_fp16_needs_a_gpu(data, ready, monkeypatch):
    ready = draft.save(ready, settings={"mixed_precision": "fp16"})
    monkeypatch.setattr(begin, "gpu_count", lambda: 0)
    assert fields_of(begin.problems(data, ready)) == ["mixed_precision"]
    monkeypatch.setattr(begin, "gpu_count", lambda: 1)
    assert begin.problems(data, ready) == []


def test_a_base_model_that_is_missing_or_none_is_told(data, ready, tmp_path):
    (tmp_path / "empty").mkdir()
    for base, kind, words in (
        (str(tmp_path / "gone"), MissingModel, "no such folder or file"),
        ("sd15", MissingModel, "is not on this computer yet"),
        (str(tmp_path / "empty"), BadInput, "is no diffusers pipeline"),
    ):
        [found] = begin.problems(data, draft.save(ready, base=base))
        assert found.field == "base" and words in found.words
        with pytest.raises(kind):
            begin.spec_of(data, draft.load(data))


def test_a_mistyped_base_model_is_guessed_and_the_page_sends_nobody_to_a_terminal(data, ready, tmp_path):
    (tmp_path / "models" / "Stable-Diffusion-v1-5").mkdir(parents=True)
    (tmp_path / "models" / "Stable-Diffusion-v1-5" / "model_index.json").touch()
    (tmp_path / "models" / "stable-difusion-notes").mkdir()
    for base, words in (
        (str(tmp_path / "models" / "stable-difusion-v1-5"), f"mean {tmp_path}/models/Stable-Diffusion-v1-5?"),
        ("stable diffusion 1.5", "Did you mean sd15?"),
        ("sd15", "Download it at This computer"),
        (str(tmp_path / "gone"), "This computer shows the models"),
    ):
        [found] = begin.problems(data, draft.save(ready, base=base))
        assert words in found.words and "`" not in found.words


def test_a_disk_that_is_too_small_is_told(data, ready, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 0, 50_000_000))
    [found] = begin.problems(data, ready)
    assert found.field == "disk" and "0.1 GB left" in found.words and "this run writes about" in found.words


def test_training_longer_wants_the_save_and_the_adapter_it_goes_on_from(data, ready):
    parent = begin.begin(data, ready)
    parent.checkpoint(60).mkdir(parents=True)
    longer = draft.from_run(data, parent, longer=True)
    assert begin.problems(data, longer) == []
    assert fields_of(begin.problems(data, draft.save(longer, settings={"adapter.rank": "8"}))) == ["parent"]
    assert fields_of(begin.problems(data, draft.save(longer, settings={"steps": "40"}))) == ["steps"]
    longer = draft.from_run(data, parent, longer=True)
    parent.checkpoint(60).rmdir()
    assert "is not there any more" in begin.problems(data, longer)[0].words
    fresh = draft.save(longer, start_step=None)
    assert begin.problems(data, fresh) == [] and begin.spec_of(data, fresh).parent == parent.id


# What is worth knowing


def test_a_kind_that_the_base_model_does_not_know_is_a_warning_with_suggestions(data, ready):
    ready = draft.save(ready, class_word="sneaker")
    assert begin.problems(data, ready) == []
    [found] = begin.warnings(data, ready)
    assert found.field == "class_word" and found.suggestions[0] == "shoe" and "shoe" in found.words
    assert begin.warnings(data, draft.save(ready, class_word="Dog")) == []
    assert "choose one." in begin.warnings(data, draft.save(ready, class_word="qqqq"))[0].words


def test_suggestions_come_from_the_words_that_the_base_model_knows(data, sd15_folder):
    caps = models.describe("embedded", data)
    for typed, wanted in (
        ("do", "dog"),
        ("hors", "horse"),
        ("puppy", "dog"),
        ("toy car", "car"),
        ("umbrela", "umbrella"),
    ):
        assert kinds.class_suggestions(caps, typed)[0] == wanted
    assert kinds.class_suggestions(caps, "") == sorted(caps.classes)
    assert set(kinds.NEAR.values()) <= set(caps.classes)
    assert kinds.class_suggestions(models.describe(str(sd15_folder), data), "do") == []


def test_photographs_are_warned_of_on_the_toy_model_alone(data, sd15_folder):
    photos = sorted(assets.path("subjects_photo", "poodle").glob("*.jpg"))
    mine, _ = draft.add_pictures(draft.load(data), [(path.name, path) for path in photos], delete=False)
    assert all(path.is_file() for path in photos)
    mine = draft.save(mine, class_word="dog")
    [found] = begin.warnings(data, mine)
    assert found.words == (
        "These look like photographs. Expect a toy with your dog's colours, not a photo. "
        "For photos choose Stable Diffusion 1.5."
    )
    assert begin.warnings(data, draft.save(mine, base=str(sd15_folder))) == []
    assert begin.warnings(data, draft.use_sample(draft.save(mine, base="embedded"), "poodle")) == []


def test_hours_on_a_processor_are_told_beforehand(data, ready, monkeypatch, sd15_folder):
    ready = draft.save(ready, base=str(sd15_folder))
    monkeypatch.setattr(begin, "gpu_count", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert begin.warnings(data, ready) == [], "this one is small"
    monkeypatch.setattr(models, "count_numbers", lambda ref, data: 1_066_000_000)
    [found] = begin.warnings(data, ready)
    assert found.field == "base" and "takes many hours" in found.words
    monkeypatch.setattr(begin, "gpu_count", lambda: 1)
    assert begin.warnings(data, ready) == []
    monkeypatch.setattr(begin, "gpu_count", lambda: 0)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert begin.warnings(data, ready) == []


def test_what_to_write_in_prompts(data, ready, sd15_folder):
    caps = models.describe("embedded", data)
    assert subject.prompt_words(ready, caps) == "Write: a sks dog in the snow"
    owl = draft.save(ready, token="ohwx", class_word="owl")
    assert subject.prompt_words(owl, models.describe(str(sd15_folder), data)) == "Write: an ohwx owl in the snow"
    assert subject.prompt_words(draft.save(ready, class_word=" "), caps) == ""
    assert subject.prompt_words(owl, None) == "Write: an ohwx owl in the snow", "also while the base model is not found"
