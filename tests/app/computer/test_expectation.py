"""What is said of a run's time and memory is what like runs on this computer took, and nothing where there are none."""

import json
import time

import pytest
from badpictures import colourful

from app.computer import expectation
from training import presets
from training.runs import rundir

SPEC = presets.make_spec("embedded", "delora", "quick", class_word="dog")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def past_run(data, step_seconds, memory_mb, *, class_seconds=0.0, **changes):
    """A finished run whose events say what it took: 4 saves of 10 steps, 8 test pictures each."""
    spec = presets.make_spec(
        "embedded",
        "delora",
        "quick",
        name="Old",
        **{
            "class_word": "dog",
            "steps": 40,
            "save_every": 10,
            "class_pictures": 10,
            "sample": {"prompts": ("a {subject}", "a {subject} here"), "seeds": (0, 1, 2, 3), "steps": 10},
            **changes,
        },
    )
    picture = data / "p.png"
    data.mkdir(exist_ok=True)
    colourful().save(picture)
    run = rundir.create(data, spec, [picture])
    now = 1000.0

    def event(after=0.0, **values):
        nonlocal now
        now += after
        with (run.path / "events.jsonl").open("a") as file:
            file.write(json.dumps({"time": now, **values}) + "\n")

    event(kind="attempt", number=1)
    event(kind="phase", phase="prepare")
    event(3, kind="phase", phase="class pictures")
    event(class_seconds, kind="phase", phase="train")
    for save in range(4):
        for step in range(10):
            step_number = save * 10 + step + 1
            seconds = step_seconds if step_number > 1 else 50 * step_seconds
            event(seconds, kind="step", step=step_number, seconds=seconds, memory_mb=memory_mb - 40 + step_number)
        run.checkpoint(save * 10 + 10).mkdir(parents=True)
        folder = run.samples_folder(save * 10 + 10)
        folder.mkdir(parents=True)
        (folder / "00-00.png").touch()
        event(kind="phase", phase="draw")
        event(8.0, kind="phase", phase="score")  # 8 pictures of 10 steps: 0.1 s a picture and step
        event(0.5, kind="phase", phase="train")
    event(kind="phase", phase="export")
    event(2.0, kind="phase", phase="")
    return run


def test_nothing_is_promised_before_a_like_run_was_measured(data):
    spec = SPEC
    assert expectation.expectation(data, spec) == expectation.Expectation(None, None, 0, expectation.NOT_MEASURED)
    assert "not measured yet" in expectation.NOT_MEASURED
    queued = past_run(data, 0.2, 500)
    (queued.path / "events.jsonl").unlink()
    assert expectation.expectation(data, spec).runs == 0
    past_run(data, 0.2, 500, batch_size=2)
    past_run(data, 0.2, 500, gradient_checkpointing=True)
    past_run(data, 0.2, 500, resolution=64)
    past_run(data, 0.2, 500, adapter={"method": "delora"}, prior_weight=0)
    shared = past_run(data, 0.8, 1500).path / "events.jsonl"  # a step of four runs at once tells nothing of one alone
    shared.write_text(shared.read_text().replace('"kind": "step"', '"kind": "step", "together": 4'))
    assert expectation.expectation(data, spec).runs == 0, "those were not alike"


def test_time_and_memory_come_from_like_runs(data):
    past_run(data, 0.2, 900, class_seconds=20.0)
    spec = presets.make_spec(
        "embedded", "delora", "quick", class_word="dog", steps=100, save_every=20, class_pictures=10
    ).model_copy(update={"sample": past_run(data, 0.4, 800).spec.sample})
    told = expectation.expectation(data, spec)
    # prepare 3 + export 2, 100 steps of the middle of 0.2 and 0.4, 5 saves scored in 0.5 each, 6 x 8 pictures of 1 s
    assert told.seconds == pytest.approx(5 + 100 * 0.3 + 5 * 0.5 + 48, rel=1e-3)
    assert told.memory_mb == 900 and told.runs == 2
    assert told.words == "About 1 min and 0.9 GB of memory, judged by 2 like runs on this computer."
    other_kind = spec.model_copy(update={"class_prompt": "a cat"})
    assert expectation.expectation(data, other_kind).seconds == pytest.approx(told.seconds + 20, rel=1e-3)
    longer = spec.model_copy(update={"start_step": 60, "parent": "x"})
    assert expectation.expectation(data, longer).seconds == pytest.approx(5 + 40 * 0.3 + 2 * 0.5 + 24, rel=1e-3)


def test_what_was_read_once_is_not_read_again(data):
    for _ in range(5):
        past_run(data, 0.2, 900)
    expectation.expectation(data, SPEC)
    began = time.process_time()
    assert expectation.expectation(data, SPEC).runs == expectation.RUNS_USED
    assert time.process_time() - began < 0.05
