"""The whole job on a tiny base model, and its exports in the hands of stock diffusers."""

import json
import shutil

import numpy as np
import pytest
import tinypipeline
import torch
from PIL import Image

from app.adapters.saves import open_base, open_save
from app.work.job import phase_seconds, run_job
from training import sample
from training.runs.run import Run

CHANGES = {
    "name": "Biscuit",
    "adapter": {"rank": 4, "lambda_": 8.0},
    "learning_rate": 0.05,
    "steps": 4,
    "sample": {"prompts": ("a {subject} in the snow", "a {subject} on the beach")},
}


def new_run(data, folder, **changes):
    """A queued run of the tiny subject on the base model in `folder`: 4 steps, 2 saves, 4 pictures each."""
    return tinypipeline.run(data, folder, **{**CHANGES, **changes})


@pytest.fixture(scope="module")
def judges(judge_folders):
    """The tiny judges by reference, as `run_job` takes them."""
    return {kind: str(folder) for kind, folder in judge_folders.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder, judges):
    """A run that went through the whole job, and the phases it told of."""
    run = new_run(tmp_path_factory.mktemp("data"), tiny_folder)
    phases = []
    assert run_job(run.path, **judges, report=lambda p: phases.append(p.phase)) == "done"
    return run, list(dict.fromkeys(phases))


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, for tests that change it."""
    run, _ = finished
    shutil.copytree(run.path.parent.parent, tmp_path / "data")
    return Run(tmp_path / "data" / "runs" / run.id)


def test_the_phases_come_in_order_and_the_run_is_done(finished):
    run, phases = finished
    assert phases == ["prepare", "draw", "score", "class pictures", "train", "export"]
    state = run.state()
    assert (state.name, state.step, state.saved_step, state.pid) == ("done", 4, 4, None)
    assert set(phase_seconds(run)) == set(phases)


def test_every_save_and_the_base_model_are_drawn_and_scored(finished):
    run, _ = finished
    scores = run.scores()
    assert list(scores["saves"]) == ["2", "4"]
    assert all(len(run.samples(step)) == 4 for step in (0, 2, 4))
    assert scores["base"]["pictures"] == 4 and scores["real"]["dino"] < 1
    assert scores["encoders"]["clip"]["name"] == "clip"
    assert scores["recommendation"]["reason"]


def test_clip_reads_the_prompts_without_the_token(finished, judges):
    from evaluation import encoders
    from evaluation.pictures import read_pictures

    run, _ = finished
    clip = encoders.load("clip", judges["clip"])
    texts = clip.embed_texts(["a dog in the snow", "a dog in the snow", "a dog on the beach", "a dog on the beach"])
    expected = (clip.embed_images(read_pictures(run.samples(4))) * texts).sum(dim=1).tolist()
    assert run.scores()["saves"]["4"]["per_image"]["clip_t"] == pytest.approx(expected, abs=1e-6)


def test_the_base_model_draws_the_class_word_without_the_token(finished):
    run, _ = finished
    base = open_base(run.spec.base, run.path.parent.parent)
    (first,) = sample.generate(base, ["a dog in the snow"], [0], steps=2)
    kept = np.asarray(Image.open(run.samples(0)[0]), float)
    assert np.abs(np.asarray(first, float) - kept).max() <= 1  # another batch size: the last bit may differ


def check_exports(run, **how):
    """The run's exports, loaded by a stock pipeline, draw the picture of `delora generate`, which is not the base's."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    record = json.loads((run.path / "adapter" / "export.json").read_text())
    assert [file["kind"] for file in record["files"]] == ["native", "kohya", "diffusers"]
    base = open_base(run.spec.base, run.path.parent.parent)
    adapter = open_save(run, base, record["step"])
    (ours,) = sample.generate(base, ["a sks dog in the snow"], [7], adapter=adapter, steps=3)
    (plain,) = sample.generate(base, ["a sks dog in the snow"], [7], adapter=adapter, strength=0, steps=3)
    assert np.abs(np.asarray(ours, float) - np.asarray(plain, float)).max() > 4
    for file in record["files"]:
        if file["kind"] == "native":
            continue
        pipe = StableDiffusionPipeline.from_pretrained(run.spec.base, torch_dtype=torch.float32, **how)
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, algorithm_type="dpmsolver++")
        pipe.load_lora_weights(str(run.path / "adapter"), weight_name=file["name"])
        pipe.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(7)
        theirs = pipe(
            "a sks dog in the snow", num_inference_steps=3, guidance_scale=3.0, generator=generator, output_type="np"
        ).images[0]
        assert np.abs(theirs * 255 - np.asarray(ours, float)).max() <= 1.5, file["name"]  # 8 bits round to 0.5
        assert file["check"]["unet_difference"] <= 5e-6


def test_exports_loaded_by_stock_diffusers_draw_the_picture_of_delora_generate(finished):
    check_exports(finished[0])


@pytest.mark.slow
def test_the_layout_of_stable_diffusion_1_5_with_fp16_files_goes_through_the_whole_job(
    tmp_path, sd15_fp16_folder, judges
):
    run = new_run(tmp_path, sd15_fp16_folder)
    assert run_job(run.path, **judges) == "done"
    check_exports(run, variant="fp16", safety_checker=None)


def test_the_export_says_what_it_is(finished):
    from safetensors import safe_open

    run, _ = finished
    with safe_open(run.path / "adapter" / "biscuit.safetensors", "pt") as file:
        facts = file.metadata()
    assert facts["modelspec.trigger_phrase"] == "sks dog"
    assert facts["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert facts["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
    assert json.loads(facts["spec"])["name"] == "Biscuit"
    assert set(json.loads(facts["scores"])) >= {"dino", "clip_i", "likeness", "encoders"}


def test_a_job_started_again_does_nothing_twice(finished, judges):
    run, _ = finished
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert run_job(run.path, **judges) == "done"
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


def test_a_stop_while_drawing_is_taken_up_where_it_was(tmp_path, tiny_folder, judges):
    run = new_run(tmp_path, tiny_folder)

    def stop_at_the_second_drawing(progress):
        if progress.phase == "draw" and run.checkpoints() and progress.done:
            run.request_stop()

    assert run_job(run.path, **judges, report=stop_at_the_second_drawing) == "stopped"
    assert run.state().saved_step == 2 and not run.samples(2)
    assert run_job(run.path, **judges) == "done"
    assert list(run.scores()["saves"]) == ["2", "4"]


def reopened(run):
    """The run as a crash during its export leaves it: no exports, state interrupted."""
    shutil.rmtree(run.path / "adapter")
    state = json.loads((run.path / "state.json").read_text())
    (run.path / "state.json").write_text(json.dumps({**state, "name": "interrupted"}))
    return run


def test_an_export_that_broke_off_is_made_on_resume_and_the_log_keeps_the_cause(copied, judges, monkeypatch):
    from app.adapters import exporting

    run = reopened(copied)
    before = [path.read_bytes() for step in (0, 2, 4) for path in run.samples(step)]
    with monkeypatch.context() as broken:
        broken.setattr(exporting, "export", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            run_job(run.path, **judges)
    assert run.state().name == "failed" and "power cut" in run.state().message
    assert "Traceback" in (run.path / "log.txt").read_text()
    assert run_job(run.path, **judges) == "done"
    assert (run.path / "adapter" / "biscuit.safetensors").is_file()
    assert before == [path.read_bytes() for step in (0, 2, 4) for path in run.samples(step)]


def test_judges_are_remembered_and_other_ones_score_everything_again(copied, judges, tmp_path):
    import tinyjudges

    from evaluation.runscores import RunScorer

    data, first = copied.path.parent.parent, copied.scores()
    assert RunScorer(copied, False, data).judge.dino.ref == judges["dino"]
    other = tinyjudges.dino(tmp_path / "other", seed=9)
    RunScorer(copied, False, data, dino=str(other)).update()
    assert list(copied.scores()["saves"]) == ["2", "4"]
    assert copied.scores()["base"]["dino"] != first["base"]["dino"]
    assert copied.scores()["base"]["clip_t"] == first["base"]["clip_t"]


def test_base_pictures_are_drawn_once_for_a_kind_of_thing(copied, tiny_base, monkeypatch):
    from evaluation.basepictures import draw_base

    data = copied.path.parent.parent
    again = new_run(data, copied.spec.base, seed=1)
    monkeypatch.setattr(sample, "generate", lambda *a, **k: pytest.fail("drawn again"))
    draw_base(again, tiny_base, data)
    pairs = zip(copied.samples(0), again.samples(0), strict=True)
    assert all(np.array_equal(np.asarray(Image.open(a)), np.asarray(Image.open(b))) for a, b in pairs)


def test_only_what_is_missing_of_the_base_pictures_is_drawn(tiny_base, tmp_path, monkeypatch):
    from evaluation.basepictures import base_pictures

    how = {"steps": 1, "guidance": 3.0}
    one = base_pictures(tiny_base, ["a dog"], [0], tmp_path, **how)
    asked = []
    original = sample.generate
    monkeypatch.setattr(sample, "generate", lambda *a, **k: asked.append(a[1:3]) or original(*a, **k))
    two = base_pictures(tiny_base, ["a dog", "a cat"], [0], tmp_path, **how)
    assert asked == [(["a cat"], [0])]
    assert np.array_equal(np.asarray(one[0]), np.asarray(two[0]))
    assert not np.array_equal(np.asarray(two[0]), np.asarray(two[1]))
    base_pictures(tiny_base, ["a dog", "a cat"], [0, 1], tmp_path, **how)
    assert asked[1:] == [(["a dog", "a cat"], [1])]
    four = base_pictures(tiny_base, ["a dog", "a cat"], [0, 1], tmp_path, **how)
    assert len({picture.tobytes() for picture in four}) == 4 and len(asked) == 2


def test_a_base_model_that_is_gone_fails_with_words(tmp_path, judges):
    from training.errors import MissingModel

    run = new_run(tmp_path, tmp_path / "gone")
    with pytest.raises(MissingModel):
        run_job(run.path, **judges)
    assert run.state().name == "failed" and "gone" in run.state().message


def test_memory_that_runs_out_before_training_is_told_as_such(tmp_path, tiny_folder, judges, monkeypatch):
    def full(*_):
        raise MemoryError

    run = new_run(tmp_path, tiny_folder)
    monkeypatch.setattr("app.adapters.saves.open_base", full)
    with pytest.raises(MemoryError):
        run_job(run.path, **judges)
    state = run.state()
    assert (state.name, state.cause) == ("failed", "memory")
    assert state.message == "Memory ran out." and "Close other programs and resume" in state.remedy
