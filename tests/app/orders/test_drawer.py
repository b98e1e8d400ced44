"""The drawing process behind a real worker: pictures, models kept ready, one owner of the device, and deaths."""

import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import tinypipeline
from PIL import Image
from workshop import Workshop, kill, until, zombies

from app import control
from app.orders.drawings import parse_request
from app.orders.request import complete
from app.work import devices
from training.runs.run import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder):
    """A data folder with a run of the tiny model that has a save at step 2."""
    from training import loop
    from training.base import models

    data = tmp_path_factory.mktemp("trained")
    run = tinypipeline.run(data, tiny_folder, steps=2, learning_rate=0.05, adapter={"lambda_": 8.0}, class_pictures=0)
    loop.train(run, models.load_base(str(tiny_folder), data=data))
    run.set_state("done")
    return run


class Studio(Workshop):
    """A workshop that draws."""

    def __init__(self, data, run):
        super().__init__(data)
        self.run = Run(shutil.copytree(run.path, data / "runs" / run.id))

    def draw(self, **changes):
        """Ask for one picture of 2 steps, unless told otherwise."""
        values = {"prompt": "a {subject} in the snow", "run": self.run.id, "count": 1, "steps": 2, **changes}
        return control.draw(self.data, parse_request(values), self.engine)

    def until_drawing(self, drawing, *names):
        """Wait until a drawing is in one of the states."""
        until(lambda: drawing.state().name in names, lambda: f"{drawing.state()}\n{self.said()}")
        return drawing.state()

    def drawers(self):
        """The drawing processes that live."""
        return [process.pid for process in self.processes() if "app.orders.drawer" in process.cmdline()]


@pytest.fixture
def studio(tmp_path, trained):
    studio = Studio(tmp_path, trained)
    yield studio
    studio.close()


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture, dtype=int)


def test_pictures_come_with_the_base_models_and_the_second_drawing_loads_nothing(studio, tiny_folder):
    from evaluation.pictures import read_facts
    from training import sample
    from training.base import models

    worker = studio.start_worker("studio")
    first = studio.draw(count=5, seed=7, negative="a cat", guidance=2.0)
    state = studio.until_drawing(first, "done", "failed")
    assert (state.name, state.done, state.total, state.message) == ("done", 10, 10, "")
    assert len(first.pictures()) == len(first.base_pictures()) == 5
    base = models.load_base(str(tiny_folder), data=studio.data)
    how = {"steps": 2, "guidance": 2.0, "negative": "a cat", "batch": 4}
    expected = sample.generate(base, ["a sks dog in the snow"], range(7, 12), **how)
    for path, image in zip(first.base_pictures(), expected, strict=True):
        assert np.array_equal(pixels(path), np.asarray(image))
    assert np.abs(pixels(first.pictures()[0]) - pixels(first.base_pictures()[0])).max() > 2
    assert read_facts(first.pictures()[1]) == {
        "prompt": "a sks dog in the snow",
        "negative": "a cat",
        "steps": 2,
        "guidance": 2.0,
        "sampler": "dpm++",
        "seed": 8,
        "size": 32,
        "base": "tiny",
        "strength": 1.0,
        "run": studio.run.id,
        "step": 2,
    }

    (pid,) = studio.drawers()
    assert devices.holder(studio.data) == "Generate: kept ready"
    second = studio.draw(count=5, seed=7, negative="a cat", guidance=2.0, strength=0, with_base=False)
    assert studio.until_drawing(second, "done", "failed").name == "done"
    assert studio.drawers() == [pid]
    for path, image in zip(second.pictures(), expected, strict=True):
        assert np.array_equal(pixels(path), np.asarray(image))
    alone = studio.draw(run=None, prompt="a dog in the snow", base=str(tiny_folder), sampler="euler", size=48)
    assert studio.until_drawing(alone, "done", "failed").name == "done"
    assert pixels(alone.pictures()[0]).shape == (48, 48, 3) and studio.drawers() == [pid]
    misfit = studio.draw(size=50)
    state = studio.until_drawing(misfit, "done", "failed")
    assert (state.name, state.field) == ("failed", "size") and "multiple of 8: 48" in state.remedy

    run = studio.new_run(steps=3)  # a training: the models leave the device before it
    studio.start(run)
    studio.until_state(run, "done")
    assert studio.drawers() == []
    until(lambda: not zombies(worker.pid))
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0


def test_a_drawing_waits_for_the_next_save_and_the_training_goes_on_after_it(studio):
    run = studio.new_run(steps=1000, seconds=0.5)  # a save every 5 steps
    studio.start_worker("studio")
    studio.start(run)
    studio.until_step(run, 1)
    drawing = studio.draw(count=2)
    state = studio.until_drawing(drawing, "waiting", "failed")
    assert state.alive and state.waits_for.startswith("Biscuit is training; it pauses for you at its next save")
    until(lambda: run.state().phase == "waiting for the device" or drawing.state().ended)
    assert run.state().message == "Waiting for the device: Generate: drawing 2 pictures."
    step = run.state().step
    assert studio.until_drawing(drawing, "done", "failed").name == "done"
    studio.until_step(run, step + 2)
    state = run.state()
    assert (state.name, state.phase, state.message) == ("running", "train", "")
    assert step % 5 in (0, 4)  # the fake job beats after its save
    until(lambda: not studio.drawers())  # nothing of it stays beside a training

    waiting = studio.draw()
    studio.until_drawing(waiting, "waiting")
    control.stop_order(studio.data, waiting, studio.engine)
    assert studio.until_drawing(waiting, "stopped", "done").name == "stopped"


def test_a_drawing_stops_between_two_steps_of_the_sampler(studio):
    studio.start_worker("studio")
    drawing = studio.draw(steps=200, count=64)
    until(lambda: drawing.state().done > 0, lambda: f"{drawing.state()}\n{studio.said()}")
    control.stop_order(studio.data, drawing, studio.engine)
    assert studio.until_drawing(drawing, "stopped", "done").name == "stopped"
    assert 0 < drawing.state().done < 64 and not list(drawing.path.glob("*.part"))


@pytest.mark.slow
def test_a_killed_worker_takes_the_drawing_along_and_what_waits_is_drawn_by_the_next(studio):
    worker = studio.start_worker("studio")
    drawing, waiting = studio.draw(steps=200, count=64), studio.draw(with_base=False)
    until(lambda: drawing.state().done > 0, lambda: f"{drawing.state()}\n{studio.said()}")
    kill(worker.pid)
    state = studio.until_drawing(drawing, "failed")
    assert state.message == "The worker ended before the pictures were done." and state.pid is None
    until(lambda: not studio.drawers())
    assert waiting.state().name == "queued"
    studio.start_worker("studio")
    assert studio.until_drawing(waiting, "done", "failed").name == "done"


@pytest.mark.slow
def test_a_killed_drawing_process_fails_its_drawing_and_the_next_gets_a_new_one(studio):
    worker = studio.start_worker("studio")
    drawing, waiting = studio.draw(steps=200, count=64), studio.draw(with_base=False)
    until(lambda: drawing.state().done > 0, lambda: f"{drawing.state()}\n{studio.said()}")
    os.kill(drawing.state().pid, signal.SIGKILL)
    state = studio.until_drawing(drawing, "failed")
    assert "ended before the pictures were done" in state.message
    assert studio.until_drawing(waiting, "done", "failed").name == "done"
    until(lambda: not zombies(worker.pid))


@pytest.mark.slow
def test_ctrl_c_on_the_worker_stops_the_drawing_and_says_so(studio):
    worker = studio.start_worker("studio")
    drawing, waiting = studio.draw(steps=200, count=64), studio.draw()
    until(lambda: drawing.state().done > 0, lambda: f"{drawing.state()}\n{studio.said()}")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(60) == 0
    assert (drawing.state().name, drawing.state().message) == ("stopped", "Stopped with the app.")
    assert waiting.state().name == "queued" and studio.drawers() == []


def test_a_real_training_hands_the_device_over_once_a_save_is_drawn_and_scored(tmp_path, tiny_folder, judge_folders):
    from app.work.job import run_job

    judges = {kind: str(folder) for kind, folder in judge_folders.items()}
    run = tinypipeline.run(tmp_path, tiny_folder, steps=4, class_pictures=0)
    seen = []

    def draw():
        with devices.owner(tmp_path, "drawing"):
            time.sleep(0.5)
            seen.append((run.state(), run.latest_checkpoint(), list(run.scores()["saves"])))

    with devices.owner(tmp_path, "Biscuit: training", run=run.id) as lease:
        thread = threading.Thread(target=draw)
        thread.start()
        assert run_job(run.path, lease, **judges) == "done"
        assert devices.present(tmp_path).run == run.id
    thread.join()
    ((state, saved, scored),) = seen
    assert (state.name, state.phase) == ("running", "waiting for the device") and (saved, scored) == (2, ["2"])
    assert state.message == "Waiting for the device: drawing."
    phases = [event["phase"] for event in run.events("phase")]
    assert phases[phases.index("waiting for the device") :][:2] == ["waiting for the device", "train"]
    assert run.state().message == ""


@pytest.fixture
def warm(trained, tiny_base, monkeypatch):
    """Models that draw in this process, and a list of the (strength, seeds) that they drew."""
    from app.orders.warm import Warm
    from training import sample

    warm, calls, draw = Warm(trained.path.parent.parent), [], sample.generate

    def spy(base, prompts, seeds, **settings):
        calls.append((settings["strength"], list(seeds)))
        return draw(base, prompts, seeds, **settings)

    monkeypatch.setattr(sample, "generate", spy)
    warm.base, warm.calls = tiny_base, calls
    yield warm
    warm._take_off()


def warm_pictures(warm, run, **changes):
    values = {"prompt": "a {subject}", "run": run.id, "count": 2, "steps": 1, **changes}
    request = complete(warm.data, parse_request(values))
    warm.open(request)
    return {name: np.asarray(image) for name, _, image in warm.pictures(request, lambda done: None)}


def test_another_strength_draws_the_base_model_no_second_time(warm, trained):
    first = warm_pictures(warm, trained)
    second = warm_pictures(warm, trained, strength=0.5)
    assert warm.calls == [(1.0, [0, 1]), (0.0, [0, 1]), (0.5, [0, 1])]
    assert np.array_equal(first["base-01.png"], second["base-01.png"])
    assert not np.array_equal(first["adapter-01.png"], second["adapter-01.png"])
    third = warm_pictures(warm, trained, negative="a cat")
    assert not np.array_equal(first["base-01.png"], third["base-01.png"]) and len(warm.calls) == 5


def test_where_memory_runs_out_fewer_pictures_are_drawn_at_once(warm, trained, monkeypatch):
    from training import sample

    draw, told = sample.generate, []

    def small(base, prompts, seeds, **settings):
        if len(seeds) > 1:
            raise MemoryError
        return draw(base, prompts, seeds, **settings)

    expected = warm_pictures(warm, trained, count=4)
    monkeypatch.setattr(sample, "generate", small)
    request = complete(warm.data, parse_request({"prompt": "a {subject}", "run": trained.id, "steps": 1}))
    warm._base_pictures = {}
    found = {name: np.asarray(image) for name, _, image in warm.pictures(request, told.append)}
    assert found.keys() == expected.keys() and told == list(range(1, 9))
    assert all(np.abs(found[name].astype(int) - expected[name]).max() <= 1 for name in found)
    monkeypatch.setattr(sample, "generate", lambda *a, **k: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        warm_pictures(warm, trained, seed=9)


def test_a_terminal_command_waits_for_the_device_says_for_whom_and_holds_it_while_it_draws(
    tmp_path, tiny_folder, monkeypatch
):
    from typer.testing import CliRunner

    from app.cli import cli
    from training import sample

    holders, draw = [], sample.generate
    monkeypatch.setattr(sample, "generate", lambda *a, **k: holders.append(devices.holder(tmp_path)) or draw(*a, **k))

    def training():
        with devices.owner(tmp_path, "Biscuit: training", run="biscuit") as lease:
            held.set()
            until(lease.wanted)

    held, thread = threading.Event(), threading.Thread(target=training)
    thread.start()
    held.wait()
    arguments = ["a dog", "--base", tiny_folder, "--steps", 1, "--count", 2, "--sampler", "ddim"]
    arguments += ["--out", tmp_path / "out", "--data", tmp_path]
    result = CliRunner().invoke(cli, ["generate", *map(str, arguments)])
    thread.join()
    assert result.exit_code == 0, result.output
    assert "Waiting for the device: Biscuit: training." in result.stderr
    assert holders == ["delora generate: drawing 2 pictures"] and devices.holder(tmp_path) is None
