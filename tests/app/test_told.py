"""What cannot be read is told where a person looks for it, with a way out; the rest of the list is there."""

import json
import re

import handmade
import pytest
import tinymodels
from typer.testing import CliRunner

import assets
from app.adapters import imported, saves
from app.cli import cli
from app.computer import damaged
from app.computer.doctor import examine
from app.orders import drawings
from app.orders.request import parse_request
from app.web.parts import cards, drawn, importlist, machine, summaries
from app.web.parts.run import broken, formats, header, scores
from app.web.reading.follow import view
from evaluation.scorebook import VERSION
from training.base import catalog, hub, models
from training.errors import BadInput
from training.runs.run import Run


def delora(*args, data):
    return CliRunner().invoke(cli, [*args, "--data", str(data)])


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def folder(tmp_path):
    """A model folder as far as it is looked at before it is loaded."""
    path = tinymodels.config(tmp_path / "model")
    index = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index |= {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    (path / "model_index.json").write_text(json.dumps(index))
    for part in ("unet", "vae"):
        (path / part / "diffusion_pytorch_model.safetensors").touch()
    (path / "text_encoder" / "model.safetensors").touch()
    return path


def without(path, name):
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))


BAD_MODELS = {
    "no sample_size": (lambda path: without(path / "unet/config.json", "sample_size"), "unet does not say sample_size"),
    "a list": (lambda path: change(path / "unet/config.json", sample_size=[64, 64]), "unet says of sample_size what"),
    "no blocks": (lambda path: change(path / "vae/config.json", block_out_channels=[]), "vae says of block_out"),
    "a thousand million layers": (lambda path: change(path / "unet/config.json", layers_per_block=10**9), "layers_per"),
    "uneven": (lambda path: change(path / "unet/config.json", layers_per_block=[2, 2]), "do not make sense together"),
    "positions": (lambda path: without(path / "text_encoder/config.json", "hidden_size"), "text of width 32"),
    "other index": (lambda path: change(path / "model_index.json", unet=5), "a unet of the kind None"),
}


@pytest.mark.parametrize("how", BAD_MODELS)
def test_a_model_folder_that_makes_no_sense_is_refused_and_stops_no_list(tmp_path, folder, how):
    assert hub.add(folder, tmp_path, "whole") == "whole"
    spoil, words = BAD_MODELS[how]
    spoil(folder)
    with pytest.raises(BadInput, match=re.escape(words)):
        hub.add(folder, tmp_path, "again")
    (mine,) = [model for model in models.installed(tmp_path) if model.name == "whole"]
    assert words in mine.problem
    listed = delora("models", "list", data=tmp_path)
    assert listed.exit_code == 0 and words in listed.output and "embedded" in listed.output
    assert any(words in finding.words for finding in examine(tmp_path))
    html = machine.model_list(machine.model_rows(tmp_path))
    assert words in html and "Take off the list" in html


def test_a_damaged_list_of_added_models_is_a_row_and_is_not_overwritten(tmp_path, folder):
    hub.add(folder, tmp_path, "mine")
    path = catalog.added_file(tmp_path)
    path.write_text('["mine"]')
    assert "Put it aside" in machine.model_list(machine.model_rows(tmp_path))
    assert "added.json is damaged" in delora("models", "list", data=tmp_path).output
    assert hub.add(folder, tmp_path, "other") == "other" and catalog.added(tmp_path) == {"other": str(folder)}
    (kept,) = path.parent.glob("added.json.damaged-*")
    assert kept.read_text() == '["mine"]'


def test_the_damaged_list_can_be_put_aside(tmp_path):
    path = catalog.added_file(tmp_path)
    path.parent.mkdir()
    path.mkdir()
    assert "put aside" in hub.remove("added.json", tmp_path)
    assert catalog.added_fault(tmp_path) is None and catalog.added(tmp_path) == {}


NEEDLESS = {
    "name.txt": b"\xff\xfe",
    "scores.json": b"[]",
    "adapter/export.json": b'{"step": 8, "trigger": "x", "files": [{"kind": "kohya", "name": "../../spec.json"}]}',
    "adapter/made.json": b'{"files": 5}',
}


@pytest.mark.parametrize("file", NEEDLESS)
def test_a_run_goes_on_without_what_it_does_not_need(tmp_path, file):
    run = handmade.finished(tmp_path)
    (run.path / file).write_bytes(NEEDLESS[file])
    shown = view(run)
    (fault,) = shown.faults
    assert fault.file == file and file.rpartition("/")[2] in fault.words
    html = broken.section(shown)
    assert file in html and 'data-act="aside"' in html and str(run.path) not in html
    assert "Biscuit" in header.block(shown) + shown.name and formats.section(shown, tmp_path)
    listed = json.loads(delora("runs", "list", "--json", data=tmp_path).stdout)["runs"]
    assert [r["faults"] for r in listed] == [[fault.words]]
    assert fault.words in delora("runs", "show", run.id, data=tmp_path).output
    assert delora("runs", "report", run.id, data=tmp_path).exit_code == 0
    damaged.put_aside(run, file)
    assert damaged.partly(run) == [] and view(run).faults == ()
    (kept,) = (run.path / file).parent.glob("*.damaged-*")
    assert kept.read_bytes() == NEEDLESS[file]


def test_only_what_cannot_be_read_can_be_put_aside(tmp_path):
    run = handmade.finished(tmp_path)
    for file in ("scores.json", "spec.json", "../other/spec.json", "events.jsonl"):
        with pytest.raises(BadInput):
            damaged.put_aside(run, file)
    with pytest.raises(BadInput):
        damaged.content(run, "../../secret")


def test_a_save_is_drawn_with_though_the_scores_cannot_be_read(tmp_path):
    run = handmade.finished(tmp_path)
    assert saves.best_save(run) == (8, "recommended")
    (run.path / "scores.json").write_text(f'{{"version": {VERSION}, "recommendation": null, "saves": {{}}}}')
    assert saves.best_save(run) == (16, "newest")
    assert "scores cannot be read" in scores.section(view(run))
    (run.path / "scores.json").write_text("5")
    assert saves.best_save(run) == (16, "newest; its scores cannot be read")


def test_times_out_of_all_bounds_are_damage(tmp_path):
    run, other = handmade.finished(tmp_path), handmade.finished(tmp_path, "Rex")
    change(run.path / "state.json", updated=1e300)
    found = {card.id: card for card in summaries.summaries(tmp_path)}
    assert found[run.id].state == "damaged" and "out of all bounds" in found[run.id].warning
    assert found[other.id].state == "done" and cards.grid(cards.page(list(found.values())))


def test_a_damaged_import_is_a_row_that_can_be_deleted(tmp_path):
    handmade.imported(tmp_path, "Owl")
    handmade.imported(tmp_path, "Cat")
    change(tmp_path / "adapters/cat/adapter.json", name=5)
    (tmp_path / "adapters" / "empty").mkdir()
    assert [a.slug for a in imported.list_imported(tmp_path)] == ["owl"]
    told = importlist.listing(imported.list_imported(tmp_path), imported.list_unreadable(tmp_path))
    assert "what it says of name cannot be" in told and "adapter.json is missing" in told
    listed = delora("import", "--list", data=tmp_path)
    assert listed.exit_code == 0 and "owl" in listed.output and "cat cannot be used." in listed.output
    for slug in ("cat", "empty"):
        imported.remove(tmp_path, slug)
    assert imported.list_unreadable(tmp_path) == [] and len(imported.list_imported(tmp_path)) == 1


@pytest.mark.parametrize("file", ["request.json", "state.json"])
def test_a_damaged_drawing_is_shown_as_such_and_can_be_deleted(tmp_path, file):
    run = handmade.finished(tmp_path)
    whole, bad = (drawings.create(tmp_path, parse_request({"prompt": "a dog", "run": run.id})) for _ in range(2))
    (whole.path / "adapter-00.png").write_bytes(handmade.PNG)
    change(bad.path / file, count=[], total=[])
    fault = bad.fault()
    assert file in fault and whole.fault() == ""
    assert fault in drawn.damaged(bad, fault)[2] and 'data-act="discard"' in drawn.damaged(bad, fault)[2]
    assert ("Damaged" in drawn.history(drawings.list_drawings(tmp_path), "")) == (file == "request.json")
    bad.delete()
    assert [drawing.id for drawing in drawings.list_drawings(tmp_path)] == [whole.id]


def test_the_shipped_configs_have_the_shape_that_is_asked_for():
    assert models.describe("embedded", assets.path()).embedded


def test_events_of_wrong_types_are_passed_over(tmp_path):
    run = handmade.finished(tmp_path)
    before = len(run.events())
    handmade.events(
        run,
        {"kind": "step", "step": "5", "seconds": 1},
        {"kind": "step", "step": 5, "seconds": [1]},
        {"kind": "geometry", "step": 5, "layers": {"x": {"distance": 1}}},
        {"kind": "geometry", "step": 5, "layers": [1]},
        {"kind": "resume"},
        {"kind": ["step"]},
        {"kind": "phase", "phase": None},
        {"kind": "step", "step": 5, "time": 1e300},
        {"kind": "step", "step": 5, "time": None},
        {"kind": "attempt", "number": 2, "phase": []},
    )
    with (run.path / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "step", "step": 1e999}\n' + b"[" * 100_000 + b"\n")
    assert len(run.events()) == before and Run(run.path).history("step")
