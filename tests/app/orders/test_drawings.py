"""Drawings on disk: what is asked is checked field by field, states go one way, and only the newest are kept."""

import os
import subprocess
import sys
import threading
import time

import pytest
from workshop import make_run, until

from app import control
from app.orders import drawings, waiting
from app.orders.drawer_process import DrawerProcess
from app.orders.drawings import parse_request
from app.work import devices, launch
from app.work.engines import Need, Waiting, job_name
from app.work.engines.local import LocalEngine
from training.errors import BadInput, MissingModel


def ask(**changes):
    return parse_request({"prompt": "a dog in the snow", **changes})


@pytest.fixture
def run(tmp_path):
    """A run with saves at 5 and 10, of which 5 is recommended."""
    run = make_run(tmp_path)
    for step in (5, 10):
        run.checkpoint(step).mkdir(parents=True)
    run.write_scores({"recommendation": {"step": 5}})
    return run


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"prompt": "  "}, "prompt", "prompt is empty. What to draw"),
        ({"prompt": "x" * 2001}, "prompt", "at most 2000 characters"),
        ({"count": 65}, "count", "It must be less than or equal to 64. How many pictures"),
        ({"count": 0}, "count", "greater than or equal to 1"),
        ({"strength": float("nan")}, "strength", "strength: nan cannot be used"),
        ({"strength": float("inf")}, "strength", "strength: inf cannot be used"),
        ({"sampler": "magic"}, "sampler", "'dpm++', 'ddim' or 'euler'"),
        ({"seed": -1}, "seed", "seed: -1 cannot be used"),
        ({"colour": "red"}, "colour", "there is no such setting"),
    ],
)
def test_a_bad_field_is_named_with_what_it_may_be(changes, field, words):
    with pytest.raises(BadInput) as caught:
        ask(**changes)
    assert caught.value.field == field and words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_samplers_are_those_that_can_draw():
    from typing import get_args

    from app.orders.request import SAMPLER_TITLES, Sampler
    from training.sample import SAMPLERS

    assert tuple(SAMPLERS) == get_args(Sampler) == tuple(SAMPLER_TITLES)


def test_a_request_is_completed_from_its_run_and_never_changes(tmp_path, run):
    drawing = drawings.create(tmp_path, ask(prompt="a {subject} in the snow", run=run.id))
    request = drawing.request()
    assert (request.prompt, request.step, request.base) == ("a sks dog in the snow", 5, "embedded")
    assert drawing.state().total == 8  # the base model's too
    run.write_scores({"recommendation": {"step": 10}})
    assert drawing.request() == request


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"run": "gone"}, "run", "no run 'gone'"),
        ({"run": "../../etc"}, "run", "no run '../../etc'"),
        ({"prompt": "a {subject}"}, "prompt", "no run was chosen"),
        ({"base": "/nowhere/model"}, "base", "/nowhere/model"),
    ],
)
def test_what_is_not_there_is_named_before_anything_is_written(tmp_path, changes, field, words):
    with pytest.raises((BadInput, MissingModel)) as caught:
        drawings.create(tmp_path, ask(**changes))
    assert caught.value.field == field and words in str(caught.value)
    assert not (tmp_path / "drawings").exists()


def test_a_save_that_is_not_there_is_named(tmp_path, run):
    with pytest.raises(BadInput, match="no save at step 7. Its saves: 5, 10") as caught:
        drawings.create(tmp_path, ask(run=run.id, step=7))
    assert caught.value.field == "step"
    with pytest.raises(BadInput, match="has no save yet"):
        drawings.create(tmp_path, ask(run=make_run(tmp_path).id))


def test_a_name_from_outside_never_becomes_a_path(tmp_path):
    drawing = drawings.create(tmp_path, ask())
    assert drawings.open_drawing(tmp_path, drawing.id).request() == drawing.request()
    for name in ("../drawings/" + drawing.id, "", ".", drawing.id + "/..", "drawing-1"):
        with pytest.raises(BadInput):
            drawings.open_drawing(tmp_path, name)


def test_states_go_one_way(tmp_path):
    drawing = drawings.create(tmp_path, ask())
    drawing.set_state("waiting", waits_for="Biscuit is training.", pid=1, pid_started=1.0)
    assert drawing.set_state("drawing").waits_for == ""
    state = drawing.set_state("done", done=4)
    assert (state.ended, state.pid) == (True, None)
    for name in ("drawing", "failed", "queued"):
        with pytest.raises(BadInput, match="is done and cannot become"):
            drawing.set_state(name)


def test_the_pictures_are_the_adapters_or_the_base_models_where_no_run_was_named(tmp_path, run):
    alone, compared = drawings.create(tmp_path, ask()), drawings.create(tmp_path, ask(run=run.id))
    for drawing in (alone, compared):
        for name in ("base-01.png", "base-00.png", ".base-02.png.x.part"):
            (drawing.path / name).touch()
    (compared.path / "adapter-00.png").touch()
    assert [path.name for path in alone.pictures()] == ["base-00.png", "base-01.png"]
    assert alone.base_pictures() == []
    assert [path.name for path in compared.pictures()] == ["adapter-00.png"]
    assert [path.name for path in compared.base_pictures()] == ["base-00.png", "base-01.png"]


def test_only_the_newest_are_kept_and_none_that_is_open(tmp_path):
    made = []
    for i in range(5):
        made.append(drawings.create(tmp_path, ask()))
        if i != 1:
            made[i].set_state("stopped")
        time.sleep(0.002)
    assert [drawing.id for drawing in drawings.list_drawings(tmp_path)] == [drawing.id for drawing in made[::-1]]
    assert drawings.Drawing.prune(tmp_path, keep=2) == [made[2].id, made[0].id]
    assert [drawing.id for drawing in drawings.list_drawings(tmp_path)] == [made[i].id for i in (4, 3, 1)]
    assert not list((tmp_path / "drawings").glob(".*"))


def test_a_waiting_drawing_is_taken_out_of_the_queue(tmp_path):
    engine = LocalEngine(tmp_path)
    first, second = (control.draw(tmp_path, ask(), engine) for _ in range(2))
    assert engine.poll() == {job_name(first.id, 1): Waiting(0), job_name(second.id, 1): Waiting(1)}
    control.stop_order(tmp_path, first, engine)
    assert (first.state().name, first.state().message) == ("stopped", "Removed from the queue.")
    assert list(engine.poll()) == [job_name(second.id, 1)] and not (tmp_path / "runs").exists()


def test_what_the_queue_lost_is_put_back_and_what_died_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("app.orders.drawer_process.QUEUE_SECONDS", 0.0)
    engine, minded = LocalEngine(tmp_path), set()
    lost, taken, dead, alive, done = (drawings.create(tmp_path, ask()) for _ in range(5))
    minded.add(job_name(taken.id, 1))
    dead.set_state("drawing", pid=os.getpid(), pid_started=1.0)  # a number that another process has by now
    alive.set_state("drawing", pid=os.getppid(), pid_started=launch_time(os.getppid()))
    done.set_state("stopped")
    process = DrawerProcess(tmp_path, minded)
    found = [finding for _ in range(2) for finding in process.look(engine)]
    assert {(finding.run, finding.kind) for finding in found} == {(lost.id, "put back"), (dead.id, "ended")}
    assert engine.poll() == {job_name(lost.id, 1): Waiting(0)}
    assert dead.state().name == "failed" and "Draw it again" in dead.state().remedy
    assert (taken.state().name, alive.state().name, done.state().name) == ("queued", "drawing", "stopped")


def launch_time(pid):
    from training.runs.states import started_at

    return started_at(pid)


def test_the_words_of_waiting_count_the_seconds_to_the_next_save(tmp_path):
    assert waiting.sentence(tmp_path) == ""
    run = make_run(tmp_path)  # saves every 60 steps of 240
    with devices.owner(tmp_path, "Biscuit: training", run=run.id):
        pauses = "Biscuit is training; it pauses for you at its next save"
        assert waiting.sentence(tmp_path) == f"{pauses}."
        for step in range(1, 41):
            run.append_event({"kind": "step", "step": step, "seconds": 2.0})
        assert waiting.sentence(tmp_path) == f"{pauses}, in about 40 s."
    with devices.owner(tmp_path, "Biscuit: export"):
        assert waiting.sentence(tmp_path) == "Waiting for the device: Biscuit: export."


def test_drawing_and_scoring_of_a_save_take_part_in_the_time():
    step = {"kind": "step", "step": 60, "seconds": 1.0, "time": 100.0}
    phases = [{"kind": "phase", "phase": name, "time": time} for name, time in (("draw", 101.0), ("train", 131.0))]
    later = {"kind": "step", "step": 110, "seconds": 1.0, "time": 181.0}
    seconds, saves = waiting.seconds_to_save, (60, 120, 180, 240)
    assert seconds([], saves) is None
    assert seconds([step, *phases, later], saves, now=181.0) == 10 + 30
    assert seconds([step, *phases, later], (60, 112), now=181.0) == 2 + 30
    assert seconds([step, *phases, later, {**phases[0], "time": 191.0}], saves, now=201.0) == 20


def test_a_second_training_waits_for_the_first_ones_end_and_is_not_handed_the_device(tmp_path):
    order = []

    def train():
        with devices.owner(tmp_path, "second", run="second"):
            order.append("second")

    thread = threading.Thread(target=train)
    with devices.owner(tmp_path, "first", run="first") as lease:
        thread.start()
        time.sleep(0.5)
        assert not lease.wanted() and lease.hand_over() is False
        short = threading.Thread(target=lambda: draw(tmp_path, order))
        short.start()
        until(lease.wanted)
        assert lease.hand_over() is True
        order.append("first")
    thread.join()
    short.join()
    assert order == ["drawing", "first", "second"]


def draw(data, order):
    with devices.owner(data, "drawing"):
        order.append("drawing")
        time.sleep(0.5)


def test_asking_for_a_drawing_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from pathlib import Path; from app import control; from app.orders import drawings\n"
        f"control.draw(Path({str(tmp_path)!r}), drawings.parse_request({{'prompt': 'a dog'}}))\n"
        "print(sorted(sys.modules.keys() & {'torch', 'diffusers', 'transformers', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=launch.environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_need_of_a_drawing_is_the_other_queue(tmp_path):
    engine = LocalEngine(tmp_path)
    control.draw(tmp_path, ask(), engine)
    engine.submit("run", 1, Need())
    assert len(engine.queues["generate"].pending()) == len(engine.queues["train"].pending()) == 1
