"""Every method's run ends with files that other programs can load; exports of several adapters are their sum."""

import base64
import io
import json

import numpy as np
import pytest
import tinypipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

from app.adapters import exporting
from app.adapters.exporting import export_run, file_name
from app.adapters.formats import about, exact_formats, formats_of_a_run, main_file
from app.adapters.saves import open_base, open_save
from app.cli import cli
from training import loop, sample
from training.adapterspec import METHODS
from training.spec import parse


def delora(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def trained(data, folder, base, method="delora", **changes):
    """A run whose steps are made, without scores and exports."""
    spec = {"adapter": {"method": method}, "steps": 2, "save_every": 2, "class_pictures": 0, **changes}
    run = tinypipeline.run(data, folder, **spec)
    assert loop.train(run, base) == "done"
    return run


@pytest.fixture(scope="module")
def base(tiny_folder, tmp_path_factory):
    return open_base(str(tiny_folder), tmp_path_factory.mktemp("none"), "no")


@pytest.mark.parametrize(
    "method, kinds",
    {
        "lora": ["native", "kohya", "diffusers"],
        "dora": ["native", "comfyui", "diffusers"],
        "dora-fixed": ["native", "comfyui", "diffusers"],
        "oft": ["native", "comfyui"],
        "full": ["native"],
    }.items(),
)
def test_a_run_of_every_kind_of_method_ends_with_its_files(method, kinds, tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base, method, learning_rate=1e-3)
    record = export_run(run, base, tmp_path)
    assert [file["kind"] for file in record["files"]] == kinds == list(formats_of_a_run(method))
    for file in record["files"]:
        assert (file["check"] is not None) == (file["kind"] in ("kohya", "diffusers"))
        if file["check"]:
            assert file["check"]["unet_difference"] <= 5e-6
    assert main_file(record["files"])["kind"] == {"lora": "kohya", "full": "native"}.get(method, "comfyui")
    names = {path.name for path in exporting.finished_files(run)}
    assert names == {file["name"] for file in record["files"]} | ({"subject.json"} if method == "lora" else set())


@pytest.mark.parametrize("method", METHODS)
def test_the_exact_formats_are_those_that_the_library_can_write(method, tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base, method, learning_rate=1e-4)
    for kind in ("kohya", "diffusers", "comfyui", "peft"):
        adapter = open_save(run, base, 2)
        try:
            exporting.export(run, base, [adapter], 2, kind, tmp_path / kind)
            written = True
        except exporting.BadInput as error:
            written = False
            assert "full rank" in str(error)
        finally:
            adapter.detach()
        assert written == (kind in exact_formats(method)), kind


def test_automatic1111_finds_the_words_beside_the_kohya_file(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)
    export_run(run, base, tmp_path)
    known = json.loads((run.path / "adapter" / "subject.json").read_text())
    assert known["activation text"] == "sks dog" and known["preferred weight"] == 1.0
    assert set(known) == {"description", "sd version", "activation text", "preferred weight", "notes"}


def test_automatic1111_shows_the_words_and_the_picture_in_the_header(tmp_path, tiny_folder, base):
    """As its code reads them: a JSON object of folders of words, and a JSON list of pictures in base64."""
    run = trained(tmp_path, tiny_folder, base)
    picture = run.samples_folder(2)
    picture.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (600, 400), "red").save(picture / "00-00000.png")
    export_run(run, base, tmp_path)
    with safe_open(run.path / "adapter" / "subject.safetensors", "pt") as file:
        head = file.metadata()
    assert [list(words) for words in json.loads(head["ss_tag_frequency"]).values()] == [["sks dog"]]
    (cover,) = json.loads(head["ssmd_cover_images"])
    shown = Image.open(io.BytesIO(base64.b64decode(cover, validate=True)))
    assert shown.format == "JPEG" and max(shown.size) == 256
    assert head["modelspec.thumbnail"] == f"data:image/jpeg;base64,{cover}"


@pytest.mark.parametrize(
    "method, targets, kind, said, unsaid",
    [
        ("dora", None, "comfyui", "exact at every strength", "strength 1"),
        ("dora", None, "diffusers", "at strength 1 alone", "every strength"),
        ("full", None, "comfyui", "AUTOMATIC1111 and InvokeAI read it", "merged"),
        ("full", ("*",), "comfyui", "take the merged model", "AUTOMATIC1111 and InvokeAI read it"),
        ("oft", None, "comfyui", "AUTOMATIC1111 and InvokeAI read it", "merged"),
    ],
)
def test_what_a_format_is_good_for_is_said(method, targets, kind, said, unsaid):
    spec = parse({"class_word": "dog", "adapter": {"method": method}} | ({"targets": targets} if targets else {}))
    assert said in about(spec, kind) and unsaid not in about(spec, kind)
    assert about(parse({"class_word": "dog"}), kind) == ""


@pytest.fixture(scope="module")
def two(tmp_path_factory, tiny_folder, base):
    """A data folder with two trained runs."""
    data = tmp_path_factory.mktemp("data")
    return data, [trained(data, tiny_folder, base, name=name, seed=seed) for seed, name in enumerate(("One", "Two"))]


def test_several_adapters_in_one_file_draw_as_they_do_together(two, tmp_path, base):
    data, (one, other) = two
    options = ["--strength", 0.8, "--merge-with", f"{other.id}:0.5", "--json", "--data", data]
    result = delora("export", one.id, *options)
    assert result.exit_code == 0, (result.output, result.exception)
    document = json.loads(result.stdout)
    path = one.path / "adapter" / "one-at-0.8-with-two.safetensors"
    assert document["path"] == str(path)
    assert document["load_back"]["unet_difference"] <= 5e-6
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["also"]) == [{"run": other.id, "step": 2, "strength": 0.5}]
    ranks = {t.shape[0] for key, t in load_file(path).items() if key.endswith("lora_down.weight")}
    assert max(ranks) == 16  # two frozen-copy DeLoRAs of rank 4: 8 + 8, where the layer is wide enough

    common = ["--count", 1, "--steps", 2, "--json", "--data", data, "--out", tmp_path]
    drawn = json.loads(delora("generate", "a dog", "--run", one.id, "--strength", 0.8, "--also", f"{other.id}:0.5",
                              *common).stdout)  # fmt: skip
    result = delora("import", path, "--name", "sum", "--base", one.spec.base, "--data", data)
    assert result.exit_code == 0, (result.output, result.exception)
    again = json.loads(delora("generate", "a dog", "--adapter", "sum", *common).stdout)
    pictures = [np.asarray(Image.open(made["pictures"][0])).astype(int) for made in (drawn, again)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_merged_model_of_two_is_the_sum(two, tmp_path, base):
    data, (one, other) = two
    out = tmp_path / "model"
    result = delora("export", one.id, "--format", "merged", "--out", out, "--merge-with", f"{other.id}:0.5",
                    "--dtype", "float32", "--data", data)  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    adapters = [open_save(one, base, 2), open_save(other, base, 2, "also")]
    adapters[1].strength = 0.5
    (wanted,) = sample.generate(base, ["a dog"], [0], steps=2)
    for adapter in adapters:
        adapter.detach()
    (found,) = sample.generate(open_base(str(out), data, "no"), ["a dog"], [0], steps=2)
    assert np.abs(np.asarray(found).astype(int) - np.asarray(wanted).astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["native", "peft"])
def test_a_format_for_one_adapter_refuses_a_second_and_a_strength(kind, two):
    data, (one, other) = two
    for options in (["--merge-with", other.id], ["--strength", 0.5]):
        result = delora("export", one.id, "--format", kind, *options, "--data", data)
        assert result.exit_code == 2 and "holds one adapter, at strength 1" in result.stderr


@pytest.mark.parametrize("options", [["--strength", "nan"], ["--strength", "11"], ["--merge-with", "x:inf"]])
def test_a_strength_that_is_none_is_refused_in_words(options, two):
    data, (one, _) = two
    result = delora("export", one.id, *options, "--data", data)
    assert result.exit_code == 2 and "must be a number from -10 to 10" in result.stderr


def test_an_approximate_file_says_so_and_takes_no_other_files_name(two, base):
    data, (one, _) = two
    result = delora("export", one.id, "--compact", 2, "--json", "--data", data)
    assert result.exit_code == 0, (result.output, result.exception)
    document = json.loads(result.stdout)
    assert document["path"].endswith("one-rank-2.safetensors") and document["relative_error"] > 1e-3
    with safe_open(document["path"], "pt") as file:
        assert file.metadata()["delora.approximate"].startswith("rank 2 by SVD")
    assert "same picture" not in delora("export", one.id, "--compact", 2, "--data", data).stdout
    assert file_name(one, "kohya") == "one.safetensors"
    result = delora("export", one.id, "--compact", 2, "--format", "comfyui", "--data", data)
    assert result.exit_code == 2 and "always exact" in result.stderr


def test_without_a_format_a_dora_becomes_a_file_for_comfyui(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base, "dora", learning_rate=1e-3)
    result = delora("export", run.id, "--data", tmp_path)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "subject-comfyui.safetensors" in result.stdout and "exact at every strength" in result.stdout
    refused = delora("export", run.id, "--format", "kohya", "--data", tmp_path)
    assert refused.exit_code == 2 and "file for ComfyUI" in refused.stderr
