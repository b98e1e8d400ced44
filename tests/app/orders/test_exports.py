"""Formats made on demand: ordered once, made by the drawing process, and downloadable only when they are finished."""

import json
import subprocess
import sys
import threading
import zipfile

import handmade
import numpy as np
import pytest
import tinypipeline
from fastapi.testclient import TestClient
from safetensors import safe_open
from safetensors.torch import load_file
from workshop import Workshop, until

from app import control, words
from app.adapters import exporting
from app.adapters.saves import open_base, open_save
from app.computer import doctor
from app.orders import book, exports, making
from app.web import ui
from app.web.parts.run import formats
from app.web.reading import follow
from app.web.studio import Studio
from app.work import devices, launch
from app.work.engines import Waiting, job_name
from app.work.engines.local import LocalEngine
from training import loop, sample
from training.errors import BadInput, DiskFull, MissingModel, Stopped, StudioError


@pytest.fixture(scope="module")
def base(tiny_folder, tmp_path_factory):
    return open_base(str(tiny_folder), tmp_path_factory.mktemp("none"), "no")


def trained(data, folder, base, method="delora", state="stopped", steps=2):
    """A run with a save at every second step and no file yet."""
    run = tinypipeline.run(data, folder, adapter={"method": method}, steps=steps, save_every=2, class_pictures=0)
    loop.train(run, base)
    return handmade.put(run, state)


def made(run, kind, step=None):
    """The order of a format of a save, after it was worked off in this process: the file, and what is listed of it."""
    data = run.path.parent.parent
    order = exports.create(data, run, kind, step)
    order.set_state("writing")
    making.make(data, order.request(), lambda words: None)
    order.set_state("done")
    wanted = kind, order.request().step
    (file,) = [file for file in making.read(run.path / "adapter") if (file["kind"], file["step"]) == wanted]
    return run.path / "adapter" / file["name"], file


def shown(run, step=None):
    """The section on the run's page, with a save chosen."""
    return formats.section(follow.view(run), run.path.parent.parent, step)


def header(path):
    """The text in a file's header."""
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_pressing_twice_makes_one_order_and_one_job(tmp_path):
    run, engine = handmade.finished(tmp_path), LocalEngine(tmp_path)
    pressed = []
    threads = [
        threading.Thread(target=lambda: pressed.append(control.export(tmp_path, run, "peft", engine).id))
        for _ in range(4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(pressed) == 4 and len(set(pressed)) == 1 == len(book.all_orders(tmp_path))
    assert engine.poll() == {job_name(pressed[0], 1): Waiting(0)}
    other = control.export(tmp_path, run, "merged", engine)
    assert other.id not in pressed
    order = exports.of_run(tmp_path, run.id)["peft", 8]
    control.stop_order(tmp_path, order, engine)
    assert order.state().name == "stopped" and list(engine.poll()) == [job_name(other.id, 1)]
    assert control.export(tmp_path, run, "peft", engine).id != order.id  # what has ended is asked for anew


def test_what_cannot_be_made_says_why_and_orders_nothing(tmp_path, monkeypatch):
    run = handmade.finished(tmp_path)
    for case, kind, error, why in (
        (handmade.live(handmade.train(handmade.run(tmp_path), 4)), "peft", BadInput, "is running. Wait for its end"),
        (handmade.put(handmade.run(tmp_path), "stopped"), "peft", BadInput, "has no save yet"),
        (run, "comfyui", BadInput, "There is no comfyui file of this run"),
        (run, "../../etc", BadInput, "There is no ../../etc file"),
        (handmade.finished(tmp_path, method="oft"), "kohya", BadInput, "There is no kohya file"),
        (handmade.finished(tmp_path, base="sd15"), "merged", MissingModel, "delora models get sd15"),
    ):
        with pytest.raises(error, match=why.replace(".", r"\.")):
            exports.create(tmp_path, case, kind)
    full = lambda path: type("Disk", (), {"free": 110e6})  # noqa: E731
    monkeypatch.setattr("shutil.disk_usage", full)
    with pytest.raises(DiskFull, match="has 0.1 GB left, and this file needs about 0.2 GB. Free some space"):
        exports.create(tmp_path, run, "merged")  # 117 MB of a folder, as much of its .zip
    assert exports.create(tmp_path, run, "peft") and len(book.all_orders(tmp_path)) == 1


@pytest.mark.parametrize(
    "method, toy, other",
    [
        ("delora", "kohya diffusers peft merged native", "kohya diffusers peft merged native"),
        ("dora", "diffusers peft merged native", "comfyui diffusers peft merged native"),
        ("oft", "peft merged native", "comfyui peft merged native"),
        ("full", "merged native", "comfyui merged native"),
    ],
)
def test_the_formats_offered_are_those_that_are_exact_and_of_use(method, toy, other, tmp_path, sd15_folder):
    for base, kinds in (("embedded", toy), (str(sd15_folder), other)):
        run = handmade.put(handmade.train(handmade.run(tmp_path, method=method, base=base), 4), "stopped")
        caps = exports.base_of(tmp_path, base).caps
        assert exports.kinds(run.spec, caps) == tuple(kinds.split())
        assert shown(run).count('data-act="export"') == len(kinds.split())


def test_the_page_says_who_wants_a_format_and_how_large_it_is_before_it_is_made(tmp_path, sd15_folder, monkeypatch):
    html = shown(handmade.finished(tmp_path))
    assert "Other formats" in html and 'data-kind="kohya"' not in html  # the run wrote that one itself
    assert "Python programs that use the PEFT library" in html
    assert "A whole model with Biscuit in it" in html and "About 59 MB." in html and "minutes" not in html
    # A GB or more says that it takes minutes; Stable Diffusion 1.x becomes one file.
    large = exports.Base(exports.base_of(tmp_path, str(sd15_folder)).caps, 1_066_000_000)
    monkeypatch.setattr(formats, "_base", lambda data, ref: large)
    html = shown(handmade.finished(tmp_path, base="sd15"))
    assert "About 2.1 GB." in html and "takes some minutes, since Stable Diffusion 1.5 is loaded" in html
    assert "ComfyUI/models/checkpoints" in html
    assert exports.name_of(handmade.finished(tmp_path), "merged", 8, large.caps) == "biscuit-merged.safetensors"


def test_nothing_is_offered_while_a_run_is_trained_or_before_its_first_save(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 9)
    assert shown(handmade.live(run)) == "" == shown(handmade.put(handmade.run(tmp_path), "stopped"))
    assert "Files of step 8" in shown(handmade.put(run, "stopped"))


def test_how_an_order_stands_is_told_with_a_way_out_and_never_as_markup(tmp_path):
    run = handmade.finished(tmp_path)
    order = exports.create(tmp_path, run, "peft")
    html = shown(run)
    assert "Waits for the worker." in html and 'data-act="stop-export" data-kind="peft"' in html
    assert 'data-act="export" data-kind="peft"' not in html
    order.set_state("waiting", waits_for="Rex is training.")
    assert "Rex is training." in shown(run)
    order.set_state("writing", message="Loading the model.")
    assert "Loading the model." in shown(run)
    order.set_state("failed", message="<b>No</b>.", remedy="Make it again.")
    html = shown(run)
    assert '<p role="alert" class="ds-error">&lt;b&gt;No&lt;/b&gt;. Make it again.</p>' in html
    assert 'data-act="export" data-kind="peft"' in html


@pytest.mark.parametrize("file", ["state.json", "request.json"])
def test_a_damaged_order_is_told_and_can_be_asked_for_anew(tmp_path, file):
    run = handmade.finished(tmp_path)
    order = exports.create(tmp_path, run, "peft")
    (order.path / file).write_text("{")
    exports._read.cache_clear()
    html = shown(run)
    assert 'data-act="export" data-kind="peft"' in html
    assert ("This order cannot be read. state.json is damaged" in html) == (file == "state.json")  # else whose is it?
    (told,) = doctor._orders(tmp_path)
    assert told.words.startswith(f"{order.path}: {file} is damaged")
    assert exports.create(tmp_path, run, "peft").is_open
    assert "cannot be read" not in shown(run)


def test_a_base_model_that_is_gone_is_named_with_how_to_get_it(tmp_path):
    html = shown(handmade.finished(tmp_path, base="sd15"))
    assert "Stable Diffusion 1.5 is not on this computer yet" in html and "data-act" not in html


def test_a_merged_model_is_one_folder_in_a_zip_that_draws_as_the_adapter_does(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)
    path, file = made(run, "merged")
    assert (path.name, file["step"]) == ("subject-merged.zip", 2)
    with zipfile.ZipFile(path) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"subject-merged"}
        archive.extractall(tmp_path / "unpacked")
    adapter = open_save(run, base, 2)
    (wanted,) = sample.generate(base, ["a dog"], [0], steps=2)
    adapter.detach()
    merged = open_base(str(tmp_path / "unpacked" / "subject-merged"), tmp_path, "no")
    (found,) = sample.generate(merged, ["a dog"], [0], steps=2)
    (plain,) = sample.generate(base, ["a dog"], [0], steps=2)
    difference = lambda image: np.abs(np.asarray(image).astype(int) - np.asarray(wanted).astype(int)).max()  # noqa: E731
    assert difference(found) <= 2 < difference(plain)
    assert [entry.name for entry in (run.path / "adapter").iterdir() if entry.is_dir()] == []


def test_stable_diffusion_1_is_merged_into_one_checkpoint(tmp_path, sd15_folder):
    base = open_base(str(sd15_folder), tmp_path, "no")
    run = trained(tmp_path, sd15_folder, base)
    path, _ = made(run, "merged")
    assert path.name == "subject-merged.safetensors"
    tensors = load_file(path)
    assert "model.diffusion_model.input_blocks.0.0.weight" in tensors
    counted = exports.base_of(tmp_path, str(sd15_folder)).numbers
    assert sum(tensor.numel() for tensor in tensors.values()) == counted
    assert path.stat().st_size == pytest.approx(exports.size_bytes(run.spec, "merged", exports.base_of(
        tmp_path, str(sd15_folder))), rel=0.05)  # fmt: skip


def test_the_kohya_file_is_checked_and_brings_what_automatic1111_reads(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)
    path, file = made(run, "kohya")
    assert path.name == "subject.safetensors" and file["check"]["unet_difference"] <= 5e-6
    assert {found.name for found in exporting.finished_files(run)} == {"subject.safetensors", "subject.json"}
    html = shown(run)
    address = f"studio/file/{run.id}/subject.safetensors"
    assert f'href="{address}" download' in html and "Checked " in html and 'data-kind="kohya"' not in html
    assert words.size(path.stat().st_size) in html
    client = TestClient(ui.application(Studio(tmp_path)), base_url="http://localhost")
    assert client.get(f"/{address}").content == path.read_bytes()
    for name in ("made.json", ".making-x.part", "..%2Fspec.json"):
        assert client.get(f"/studio/file/{run.id}/{name}").status_code == 404


def test_every_save_can_be_made_into_a_file_beside_those_of_the_others(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base, state="done", steps=4)
    own = run.path / "adapter" / exporting.export_run(run, base, tmp_path)["files"][1]["name"]
    assert 'data-kind="kohya"' not in shown(run)
    assert 'data-act="export" data-kind="kohya" data-step="2"' in shown(run, 2)
    before = own.read_bytes()
    other, file = made(run, "kohya", 2)
    assert (own.name, other.name) == ("subject.safetensors", "subject-step-2.safetensors")
    assert own.read_bytes() == before and (header(own)["step"], header(other)["step"]) == ("4", "2")
    assert file["check"]["unet_difference"] <= 5e-6
    client = TestClient(ui.application(Studio(tmp_path)), base_url="http://localhost")
    for path in (own, other):
        assert client.get(f"/studio/file/{run.id}/{path.name}").content == path.read_bytes()
    # One format of two saves: neither replaces the other, and each is shown whichever save is chosen.
    early, late = made(run, "peft", 2)[0], made(run, "peft")[0]
    assert (early.name, late.name) == ("subject-step-2-peft.zip", "subject-peft.zip")
    with zipfile.ZipFile(early) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"subject-step-2-peft"}
    for step in (2, 4):
        for path, its in ((other, 2), (early, 2), (late, 4)):
            assert f'/{path.name}" download' in shown(run, step) and f"Step {its}, " in shown(run, step)
    early.unlink()
    assert 'data-act="export" data-kind="peft" data-step="2"' in shown(run, 2) and early.name not in shown(run)


def test_the_choice_of_a_save_is_there_where_there_are_more_than_one(tmp_path):
    run = handmade.finished(tmp_path)
    html = shown(run, 4)
    assert '<option value="4" selected>step 4<' in html and '<option value="8">step 8, recommended<' in html
    assert "Files of step 4" in html and "Other formats" in shown(run) and shown(run, 5) == shown(run)
    order = exports.create(tmp_path, run, "peft", 12)
    assert 'data-act="stop-export" data-kind="peft" data-step="12"' in shown(run), "also of a save that is not chosen"
    assert exports.create(tmp_path, run, "peft", 16).id != order.id == exports.create(tmp_path, run, "peft", 12).id
    assert (exports.step_mark(run, 8), exports.step_mark(run, 12)) == ("", "-step-12")
    with pytest.raises(BadInput, match="has no save at step 5"):
        exports.create(tmp_path, run, "peft", 5)
    assert "<select" not in shown(handmade.put(handmade.train(handmade.run(tmp_path), 5), "stopped"))


def test_a_file_in_whose_place_the_run_wrote_its_own_is_shown_as_that(tmp_path):
    """A run that was stopped, exported, and trained to its end."""
    run = handmade.finished(tmp_path)
    old = {"kind": "kohya", "name": "biscuit.safetensors", "step": 4, "trigger": "sks dog", "error": 0.0, "check": None}
    (run.path / "adapter" / "made.json").write_text(json.dumps({"files": [old]}))
    assert "Step 4, " not in shown(run) and "biscuit.safetensors" not in shown(run, 4)


@pytest.mark.parametrize("at", ["Writing the file.", "Packing the folder.", "Putting the file into its place."])
def test_stopped_on_its_way_nothing_is_left_behind(at, tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)

    def tell(words):
        seen.append(exporting.finished_files(run))
        if words == at:
            raise Stopped("Stopped on request.")

    seen = []
    with pytest.raises(Stopped):
        making.make(tmp_path, exports.create(tmp_path, run, "peft").request(), tell)
    assert list((run.path / "adapter").iterdir()) == [] and not any(seen)


def test_what_a_killed_process_left_is_cleared_away_by_the_next(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)
    left = run.path / "adapter" / ".making-x.part"
    left.mkdir(parents=True)
    (left / "subject-peft.zip").touch()
    assert exporting.finished_files(run) == []
    made(run, "peft")
    assert not left.exists()


def test_the_drawing_process_makes_it_and_holds_the_device(tmp_path, tiny_folder, base):
    """A real worker: nothing of it happens in the process that asks."""
    workshop = Workshop(tmp_path)
    try:
        run = trained(tmp_path, tiny_folder, base, state="done")
        with devices.owner(tmp_path, "Rex: training"):
            workshop.start_worker("studio")
            order = control.export(tmp_path, run, "peft", workshop.engine)
            until(lambda: order.state().name in ("waiting", "failed"), lambda: f"{order.state()}\n{workshop.said()}")
            assert order.state().waits_for == "Waiting for the device: Rex: training."
            assert exporting.finished_files(run) == []
        held = []
        until(lambda: held.append(devices.holder(tmp_path)) or order.state().ended, workshop.said)
        assert order.state().name == "done", order.state()
        assert f"{run.name}: export" in held
        (path,) = exporting.finished_files(run)
        with zipfile.ZipFile(path) as archive:
            assert set(archive.namelist()) == {
                "subject-peft/adapter_config.json",
                "subject-peft/adapter_model.safetensors",
            }

        broken = control.export(tmp_path, run, "diffusers", workshop.engine)
        (run.checkpoint(2) / "adapter.safetensors").write_bytes(b"no adapter")
        until(lambda: broken.state().ended, workshop.said)
        state = broken.state()
        assert state.name == "failed" and "Take another save" in state.remedy and "Traceback" not in state.message
    finally:
        workshop.close()


def test_asking_for_an_export_imports_nothing_heavy(tmp_path):
    run = handmade.finished(tmp_path)
    code = (
        "import sys; from pathlib import Path; from app import control; from training.runs.rundir import run_by_id\n"
        "from app.web.parts.run import formats; from app.web.reading import follow\n"
        f"data = Path({str(tmp_path)!r}); run = run_by_id(data, {run.id!r}); control.export(data, run, 'merged')\n"
        "assert 'data-act' in formats.section(follow.view(run), data)\n"
        "print(sorted(sys.modules.keys() & {'torch', 'diffusers', 'transformers', 'matplotlib', 'gradio'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=launch.environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_orders_of_a_deleted_run_fail_with_a_sentence(tmp_path, tiny_folder, base):
    run = trained(tmp_path, tiny_folder, base)
    order = exports.create(tmp_path, run, "peft")
    run.path.rename(tmp_path / "gone")
    with pytest.raises(StudioError, match="There is no run .* it may have been deleted"):
        making.make(tmp_path, order.request(), lambda words: None)
