"""`delora import`: a LoRA file from elsewhere is kept as an adapter, listed, drawn with and combined with others."""

import hashlib
import json
import shutil

import madeloras
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from app.adapters import imported, sources
from app.cli import cli
from app.orders.request import complete, parse_request
from training.errors import BadInput


def delora(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def lora_file(tiny_base, tmp_path_factory):
    """lora_file(name, seed, **more): a LoRA file with kohya keys for the tiny base, its alphas all different."""
    folder = tmp_path_factory.mktemp("loras")

    def write(name, seed, metadata=None, extra=None):
        g, tensors = torch.Generator().manual_seed(seed), dict(extra or {})
        for i, (path, module) in enumerate(tiny_base.unet.named_modules()):
            if isinstance(module, nn.Linear) and path.endswith(("to_q", "to_k", "to_v")):
                key, (out, in_) = f"lora_unet_{path.replace('.', '_')}", module.weight.shape
                tensors[f"{key}.lora_down.weight"] = torch.randn(2, in_, generator=g)
                tensors[f"{key}.lora_up.weight"] = torch.randn(out, 2, generator=g)
                tensors[f"{key}.alpha"] = torch.tensor(0.5 + i % 3)
        save_file(tensors, folder / name, metadata)
        return folder / name

    return write


@pytest.fixture(scope="module")
def data(lora_file, tiny_folder, tmp_path_factory):
    """A data folder with two imported adapters, cat-style and owl."""
    data = tmp_path_factory.mktemp("data")
    for file, options in (
        (lora_file("a.safetensors", 1), ["--name", "Cat style", "--trigger", "zwx cat"]),
        (lora_file("owl.safetensors", 2, {"modelspec.trigger_phrase": "sks owl"}), []),
    ):
        result = delora("import", file, *options, "--base", tiny_folder, "--data", data)
        assert result.exit_code == 0, (result.output, result.exception)
    return data


def drawn(data, tmp_path, *options):
    result = delora(
        "generate", "a dog", *options, "--count", 1, "--steps", 2, "--json", "--data", data, "--out", tmp_path
    )
    assert result.exit_code == 0, (result.output, result.exception)
    return np.asarray(Image.open(json.loads(result.stdout)["pictures"][0]))


def test_what_is_imported_is_listed_with_where_it_came_from(data, lora_file, tiny_folder):
    listed = json.loads(delora("import", "--list", "--json", "--data", data).stdout)["adapters"]
    assert [(a["slug"], a["name"], a["trigger"]) for a in listed] == [
        ("cat-style", "Cat style", "zwx cat"),
        ("owl", "owl", "sks owl"),
    ]
    assert listed[1]["source"] == "owl.safetensors" and listed[1]["base"] == str(tiny_folder)
    content = lora_file("owl.safetensors", 2, {"modelspec.trigger_phrase": "sks owl"}).read_bytes()
    assert listed[1]["sha256"] == hashlib.sha256(content).hexdigest()
    words = delora("import", "--list", "--data", data).stdout
    assert "Cat style" in words and "lora, rank 2" in words
    assert {p.name for p in (data / "adapters" / "owl").iterdir()} == {"adapter.safetensors", "adapter.json"}


def test_generate_draws_with_an_imported_adapter_by_name(data, tmp_path):
    from evaluation.pictures import read_facts

    base = drawn(data, tmp_path, "--base", sources.of_adapter(data, "owl").base)
    owl = drawn(data, tmp_path, "--adapter", "owl")
    assert not np.array_equal(base, owl)
    assert np.array_equal(drawn(data, tmp_path, "--adapter", data / "adapters" / "owl" / "adapter.safetensors"), owl)
    assert np.array_equal(drawn(data, tmp_path, "--adapter", "owl", "--strength", 0), base)
    result = delora("generate", "a {subject}", "--adapter", "Cat style", "--count", 1, "--steps", 1, "--json",
                    "--data", data, "--out", tmp_path)  # fmt: skip
    (path,) = json.loads(result.stdout)["pictures"]
    facts = read_facts(tmp_path / path)
    assert facts["prompt"] == "a zwx cat" and facts["adapter"] == "cat-style"


def test_several_adapters_each_at_its_own_strength(data, tmp_path, tiny_base):
    """As the base model with both displacements added to its weights."""
    import copy

    import delora as library
    from evaluation.pictures import read_facts
    from training import sample

    owl, cat = drawn(data, tmp_path, "--adapter", "owl"), drawn(data, tmp_path, "--adapter", "cat-style")
    assert np.array_equal(drawn(data, tmp_path, "--adapter", "cat-style", "--strength", 0, "--also", "owl"), owl)
    assert np.array_equal(drawn(data, tmp_path, "--adapter", "cat-style", "--also", "owl:0"), cat)
    assert np.array_equal(drawn(data, tmp_path, "--also", "owl"), owl)
    out = tmp_path / "both"
    both = drawn(data, out, "--adapter", "cat-style", "--strength", 0.7, "--also", "owl:0.4")
    twin = copy.copy(tiny_base)
    twin.unet = copy.deepcopy(tiny_base.unet)
    adapters = [library.load(twin.unet, data / "adapters" / n / "adapter.safetensors", n) for n in ("cat-style", "owl")]
    adapters[0].strength, adapters[1].strength = 0.7, 0.4
    library.merge(adapters)
    (picture,) = sample.generate(twin, ["a dog"], [0], steps=2)
    assert np.abs(np.asarray(picture).astype(int) - both.astype(int)).max() <= 1
    facts = read_facts(next(out.iterdir()))
    assert facts["also"] == [{"adapter": "owl", "strength": 0.4}] and facts["strength"] == 0.7


def test_an_adapter_draws_on_a_finetune_of_its_base_when_told_to(data, tiny_folder, tmp_path):
    from evaluation.pictures import read_facts

    other = finetune(tiny_folder, tmp_path / "finetune")
    refused(
        delora("generate", "a dog", "--adapter", "owl", "--base", other, "--data", data, "--out", tmp_path),
        "made for another base model",
        "--other-base",
    )
    with pytest.raises(BadInput, match="was made for"):
        complete(data, parse_request({"prompt": "a dog", "adapter": "owl", "base": str(other)}))
    given = {"prompt": "a dog", "adapter": "owl", "base": str(other), "other_base": True}
    assert complete(data, parse_request(given)).base == str(other)
    base = drawn(data, tmp_path / "base", "--base", other)
    found = drawn(data, tmp_path / "owl", "--adapter", "owl", "--base", other, "--other-base")
    assert not np.array_equal(found, base)
    facts = read_facts(next((tmp_path / "owl").iterdir()))
    assert facts["made_for"] == str(tiny_folder) and facts["base"] == "finetune"
    assert "made_for" not in read_facts(next((tmp_path / "base").iterdir()))
    accepted = ("generate", "a dog", "--adapter", "owl", "--other-base", "--data", data, "--out", tmp_path)
    refused(
        delora(*accepted, "--base", "embedded"),
        "the shape is",
        f"Choose a base model that is a finetune of {tiny_folder}",
    )


def finetune(folder, path):
    """The model with its UNet's weights moved by a tenth."""
    from safetensors.torch import load_file

    shutil.copytree(folder, path)
    file = path / "unet" / "diffusion_pytorch_model.safetensors"
    g = torch.Generator().manual_seed(0)
    moved = {key: t * (1 + 0.1 * torch.randn(t.shape, generator=g)) for key, t in load_file(file).items()}
    save_file(moved, file, {"format": "pt"})
    return path


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("--seed", 2**64 - 1, "seed: 18446744073709551615 cannot be used. It must be less than 4294967296."),
        ("--strength", "nan", "strength: "),
        ("--guidance", 1e9, "guidance: "),
        ("--size", 10**6, "size: "),
        ("--negative", "x" * 3000, "negative: "),
    ],
)
def test_the_command_has_the_limits_of_the_page(option, value, words, data, tmp_path):
    refused(delora("generate", "a dog", option, value, "--data", data, "--out", tmp_path), words)
    given = {"prompt": "a dog", option.removeprefix("--"): value}
    with pytest.raises(BadInput, match=words.split(" ")[0]):
        parse_request(given)
    assert not list(tmp_path.iterdir())


def test_a_prompt_that_is_cut_off_is_said_when_drawing(data, tiny_folder, tmp_path):
    options = ["--base", tiny_folder, "--count", 1, "--steps", 1, "--data", data, "--out", tmp_path]
    said = delora("generate", "a dog " + "in the snow " * 12, "--negative", "a cat " * 40, *options).stderr
    assert "Note: The prompt 'a dog in the snow" in said and "Note: The prompt 'a cat a cat" in said
    assert "cut off" not in delora("generate", "a dog", *options).stderr


def refused(result, *words, code=2):
    assert result.exit_code == code, (result.output, result.exception)
    for word in words:
        assert word in result.stderr, result.stderr


def test_what_cannot_be_imported_says_why_and_leaves_nothing(data, lora_file, tiny_folder, tmp_path):
    refused(delora("import", "--data", data), "No file was given")
    refused(delora("import", tmp_path / "no.safetensors", "--data", data), "there is no such file")
    refused(delora("import", lora_file("b.safetensors", 3), "--name", "OWL", "--base", tiny_folder, "--data", data),
            "already an imported adapter owl", "--name")  # fmt: skip
    refused(delora("import", lora_file("b.safetensors", 3), "--base", "embedded", "--data", data), "--base")
    refused(delora("import", lora_file("b.safetensors", 3), "--data", data), "delora models get sd15", code=3)
    text = {"lora_te_x.lora_down.weight": torch.ones(2, 4), "lora_te_x.lora_up.weight": torch.ones(4, 2)}
    file = lora_file("c.safetensors", 3, extra=text)
    refused(delora("import", file, "--base", tiny_folder, "--data", data), "1 text encoder layer", "--ignore-others")
    assert {p.name for p in (data / "adapters").iterdir()} == {"cat-style", "owl"}
    result = delora("import", file, "--base", tiny_folder, "--data", data, "--ignore-others", "--json")
    assert json.loads(result.stdout)["left_out"] == "1 text encoder layer"


def test_sources_say_what_they_did_not_find(data):
    for find, words in (
        (lambda: sources.of_adapter(data, "cat"), "no imported adapter and no file 'cat'"),
        (lambda: sources.find(data, "cat"), "no run, no imported adapter and no file 'cat'"),
        (lambda: sources.with_strength("owl:inf"), "owl:inf: its strength"),
    ):
        with pytest.raises(BadInput, match=words):
            find()
    assert sources.with_strength("C:/loras/owl.safetensors") == ("C:/loras/owl.safetensors", 1.0)
    assert sources.with_strength("owl:-0.5") == ("owl", -0.5)


def test_a_damaged_record_is_passed_over(data, tmp_path):
    folder = tmp_path / "adapters" / "x"
    folder.mkdir(parents=True)
    (folder / "adapter.json").write_text('{"name": "x"}')
    assert imported.list_imported(tmp_path) == []
    assert imported.list_imported(tmp_path / "none") == []


def test_an_imported_adapter_is_renamed_and_deleted_and_its_slug_stays(data, lora_file, tiny_folder, tmp_path):
    own = tmp_path / "data"
    for seed, name in enumerate(("Old", "Other")):
        delora("import", lora_file(f"{name}.safetensors", seed), "--name", name, "--base", tiny_folder, "--data", own)
    result = delora("import", "--rename", "old", "  A  new name ", "--data", own)
    assert result.exit_code == 0 and "A new name" in result.stdout, (result.output, result.exception)
    known = imported.find(own, "a new name")
    assert (known.slug, known.name) == ("old", "A new name") and imported.find(own, "old") == known
    for ref, name, told in (("old", "OTHER", "already"), ("old", " ", "1 to 80"), ("nobody", "X", "no imported")):
        with pytest.raises(BadInput, match=told):
            imported.rename(own, ref, name)
    assert delora("import", "--remove", "A new name", "--data", own).exit_code == 0
    assert [a.slug for a in imported.list_imported(own)] == ["other"]
    assert sorted(path.name for path in imported.folder(own).iterdir()) == ["other"]
    assert delora("import", "--remove", "old", "--data", own).exit_code == 2


# Made files of other programs, one a kind


@pytest.fixture(scope="module")
def made_data(tmp_path_factory):
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def sd15_unet(sd15_folder):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(sd15_folder / "unet")


@pytest.mark.parametrize("name", madeloras.TABLE)
def test_the_command_takes_or_refuses_each_made_file(name, made_data, sd15_folder, sd15_unet, tmp_path):
    made = madeloras.TABLE[name]
    file = made.write(tmp_path / "made", sd15_unet)
    options = ["--name", name, "--base", sd15_folder, "--data", made_data, "--json"]
    result = delora("import", file, *options)
    if made.refused:
        return refused(result, made.refused)
    if made.left_out:
        refused(result, f"besides 5 layers of the UNet it holds {made.left_out}", "--ignore-others")
        assert ("transformers 5.24" in result.stderr) == ("text encoder" in made.left_out)
        result = delora("import", file, *options, "--ignore-others")
    assert result.exit_code == 0, (result.output, result.exception)
    record = json.loads(result.stdout)
    assert (record["layers"], record["rank"], record["left_out"]) == (
        len(madeloras.PATHS),
        madeloras.RANK,
        made.left_out,
    )
    assert record["method"] == {None: "lora", 0: "dora", 1: "dora-columns"}[made.axis]


def test_names_of_every_script_stay_apart(lora_file, tiny_folder, tmp_path):
    title = {"modelspec.title": "Мой кот " * 45, "modelspec.trigger_phrase": "кот " * 90}
    for i, name in enumerate(("柴犬", "कुत्ता", "🦊", "🦊🦊", "")):
        file = lora_file(f"{i}.safetensors", i, None if name else title)
        result = delora("import", file, "--name", name, "--base", tiny_folder, "--data", tmp_path, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        record = json.loads(result.stdout)
        assert record["name"] == (name or ("Мой кот " * 45)[:80].strip()) and len(record["trigger"]) <= 200
        assert sources.of_adapter(tmp_path, name or record["name"]).name == record["slug"]
    assert len(imported.list_imported(tmp_path)) == 5
    file = lora_file("long.safetensors", 1)
    for option, words in (("--name", "A name has 1 to 80 letters"), ("--trigger", "more than 200 letters")):
        refused(delora("import", file, option, "x" * 360, "--base", tiny_folder, "--data", tmp_path), words)
