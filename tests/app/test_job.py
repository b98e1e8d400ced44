"""The whole job on a tiny base model, and its exports in the hands of stock diffusers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from app.job import phase_seconds, run_job
from app.saves import open_base, open_save
from training import rundir, sample, spec, subjects

SPEC = {
    "name": "Biscuit",
    "class_word": "dog",
    "adapter": {"method": "delora", "rank": 4, "lambda_": 8.0},
    "learning_rate": 0.05,
    "steps": 4,
    "save_every": 2,
    "batch_size": 1,
    "class_pictures": 2,
    "class_steps": 2,
    "sample": {"prompts": ("a {subject} in the snow", "a {subject} on the beach"), "seeds": (0, 1), "steps": 2},
    "threads": 1,
}


def new_run(data, sd15_folder, subject_folder, **changes):
    """A queued run of the tiny subject on the tiny base model."""
    values = spec.parse({**SPEC, "base": str(sd15_folder), **changes})
    cleaned = subjects.prepare(subjects.expand([subject_folder]), data / "cleaned" / str(len(changes)), 64)
    return rundir.create(data, values, cleaned)


@pytest.fixture(scope="module")
def judges(judge_folders):
    """The tiny judges by reference, as `run_job` takes them."""
    return {kind: str(folder) for kind, folder in judge_folders.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sd15_folder, subject_folder, judges):
    """A run that went through the whole job, and the phases it told of."""
    run = new_run(tmp_path_factory.mktemp("data"), sd15_folder, subject_folder)
    phases = []
    assert run_job(run.path, **judges, report=lambda p: phases.append(p.phase)) == "done"
    return run, list(dict.fromkeys(phases))


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


def test_the_base_model_draws_the_class_word_without_the_token(finished):
    run, _ = finished
    base = open_base(run.spec.base, run.path.parent.parent)
    (first,) = sample.generate(base, ["a dog in the snow"], [0], steps=2)
    assert np.array_equal(np.asarray(first), np.asarray(Image.open(run.samples(0)[0])))


def test_exports_loaded_by_stock_diffusers_draw_the_picture_of_delora_generate(finished):
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    run, _ = finished
    record = json.loads((run.path / "adapter" / "export.json").read_text())
    base = open_base(run.spec.base, run.path.parent.parent)
    adapter = open_save(run, base, record["step"])
    (ours,) = sample.generate(base, ["a sks dog in the snow"], [7], adapter=adapter, steps=3)
    (plain,) = sample.generate(base, ["a sks dog in the snow"], [7], adapter=adapter, strength=0, steps=3)
    assert np.abs(np.asarray(ours, float) - np.asarray(plain, float)).max() > 4  # the adapter does something
    for file in record["files"]:
        if file["kind"] == "native":
            continue
        pipe = StableDiffusionPipeline.from_pretrained(run.spec.base, safety_checker=None, torch_dtype=torch.float32)
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, algorithm_type="dpmsolver++")
        pipe.load_lora_weights(str(run.path / "adapter"), weight_name=file["name"])
        pipe.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(7)
        theirs = pipe(
            "a sks dog in the snow", num_inference_steps=3, guidance_scale=3.0, generator=generator, output_type="np"
        ).images[0]
        assert np.abs(theirs * 255 - np.asarray(ours, float)).max() <= 1.5, file["name"]  # 8 bits round to 0.5
        assert file["check"]["unet_difference"] <= 5e-6


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


def test_a_stop_while_drawing_is_taken_up_where_it_was(tmp_path, sd15_folder, subject_folder, judges):
    run = new_run(tmp_path, sd15_folder, subject_folder)

    def stop_at_the_second_drawing(progress):
        if progress.phase == "draw" and run.checkpoints() and progress.done:
            run.request_stop()

    assert run_job(run.path, **judges, report=stop_at_the_second_drawing) == "stopped"
    assert run.state().saved_step == 2 and not run.samples(2)
    assert run_job(run.path, **judges) == "done"
    assert list(run.scores()["saves"]) == ["2", "4"]


def test_an_export_that_broke_off_is_made_on_resume(tmp_path, sd15_folder, subject_folder, judges, monkeypatch):
    from app import exporting

    run = new_run(tmp_path, sd15_folder, subject_folder)
    with monkeypatch.context() as broken:
        broken.setattr(exporting, "export", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            run_job(run.path, **judges)
    assert run.state().name == "failed" and "power cut" in run.state().message
    assert "Traceback" in (run.path / "log.txt").read_text()
    assert run_job(run.path, **judges) == "done"
    assert (run.path / "adapter" / "biscuit.safetensors").is_file()


def test_judges_are_remembered_and_other_ones_score_everything_again(
    tmp_path, sd15_folder, subject_folder, judges, tmp_path_factory
):
    import tinyjudges

    from evaluation.runscores import RunScorer

    run = new_run(tmp_path, sd15_folder, subject_folder)
    run_job(run.path, **judges)
    first = run.scores()
    assert RunScorer(run, False, tmp_path).judge.dino.ref == judges["dino"]
    other = tinyjudges.dino(tmp_path_factory.mktemp("other") / "dino", seed=9)
    RunScorer(run, False, tmp_path, dino=str(other)).update()
    assert list(run.scores()["saves"]) == ["2", "4"]
    assert run.scores()["base"]["dino"] != first["base"]["dino"]
    assert run.scores()["base"]["clip_t"] == first["base"]["clip_t"]


def test_base_pictures_are_drawn_once_for_a_kind_of_thing(tmp_path, sd15_folder, subject_folder, judges, monkeypatch):
    run_job(new_run(tmp_path, sd15_folder, subject_folder).path, **judges)
    asked = []
    original = sample.generate
    monkeypatch.setattr(sample, "generate", lambda *a, **k: asked.append(a[1]) or original(*a, **k))
    run_job(new_run(tmp_path, sd15_folder, subject_folder, seed=1).path, **judges)
    assert not any("sks" not in prompt for prompts in asked for prompt in prompts)


def test_a_base_model_that_is_gone_fails_with_words(tmp_path, sd15_folder, subject_folder, judges):
    from training.errors import MissingModel

    run = new_run(tmp_path, tmp_path / "gone", subject_folder)
    with pytest.raises(MissingModel):
        run_job(run.path, **judges)
    assert run.state().name == "failed" and "gone" in run.state().message
