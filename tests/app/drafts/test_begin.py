"""From a draft to one queued run: nothing half-made is left, and no press makes two."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tinymodels
from draftforms import fill
from PIL import Image

from app import control
from app.drafts import begin, draft
from app.work.engines import Waiting, split_name
from app.work.engines.local import LocalEngine
from training import atomic
from training.base import singlefile
from training.errors import BadInput, RunFailed
from training.runs import rundir
from training.subject import intake


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def ready(data, tmp_path):
    """A draft that can be begun."""
    return fill(draft.load(data), tmp_path)


def test_a_draft_becomes_a_queued_run_with_its_crops_and_leaves_an_empty_draft(data, ready, tmp_path):
    ready = draft.set_crop(ready, ready.pictures[1].id, 1)
    ready = draft.save(ready, method="lora", settings={"adapter.rank": "4", "adapter.lambda_": "7", "steps": "50"})
    source = ready.picture_file(ready.pictures[1])
    with Image.open(source) as image:
        wanted = image.crop((64, 0, 192, 128)).tobytes()  # the right end of 192 x 128
    engine = LocalEngine(data)
    run = begin.begin(data, ready, engine)
    assert (run.spec.name, run.spec.adapter.method, run.spec.adapter.rank, run.spec.steps) == ("Biscuit", "lora", 4, 50)
    assert run.spec == begin.spec_of(data, ready)
    assert [Image.open(path).size for path in run.pictures()] == [(128, 128)] * 3
    assert Image.open(run.pictures()[1]).tobytes() == wanted
    assert run.state().name == "queued"
    assert [(split_name(name)[0], type(status)) for name, status in engine.poll().items()] == [(run.id, Waiting)]
    now = draft.load(data)
    assert now.is_blank and now.key != ready.key and (now.method, now.effort) == ("lora", "quick")
    assert not list(ready.folder.glob("pictures/*")) and not list(ready.folder.glob(".*.part"))


def test_two_presses_at_once_make_one_run(data, ready, monkeypatch):
    prepare, entered = intake.prepare, []

    def slowly(*args, **options):
        entered.append(time.monotonic())
        time.sleep(0.3)
        return prepare(*args, **options)

    monkeypatch.setattr(intake, "prepare", slowly)
    engine, made, barrier = LocalEngine(data), [], threading.Barrier(3)

    def press():
        barrier.wait()
        made.append(begin.begin(data, ready, engine).id)

    threads = [threading.Thread(target=press) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3 and len(set(made)) == 1
    assert [run.id for run in rundir.list_runs(data)] == [made[0]] and len(entered) == 1
    assert len(engine.poll()) == 1
    assert begin.begin(data, ready, engine).id == made[0], "nor does a press much later"


def test_a_press_from_an_old_tab_starts_nothing_again(data, ready, tmp_path):
    engine = LocalEngine(data)
    run = begin.begin(data, ready, engine)
    control.stop(data, run, engine=engine)
    assert begin.begin(data, ready, engine).id == run.id and run.state().name == "stopped" and not engine.poll()
    fill(draft.load(data), tmp_path, name="Rex")
    assert begin.begin(data, ready, engine).id == run.id
    assert draft.load(data).name == "Rex", "the next draft stays as it is"
    cleared = draft.load(data)
    draft.clear(cleared)
    with pytest.raises(BadInput, match="another tab"):
        begin.begin(data, cleared, engine)
    assert len(rundir.list_runs(data)) == 1


def test_a_press_that_was_cut_off_is_taken_up_by_the_next(data, ready, monkeypatch):
    engine = LocalEngine(data)
    with monkeypatch.context() as patch:

        def cut(*_):
            raise RuntimeError("the queue is locked")

        patch.setattr(control, "start", cut)
        with pytest.raises(RuntimeError):
            begin.begin(data, ready, engine)
    [made] = rundir.list_runs(data)
    assert draft.load(data) == ready
    assert begin.begin(data, ready, engine).id == made.id and len(engine.poll()) == 1
    assert len(rundir.list_runs(data)) == 1 and draft.load(data).is_blank


def test_a_press_cut_off_before_its_run_was_there_makes_that_run(data, ready):
    run_id = rundir.new_id("Biscuit")
    (ready.folder / "begun").mkdir()
    atomic.write_text(ready.folder / "begun" / ready.key, run_id)
    assert begin.begin(data, ready).id == run_id


def test_a_key_that_a_browser_made_up_leads_nowhere(data, ready):
    other = begin.begin(data, ready)
    (data / "secret").write_text(other.id)
    for key in ("../../../secret", str(data / "secret"), "", "none"):
        with pytest.raises(BadInput, match="another tab"):
            begin.begin(data, draft.load(data).changed(key=key))


def test_a_full_disk_leaves_no_run_and_the_whole_draft(data, ready, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(RunFailed, match="disk is full"):
            begin.begin(data, ready)
    assert rundir.list_runs(data) == [] and not list((data / "runs").iterdir()) and draft.load(data) == ready
    assert begin.begin(data, ready).state().name == "queued"


def test_the_page_needs_nothing_heavy(tmp_path):
    code = f"""
import sys
from pathlib import Path
from app import actions
from app.computer import expectation
from app.drafts import begin, draft, settings, subject
from training.base import models
data = Path({str(tmp_path)!r})
mine = draft.use_sample(draft.load(data))
mine = draft.set_crop(mine, mine.pictures[0].id, 0)
settings.settings_fields("delora"), begin.problems(data, mine), begin.warnings(data, mine)
expectation.expectation(data, begin.spec_of(data, mine))
subject.prompt_words(mine, models.describe("embedded", data))
run = begin.begin(data, mine)
draft.from_run(data, run), actions.status(data, run.id), actions.stop(data, run.id)
print(*sorted(sys.modules.keys() & {{"torch", "diffusers", "transformers", "accelerate", "gradio", "matplotlib"}}))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(begin.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_single_checkpoint_is_described_without_torch(tmp_path, sd15_folder):
    """safetensors imports torch when asked for torch's tensors, even if only shapes are read."""
    parts = tinymodels.modules(sd15_folder)
    path = singlefile.write(tmp_path / "small.safetensors", **parts)
    code = (
        "import sys; from training.base import singlefile; from pathlib import Path;"
        f"singlefile.check(Path({str(path)!r}), Path({str(sd15_folder)!r})); print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(begin.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "False", done.stderr
