"""Imported adapters draw beside runs, and a LoRA file given to the page becomes one as with `delora import`."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from workshop import Workshop, until

from app import control
from app.adapters import imported
from app.orders import book, drawings, importing
from app.orders.drawings import parse_request
from app.orders.request import complete
from app.web.pages.generate import choices
from app.web.parts import drawn, importlist
from app.work import launch
from app.work.engines import Waiting, job_name
from app.work.engines.local import LocalEngine
from training.errors import BadInput, MissingModel


@pytest.fixture(scope="module")
def lora_file(tiny_base, tmp_path_factory):
    """A LoRA file with kohya's keys for the tiny base, which moves it visibly."""
    g, tensors = torch.Generator().manual_seed(1), {}
    for path, module in tiny_base.unet.named_modules():
        if isinstance(module, nn.Linear) and path.endswith(("to_q", "to_k", "to_v")):
            key, (out, in_) = f"lora_unet_{path.replace('.', '_')}", module.weight.shape
            tensors[f"{key}.lora_down.weight"] = torch.randn(2, in_, generator=g)
            tensors[f"{key}.lora_up.weight"] = torch.randn(out, 2, generator=g)
    path = tmp_path_factory.mktemp("lora") / "owl.safetensors"
    save_file(tensors, path, {"modelspec.trigger_phrase": "sks owl"})
    return path


@pytest.fixture
def data(tmp_path, lora_file, tiny_folder):
    """A data folder with the imported adapter Owl."""
    imported.import_file(lora_file, tmp_path, name="Owl", base=str(tiny_folder))
    return tmp_path


def ask(**changes):
    return parse_request({"prompt": "a {subject}", "adapter": "owl", "count": 1, "steps": 2, **changes})


def test_a_request_is_completed_from_the_adapter(data, tiny_folder):
    request = drawings.create(data, ask(adapter="Owl")).request()
    assert (request.prompt, request.adapter, request.base) == ("a sks owl", "owl", str(tiny_folder))
    assert request.total == 2 and request.run is None is request.step


@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"adapter": "cat"}, "adapter", "no imported adapter 'cat'. Choose another one"),
        ({"adapter": "../adapters/owl"}, "adapter", "no imported adapter '../adapters/owl'"),
        ({"adapter": "{file}"}, "adapter", "no imported adapter"),  # a path, which the command line would take
        ({"run": "gone"}, "run", "Choose one of them"),
        ({"base": "embedded"}, "base", "not for embedded. Leave the base model empty, or import its file again"),
    ],
)
def test_what_does_not_go_with_the_adapter_says_what_to_do(changes, field, words, data):
    file = data / "adapters" / "owl" / "adapter.safetensors"
    changes = {name: value.format(file=file) for name, value in changes.items()}
    with pytest.raises(BadInput) as caught:
        drawings.create(data, ask(**changes))
    assert caught.value.field == field and words in str(caught.value)


def test_a_missing_base_model_and_missing_words_are_told(data, tiny_folder):
    record = data / "adapters" / "owl" / "adapter.json"
    text = record.read_text()
    record.write_text(text.replace("sks owl", ""))
    with pytest.raises(BadInput, match="no words are known that call Owl. Write the words themselves"):
        drawings.create(data, ask())
    record.write_text(text.replace(str(tiny_folder), "sd15"))
    with pytest.raises(MissingModel, match="delora models get sd15"):
        drawings.create(data, ask())


def test_the_form_names_an_adapter_where_a_run_could_stand(data):
    request = complete(data, ask(strength=0.5, seed=3))
    form = choices.as_form(request)
    assert form["run"] == "adapter:owl"
    assert complete(data, parse_request(choices.from_form({**form, "size": ""}))) == request
    alone = complete(data, parse_request({"prompt": "a dog"}))
    assert complete(data, parse_request({**choices.from_form(choices.as_form(alone)), "with_base": False})) == alone
    drawing = drawings.create(data, ask(strength=0.5))
    assert "Owl (imported), strength 0.5" in drawn.facts(drawing, data)


def test_it_draws_beside_the_base_model_and_strength_0_is_the_base_model(data, tiny_base, tiny_folder):
    from app.orders.warm import Warm
    from training import sample

    warm = Warm(data)
    warm.base = tiny_base

    def pictures(**changes):
        request = complete(data, ask(**changes))
        warm.open(request)
        drawn = list(warm.pictures(request, lambda done: None))
        return {name: np.asarray(image) for name, _, image in drawn}, drawn[0][1]

    try:
        whole, facts = pictures()
        (plain,) = sample.generate(tiny_base, ["a sks owl"], [0], steps=2, strength=0.0, adapter=warm.adapter)
        assert np.array_equal(whole["base-00.png"], np.asarray(plain))
        assert np.abs(whole["adapter-00.png"].astype(int) - whole["base-00.png"]).max() > 2
        assert (facts["adapter"], facts["strength"]) == ("owl", 1.0) and "run" not in facts
        adapter = warm.adapter
        none, _ = pictures(strength=0)
        assert np.array_equal(none["adapter-00.png"], none["base-00.png"]) and warm.adapter is adapter
        alone, _ = pictures(adapter=None, prompt="a sks owl", base=str(tiny_folder))
        assert np.array_equal(alone["base-00.png"], whole["base-00.png"]) and warm.adapter is None
    finally:
        warm._take_off()


def test_a_base_model_that_was_exchanged_is_refused_with_what_to_do(data, tiny_base, tiny_folder, tmp_path):
    from app.orders.warm import Warm

    weights = tiny_base.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.weight
    warm = Warm(data)
    warm.base = tiny_base
    before = weights.detach().clone()
    try:
        weights.data.mul_(2)
        with pytest.raises(BadInput, match="made for another base model.*import the file again"):
            warm.open(complete(data, ask()))
    finally:
        weights.data.copy_(before)
        warm._take_off()


def order(data, *files, **settings):
    return importing.create(data, files, **settings)


def test_an_uploaded_file_becomes_the_adapter_that_delora_import_makes(tmp_path, data, lora_file, tiny_folder):
    other = tmp_path / "other"
    asked = order(other, lora_file, name="Owl", base=str(tiny_folder))
    made = importing.work(other, asked)
    assert (made.slug, made.name, made.trigger, made.source) == ("owl", "Owl", "sks owl", "owl.safetensors")
    mine, theirs = (load_file(folder / "adapters" / "owl" / "adapter.safetensors") for folder in (other, data))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert lora_file.is_file() and not list(asked.path.glob("*.safetensors"))  # the copy is gone, the upload stays


def test_a_name_from_outside_never_becomes_a_path(tmp_path, lora_file, tiny_folder):
    asked = order(tmp_path, lora_file, name="../../x", base=str(tiny_folder))
    assert importing.work(tmp_path, asked).slug == "x"
    nasty = lora_file.with_name(".. <b>;rm -rf ÄÖ.safetensors")
    nasty.write_bytes(lora_file.read_bytes())
    asked = order(tmp_path, nasty, base=str(tiny_folder))
    assert [path.name for path in asked.path.glob("*.safetensors")] == ["b-rm-rf-ao.safetensors"]
    assert importing.work(tmp_path, asked).slug == "b-rm-rf-ao"


def test_what_cannot_be_imported_is_told_in_the_pages_words(data, tmp_path, lora_file, tiny_folder):
    text = {"lora_te_x.lora_down.weight": torch.ones(2, 4), "lora_te_x.lora_up.weight": torch.ones(4, 2)}
    others = tmp_path / "with-text.safetensors"
    save_file({**load_file(lora_file), **text}, others)
    damaged = tmp_path / "cut.safetensors"
    damaged.write_bytes(lora_file.read_bytes()[:50])
    for file, settings, words in (
        (lora_file, {"name": "Owl"}, "already an imported adapter owl. Give it another name."),
        (lora_file, {"name": "b", "base": "embedded"}, "Choose the base model it was made for."),
        (others, {"name": "c"}, "1 text encoder layer.*tick “Leave out what cannot be used here”"),
        (damaged, {}, "^cut.safetensors: not a safetensors file, or cut off"),
    ):
        asked = order(data, file, **{"base": str(tiny_folder), **settings})
        with pytest.raises(BadInput, match=words) as caught:
            importing.work(data, asked)
        assert "--" not in str(caught.value) and not list(asked.path.glob("*.safetensors"))
    assert [path.name for path in (data / "adapters").iterdir()] == ["owl"]
    assert importing.work(data, order(data, others, base=str(tiny_folder), ignore_others=True)).left_out


def test_other_files_and_too_large_ones_are_refused_at_once(tmp_path, lora_file, monkeypatch):
    settings = tmp_path / "adapter_config.json"
    settings.write_text("{}")
    picture = tmp_path / "x.png"
    picture.touch()
    for files in ((), (picture,), (lora_file, lora_file), (lora_file, picture), (settings,)):
        with pytest.raises(BadInput, match="Give one .safetensors file"):
            order(tmp_path, *files)
    assert (order(tmp_path, lora_file, settings).path / "adapter_config.json").is_file()  # as PEFT's files lie
    with pytest.raises(BadInput, match="name: .*at most 80 characters"):
        order(tmp_path, lora_file, name="x" * 101)
    monkeypatch.setattr(importing, "LARGEST_FILE_MB", 0.001)
    with pytest.raises(BadInput, match="owl.safetensors is .* MB; LoRA files up to 0.001 MB are read"):
        order(tmp_path, lora_file)
    assert len(book.all_orders(tmp_path)) == 1


def test_pressing_import_twice_imports_once(tmp_path, lora_file):
    engine = LocalEngine(tmp_path)
    first, second = (control.import_lora(tmp_path, [lora_file], engine, name="Owl") for _ in range(2))
    assert first.id == second.id and engine.poll() == {job_name(first.id, 1): Waiting(0)}


@pytest.mark.slow
def test_the_drawing_process_imports_and_then_draws(tmp_path, lora_file, tiny_folder):
    workshop = Workshop(tmp_path)
    try:
        workshop.start_worker("studio")
        asked = control.import_lora(tmp_path, [lora_file], workshop.engine, base=str(tiny_folder))
        until(lambda: asked.state().ended, workshop.said)
        assert (asked.state().name, asked.state().made) == ("done", "owl"), asked.state()
        assert 'href="generate?adapter=owl"' in importlist.standing(asked)
        drawing = control.draw(tmp_path, ask(), workshop.engine)
        failed = control.import_lora(tmp_path, [lora_file], workshop.engine, base=str(tiny_folder))
        until(lambda: drawing.state().ended and failed.state().ended, workshop.said)
        assert drawing.state().name == "done", drawing.state()
        pictures = [np.asarray(Image.open(path), int) for path in (*drawing.pictures(), *drawing.base_pictures())]
        assert len(pictures) == 2 and np.abs(pictures[0] - pictures[1]).max() > 2
        assert 'role="alert"' in importlist.standing(failed) and "Give it another name." in failed.state().remedy
    finally:
        workshop.close()


def test_asking_for_an_import_imports_nothing_heavy(tmp_path, lora_file):
    code = (
        "import sys; from pathlib import Path; from app import control\n"
        f"control.import_lora(Path({str(tmp_path)!r}), [Path({str(lora_file)!r})])\n"
        "print(sorted(sys.modules.keys() & {'torch', 'diffusers', 'transformers', 'gradio'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=launch.environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
