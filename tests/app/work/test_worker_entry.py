"""The entry point of a job: the device, the heartbeat, the fence and the outcome."""

import threading
import time

import pytest
from workshop import make_run, until

from app.work import attempts, devices, entry
from training.errors import MissingModel


def test_a_job_that_waits_for_the_device_says_for_whom_and_can_be_stopped(tmp_path):
    run, done = make_run(tmp_path), []
    with devices.owner(tmp_path, "drawing for Biscuit"):
        thread = threading.Thread(target=entry.main, args=(run.path, 1, lambda path, lease: done.append(path)))
        thread.start()
        until(lambda: run.state().phase == "waiting for the device")
        assert run.state().message == "Waiting for the device: drawing for Biscuit."
        run.request_stop()
        thread.join(30)
    assert run.state().name == "stopped" and run.state().pid is None and done == []


def test_the_device_is_held_while_the_job_works_and_free_after(tmp_path):
    run, holders = make_run(tmp_path), []
    assert entry.main(run.path, 1, lambda path, lease: holders.append(devices.holder(tmp_path))) == 0
    assert holders == ["Biscuit: training"] and devices.holder(tmp_path) is None


def test_the_heart_beats_while_one_long_call_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(entry, "BEAT_SECONDS", 0.05)
    run, beats = make_run(tmp_path), set()

    def job(path, lease):
        deadline = time.monotonic() + 20
        while len(beats) < 3 and time.monotonic() < deadline:
            beats.add(run.state().heartbeat)
            time.sleep(0.01)

    entry.main(run.path, 1, job)
    assert len(beats) >= 3


def test_a_second_copy_of_a_job_leaves_without_a_change(tmp_path, monkeypatch):
    run, done = make_run(tmp_path), []
    attempts.take(run, 1)
    before = run.state()
    monkeypatch.setattr(attempts, "_held", {})  # as another process sees it
    assert entry.main(run.path, 1, lambda path, lease: done.append(path)) == 0
    assert done == [] and run.state() == before


def test_a_superseded_job_writes_nothing_more(tmp_path):
    run = make_run(tmp_path)

    def job(path, lease):
        ours = attempts.take(run)
        run.begin_attempt()  # somebody else
        ours.set_state("running")

    assert entry.main(run.path, 1, job) == 0
    assert run.state().name == "starting"


def test_an_error_for_a_person_is_the_runs_message_and_its_exit_code_the_jobs(tmp_path):
    run = make_run(tmp_path)

    def job(path, lease):
        raise MissingModel("Stable Diffusion 1.5 is not here.", "Run `delora models get sd15`.")

    assert entry.main(run.path, 1, job) == MissingModel.exit_code
    state = run.state()
    assert (state.name, state.message, state.remedy) == (
        "failed",
        "Stable Diffusion 1.5 is not here.",
        "Run `delora models get sd15`.",
    )


@pytest.mark.parametrize("outcome, code", [("done", 0), ("stopped", 130), ("failed", 4)])
def test_the_exit_code_tells_the_outcome(tmp_path, outcome, code):
    assert entry.main(make_run(tmp_path).path, 1, lambda path, lease: outcome) == code
