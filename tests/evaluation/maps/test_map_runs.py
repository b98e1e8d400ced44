"""A run of maps through its life, on tiny models: trained, stopped, resumed, drawn, scored, recommended."""

import json
import shutil

import numpy as np
import pytest
import tinymaps
import torch
from PIL import Image
from safetensors.torch import load_file

from app.adapters import sources, steered
from app.adapters.saves import open_save
from app.work.job import run_job
from evaluation import scorebook
from evaluation.maps import drawn, segmentor
from evaluation.maps.agreement import Agreement
from training import loop
from training.base import controlnet
from training.errors import BadInput, MissingModel
from training.loop import Outcome
from training.maps import dataset, reading
from training.maps.steering import drawing
from training.maps.steering.protocols import FrozenControlNet
from training.runs import checkpoint
from training.runs.run import Run

EVERYTHING = {"flip": True, "adapter": {"dropout": 0.2}, "lr_schedule": "cosine", "min_snr_gamma": 5.0}
PROTOCOLS = ("frozen-controlnet", "hint-encoder")


@pytest.fixture(scope="module")
def models(tiny_base, tmp_path_factory):
    return tinymaps.models(tmp_path_factory.mktemp("models"), tiny_base)


@pytest.fixture
def make(tmp_path, tiny_folder, models):
    """make(**changes) -> a queued run in a data folder that all runs of a test share."""
    return lambda **changes: tinymaps.run(tmp_path, tiny_folder, models, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder, models):
    """A run of each protocol that went through the whole job."""
    data = tmp_path_factory.mktemp("data")
    runs = {}
    for protocol in PROTOCOLS:
        runs[protocol] = tinymaps.run(data, tiny_folder, models, name=protocol, protocol=protocol)
        assert run_job(runs[protocol].path) == "done"
    return runs


def saved(run, step):
    """Everything that a save holds of what learned."""
    tensors = load_file(run.checkpoint(step) / "adapter.safetensors")
    beside = run.checkpoint(step) / checkpoint.TRAINED
    return tensors | ({f"beside.{k}": v for k, v in load_file(beside).items()} if beside.is_file() else {})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stopped_run_resumes_to_the_same_adapter_bit_for_bit(make, tiny_base, protocol):
    from training.maps.steering import taking

    unbroken, stopped = (make(protocol=protocol, **EVERYTHING) for _ in range(2))
    assert loop.train(unbroken, tiny_base, taking.take_in) == Outcome.DONE

    def stop(p):
        if p.phase == "train" and p.step == 3:
            stopped.request_stop()

    assert loop.train(stopped, tiny_base, taking.take_in, progress=stop) == Outcome.STOPPED
    assert stopped.checkpoints() == [2, 3]
    assert loop.train(stopped, tiny_base, taking.take_in) == Outcome.DONE
    mine, other = saved(unbroken, 4), saved(stopped, 4)
    assert mine.keys() == other.keys() and all(torch.equal(mine[key], other[key]) for key in mine)
    assert any(key.startswith("beside.") for key in mine) == (protocol == "hint-encoder")
    assert [e["loss"] for e in stopped.history("step")] == [e["loss"] for e in unbroken.history("step")]


def test_the_job_ends_done_with_every_save_drawn_and_files_that_say_how_it_was_taught(finished):
    for protocol, run in finished.items():
        assert run.state().name == "done" and run.checkpoints() == [2, 4]
        assert all(len(run.samples(step)) == 4 for step in (0, 2, 4)), "two maps, two seeds"
        with_header = run.path / "adapter" / f"{protocol}-delora-studio.safetensors"
        from delora.files import read_header

        header = read_header(with_header)
        assert (header["task"], header["protocol"], header["control_scale"]) == ("maps", protocol, "1")
        assert ("controlnet" in header) == (protocol == "frozen-controlnet") and "trigger" not in header
        beside = run.path / "adapter" / f"{protocol}-trained-beside.safetensors"
        assert beside.is_file() == (protocol == "hint-encoder")


def test_step_0_is_the_pipeline_without_the_adapter_and_a_save_is_with_it(finished, tiny_base, models):
    run = finished["frozen-controlnet"]
    net = controlnet.load(models["controlnet"], tiny_base, run.path)
    held = dataset.read(run.path, dataset.HELD_OUT)
    wishes = [drawing.Wish(reading.labels_of(e.map), e.caption, seed) for e in held for seed in (0, 1)]
    how = {"steps": 2, "guidance": 3.0}
    for step in (0, 4):
        adapter = open_save(run, tiny_base, step) if step else None
        try:
            expected = drawing.draw(tiny_base, FrozenControlNet(net.module), wishes, adapter=adapter, **how)
        finally:
            if adapter:
                adapter.detach()
        for path, image in zip(run.samples(step), expected, strict=True):
            assert np.array_equal(np.asarray(Image.open(path)), np.asarray(image)), (step, path.name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_map_is_drawn_with_what_the_runs_save_learned(finished, tiny_base, protocol):
    run, how = finished[protocol], {"steps": 2, "guidance": 3.0}
    data = run.path.parent.parent
    source = sources.of_run(data, run.id, 4)
    steering, facts = steered.steering(tiny_base, source, None, None, data)
    adapter = source.attach(tiny_base)
    try:
        images = drawing.draw(tiny_base, steering, drawn.wishes(run), adapter=adapter, **how)
    finally:
        adapter.detach()
    for path, image in zip(run.samples(4), images, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(image))
    assert facts["control_scale"] == 1.0 and facts["control"]
    if protocol == "hint-encoder":
        with pytest.raises(BadInput, match="hint encoder of its own"):
            steered.steering(tiny_base, source, "embedded", None, data)


def test_scores_are_those_of_an_agreement_made_by_hand(finished, models):
    run = finished["frozen-controlnet"]
    judge = segmentor.load(models["segmentor"])
    held = dataset.read(run.path, dataset.HELD_OUT)
    truth = [reading.labels_of(example.map) for example in held]
    made = {}
    for step in (0, 2, 4):
        made[step] = Agreement()
        for i, path in enumerate(run.samples(step)):
            (labels,) = judge.segment([Image.open(path).convert("RGB")])
            made[step].add(str(i // 2), labels, truth[i // 2], i % 2)
    document = run.scores()
    assert document["task"] == "maps" and document["figure"] == "miou_present" and document["maps"] == 2
    for step, told in ((0, document["base"]), (2, document["saves"]["2"]), (4, document["saves"]["4"])):
        right = made[step].scores()
        assert told["headline"] == right.miou_present and told["pixel_accuracy"] == right.pixel_accuracy
        assert told["interval"] == list(made[step].interval())
        assert {c["name"]: c["iou"] for c in told["classes"]} == {c.name: c.iou for c in right.classes}
        assert step == 0 or told["gain"] == list(made[step].gain(made[0]))
    real = Agreement()
    for i, example in enumerate(held):
        real.add(str(i), judge.segment([Image.open(example.picture).convert("RGB")])[0], truth[i])
    assert document["real"]["headline"] == real.scores().miou_present
    assert document["recommendation"]["reason"]
    assert 0 < document["base"]["headline"] < 1, "a judge that is never right, or always, would show nothing"


def test_scores_come_back_from_their_file_and_another_judge_begins_anew(finished, tmp_path, models):
    import tinysegmentors

    from evaluation import tasks

    shutil.copytree(finished["hint-encoder"].path.parent.parent, tmp_path / "data")
    run = Run(tmp_path / "data" / "runs" / finished["hint-encoder"].id)
    before = run.scores()
    assert json.loads(json.dumps(scorebook.read(run).to_dict("x"))) == before
    other = tinysegmentors.build("segformer", tmp_path / "other", seed=5)
    tasks.of(run.spec).scorer(run, False, tmp_path / "data", segmentor=str(other)).update()
    after = run.scores()
    assert after["segmentor"]["fingerprint"] != before["segmentor"]["fingerprint"]
    assert after["saves"].keys() == before["saves"].keys()


@pytest.mark.parametrize("damage", ["counts", "saves", "real", "segmentor"])
def test_damaged_scores_are_told_and_no_traceback(finished, tmp_path, damage):
    shutil.copytree(finished["frozen-controlnet"].path, tmp_path / "run")
    run = Run(tmp_path / "run")
    document = run.scores()
    if damage == "counts":
        document["base"]["counts"][0][2] = {"999": [1, 1, 1]}
    elif damage == "saves":
        document["saves"]["2"]["counts"].pop()
    else:
        document[damage] = 3
    (run.path / "scores.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match="scores.json is damaged"):
        scorebook.read(run)


def test_a_judge_or_a_controlnet_that_is_not_here_is_told_before_a_run_is_made(make, tiny_base, tmp_path):
    from evaluation import tasks

    for field, value in (("segmentor", "segmentor"), ("controlnet", "controlnet-seg"), ("segmentor", "/nowhere")):
        spec = make().spec.model_copy(update={field: value})
        with pytest.raises(MissingModel) as caught:
            tasks.of(spec).check(spec, tiny_base, tmp_path)
        assert caught.value.field == field and caught.value.remedy


def test_judges_of_the_other_task_are_refused(finished):
    from evaluation import tasks

    for task, name in (("maps", "dino"), ("dreambooth", "segmentor")):
        with pytest.raises(BadInput) as caught:
            tasks.TASKS[task].judged_by({name: "x", "clip": None})
        assert caught.value.field == name


def test_each_save_has_its_frechet_distance_from_the_held_out_pictures_once_there_is_a_clip(
    finished, tmp_path, judge_folders
):
    from evaluation import encoders, frechet, tasks
    from evaluation.report import write_report

    data = tmp_path / "data"
    shutil.copytree(finished["frozen-controlnet"].path.parent.parent, data)
    run = Run(data / "runs" / finished["frozen-controlnet"].id)
    before = run.scores()
    assert before["extractor"] is None and "frechet" not in before["base"] and "models get clip" in before["note"]
    tasks.of(run.spec).scorer(run, False, data, clip=str(judge_folders["clip"])).update()
    after = run.scores()
    clip = encoders.load("clip", str(judge_folders["clip"]))
    assert after["extractor"] == clip.describe() and clip.name in after["note"]

    def seen(paths):
        return clip.embed_images([Image.open(path).convert("RGB") for path in paths]).numpy()

    real = seen([example.picture for example in dataset.read(run.path, dataset.HELD_OUT)])
    for step, told in ((0, after["base"]), (2, after["saves"]["2"]), (4, after["saves"]["4"])):
        assert told["frechet"] == {
            "value": frechet.distance(seen(run.samples(step)), real), "pictures": 4, "real": 2, "indicative": True,
        }  # fmt: skip
        assert told["counts"] == (before["base"] if step == 0 else before["saves"][str(step)])["counts"]
    assert "frechet" not in after["real"], "real pictures are at no distance from themselves"

    words = frechet.told(after["saves"]["4"])
    assert words.endswith("(4 pictures, indicative)")
    assert words in tasks.of(run.spec).save_words(after["saves"]["4"])
    assert [row[-1] for row in tasks.of(run.spec).table(after)[1]][2:] == [words, ""]
    assert words in write_report(run, tmp_path / "report.html").read_text()
    tasks.of(run.spec).scorer(run, False, data).update()  # the CLIP that scored it before is taken again
    assert run.scores() == after
