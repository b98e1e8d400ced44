"""RunSpec: what makes a run, its messages and its presets."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

import delora
from training import presets, spec
from training.adapterspec import METHODS, SPECS
from training.errors import BadInput

TASKS = {"dreambooth": {"class_word": "dog"}, "maps": {}}  # the least that a spec of each says


def test_captions_and_lambda_are_written_out_in_the_spec():
    made = spec.parse({"class_word": "owl", "token": "zwx", "adapter": {"weight_norm": "frobenius"}})
    assert (made.instance_prompt, made.class_prompt) == ("a zwx owl", "an owl")
    assert made.adapter.lambda_ == 0.16 and made.adapter.method == "delora"
    assert made.prompt("a {subject} in the snow") == "a zwx owl in the snow"
    assert made.prompt("a {subject} in the snow", plain=True) == "an owl in the snow"


def test_a_spec_comes_back_from_its_json(tmp_path):
    made = spec.parse({"class_word": "dog", "adapter": {"method": "lora", "rank": 4}, "sample": {"seeds": [3]}})
    (tmp_path / "spec.json").write_text(made.to_json())
    assert spec.load(tmp_path / "spec.json") == made


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"class_word": ""}, "class_word"),
        ({"class_word": "   "}, "class_word"),
        ({"adapter": {"rank": 0}}, "adapter.rank"),
        ({"adapter": {"method": "magic"}}, "adapter"),
        ({"adapter": {"method": "lora", "lambda_": 3}}, "adapter.lambda_"),
        ({"adapter": {"lambda_": 3, "lambda_max": 2}}, "adapter.lambda_"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"warmup_steps": 500}, "warmup_steps"),
        ({"colour": "red"}, "colour"),
        ({"sample": {"prompts": ["a dog"]}}, "sample.prompts"),
        ({"sample": {"steps": -1}}, "sample.steps"),
        ({"instance_prompt": "a dog"}, "instance_prompt"),
        ({"start_step": 3}, "start_step"),
        ({"mixed_precision": "fp8"}, "mixed_precision"),
    ],
)
def test_a_wrong_field_is_named(changes, field):
    with pytest.raises(BadInput) as caught:
        spec.parse({"class_word": "dog", **changes})
    assert caught.value.field == field
    assert field.rpartition(".")[2] in str(caught.value) or field == "sample.prompts"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"task": "maps", "class_word": "dog"}, "class_word"),
        ({"task": "maps", "prior_weight": 0}, "prior_weight"),
        ({"task": "maps", "sample": {"prompts": ["a {subject}"]}}, "sample.prompts"),
        ({"task": "dreambooth", "class_word": "dog", "held_out": 3}, "held_out"),
        ({"class_word": "dog", "controlnet": "embedded"}, "controlnet"),
        ({"task": "music"}, "task"),
        ({"task": ["maps"]}, "task"),
        ({"task": "maps", "protocol": "magic"}, "protocol"),
        ({"task": "maps", "held_out": 0}, "held_out"),
        ({"task": "maps", "control_scale": 3}, "control_scale"),
        ({"task": "maps", "colour": "red"}, "colour"),
    ],
)
def test_a_setting_of_another_task_and_an_unknown_task_are_refused_by_name(values, field):
    with pytest.raises(BadInput) as caught:
        spec.parse(values)
    assert caught.value.field == field and field.rpartition(".")[2] in str(caught.value) and caught.value.remedy


def test_a_spec_of_maps_comes_back_from_its_json_and_has_nothing_of_subjects(tmp_path):
    made = spec.parse({"task": "maps", "protocol": "hint-encoder", "held_out": 3, "sample": {"seeds": [1, 2]}})
    (tmp_path / "spec.json").write_text(made.to_json())
    assert spec.load(tmp_path / "spec.json") == made
    written = json.loads((tmp_path / "spec.json").read_text())
    assert not {"class_word", "token", "class_pictures"} & written.keys() and "prompts" not in written["sample"]
    assert (made.subject, made.with_prior, made.pictures_per_save) == ("", False, 6)


def test_a_spec_that_an_earlier_version_wrote_opens_as_it_was(tmp_path):
    (tmp_path / "spec.json").write_text((Path(__file__).parent / "spec-of-a-subject.json").read_text())
    opened = spec.load(tmp_path / "spec.json")
    assert type(opened) is spec.SubjectSpec
    written = json.loads((tmp_path / "spec.json").read_text())
    assert json.loads(opened.to_json()) == {**written, "save_at": []}  # a setting that came later, left out


def test_every_field_describes_itself():
    for model in (*spec.KINDS.values(), spec.SampleSpec, *SPECS.values()):
        for name, info in model.model_fields.items():
            assert name == "method" or (info.description or "").endswith((".", "shoe."))


def test_the_adapter_settings_are_those_that_the_library_reads():
    for method, kind in SPECS.items():
        assert set(kind.model_fields) - {"method", "dropout"} == set(delora.METHODS[method].options)


@pytest.mark.parametrize("case", itertools.product(TASKS, ("embedded", "sd"), METHODS, presets.EFFORTS))
def test_every_preset_is_a_spec_and_an_adapter(case):
    task, kind, method, effort = case
    made = presets.make_spec(kind, method, effort, task=task, **TASKS[task])
    config = made.adapter.to_config(made.targets)
    assert config.method == method
    assert type(made) is spec.KINDS[task] and made.steps == presets.STEPS[task, kind][effort]
    assert made.steps % made.save_every == 0, "the last save would come right after another"


def test_single_settings_change_a_preset_and_leave_the_rest():
    made = presets.make_spec("embedded", "delora", "quick", class_word="dog", adapter={"rank": 4}, sample={"steps": 9})
    assert (made.adapter.rank, made.adapter.lambda_, made.sample.steps, len(made.sample.seeds)) == (4, 4.0, 9, 4)


def test_an_unknown_preset_is_named():
    for arguments, field in ((("sdxl",), "base"), (("sd", "magic"), "adapter.method"), (("sd", "lora", "x"), "effort")):
        with pytest.raises(BadInput) as caught:
            presets.preset(*arguments)
        assert caught.value.field == field


def test_specs_and_run_folders_need_nothing_heavy():
    code = (
        "import sys; from training import spec, presets, errors, atomic; from training.runs import rundir, states;"
        "from training.subject import intake, pictures;"
        "spec.parse({'class_word': 'dog'});"
        "print(sorted({'torch', 'diffusers', 'transformers', 'gradio', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
