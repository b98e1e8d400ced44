"""The worker and its jobs as real processes that are killed in every way."""

import os
import shutil
import signal
import subprocess
import sys

import fakejob
import psutil
import pytest
from workshop import Workshop, kill, until, zombies

from app import control
from app.work import processes
from app.work.engines import Gone, Need, Running


@pytest.fixture
def shop(tmp_path):
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.close()


def test_a_queued_run_is_done_by_the_worker_in_a_group_of_its_own_and_leaves_no_process(shop):
    run = shop.new_run(steps=20)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 3)
    state = run.state()
    assert (state.name, state.phase) == ("running", "train")
    assert os.getpgid(state.pid) == shop.record(name).group != os.getpgid(worker.pid)
    assert state.heartbeat == pytest.approx(state.updated, abs=5)
    shop.until_state(run, "done")
    until(lambda: isinstance(shop.engine.poll()[name], Gone))
    assert [event["step"] for event in run.history("step")] == list(range(1, 21))
    assert run.newest_attempt() == 1
    until(lambda: not psutil.Process(worker.pid).children(recursive=True))


def test_a_killed_job_is_interrupted_with_what_is_saved_and_resumes_from_there(shop):
    run = shop.new_run(steps=14, seconds=0.1)
    worker = shop.start_worker()
    shop.start(run)
    shop.until_step(run, 7)
    kill(run.state().pid)
    shop.until_state(run, "interrupted")
    state = run.state()
    assert (state.saved_step, state.pid) == (5, None)
    assert "Saved up to step 5." in state.message and "Resume repeats" in state.remedy
    assert zombies(worker.pid) == []
    assert shop.start(run) == f"{run.id}.2"
    shop.until_state(run, "done")
    assert [event["step"] for event in run.history("step")] == list(range(1, 15))


def test_a_killed_worker_takes_its_training_along_and_its_guard_says_interrupted(shop):
    run = shop.new_run(steps=1000, seconds=0.05, child=True)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 6)
    group = shop.record(name).group
    assert len(processes.members(group)) == 2  # the job and the child that it started
    kill(worker.pid)
    shop.until_state(run, "interrupted")
    assert processes.members(group) == []
    assert "the worker ended" in run.state().message and run.state().saved_step >= 5


def test_worker_and_job_killed_together_end_in_interrupted_at_the_next_start(shop):
    run = shop.new_run(steps=1000)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 6)
    pid, guard = run.state().pid, shop.record(name).guard
    for victim in (guard, worker.pid, pid):  # the guard first: nobody is left to tell
        os.kill(victim, signal.SIGKILL)
    for victim in (guard, worker.pid, pid):
        kill(victim)
    assert run.state().name == "running"
    shop.start_worker()
    shop.until_state(run, "interrupted")
    assert "without a word" in run.state().message and run.state().saved_step >= 5
    assert isinstance(shop.engine.poll()[name], Gone)


@pytest.mark.slow
def test_a_training_that_outlived_worker_and_guard_is_adopted_and_goes_on_to_its_end(shop):
    run, second = shop.new_run(steps=100, seconds=0.1), shop.new_run(steps=2)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 6)
    pid = run.state().pid
    os.kill(worker.pid, signal.SIGSTOP)  # so that it cannot end the group when the guard goes
    until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
    kill(shop.record(name).guard)
    kill(worker.pid)
    step = run.state().step
    shop.start_worker()
    shop.start(second)
    shop.until_step(run, step + 10)
    assert (run.state().name, run.state().pid) == ("running", pid)
    assert isinstance(shop.engine.poll()[name], Running)
    shop.until_state(run, "done")
    shop.until_state(second, "done")
    # The device was the first one's until its end.
    assert second.history("step")[0]["time"] > run.history("step")[-1]["time"]
    assert run.newest_attempt() == 1


def test_a_killed_guard_does_not_leave_its_job_behind(shop):
    run = shop.new_run(steps=1000)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 2)
    group = shop.record(name).group
    kill(shop.record(name).guard)
    shop.until_state(run, "interrupted")
    assert processes.members(group) == [] and zombies(worker.pid) == []


def test_stop_saves_first_and_leaves_no_zombie(shop):
    run = shop.new_run(steps=1000)
    worker = shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 7)
    control.stop(shop.data, run, engine=shop.engine)
    control.stop(shop.data, run, engine=shop.engine)  # pressed twice: still saves
    shop.until_state(run, "stopped")
    assert run.state().saved_step == run.state().step >= 7
    until(lambda: isinstance(shop.engine.poll()[name], Gone))
    assert zombies(worker.pid) == []


def test_a_job_that_does_not_hear_is_ended_by_force_after_its_grace(shop):
    run = shop.new_run(steps=1000, deaf=True)
    shop.start_worker()
    name = shop.start(run)
    shop.until_step(run, 6)
    control.stop(shop.data, run, grace=1.0, engine=shop.engine)
    assert run.state().name == "stopping"
    shop.until_state(run, "stopped")
    assert run.state().saved_step >= 5 and run.state().message.startswith("Stopped")
    assert processes.members(shop.record(name).group) == []


def test_ctrl_c_on_the_worker_saves_says_so_and_leaves_the_queue(shop):
    run, waiting = shop.new_run(steps=1000), shop.new_run(steps=2)
    worker = shop.start_worker()
    shop.start(run)
    shop.start(waiting)
    shop.until_step(run, 3)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0
    assert run.state().name == "stopped" and run.state().saved_step == run.state().step
    assert run.state().message.startswith("Stopped with the app.")
    assert waiting.state().name == "queued"
    shop.start_worker()
    shop.until_state(waiting, "done")


def test_the_other_queue_does_not_wait_for_a_training(shop):
    run = shop.new_run(steps=1000)
    shop.start_worker()
    shop.start(run)
    shop.until_step(run, 1)
    shop.engine.submit("picture", 1, Need(kind="generate"))
    until((shop.data / "picture.1.drawn").exists)
    assert run.state().name == "running"


def test_a_second_worker_is_refused_with_the_number_of_the_first(shop):
    worker = shop.start_worker()
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "worker", "--data", str(shop.data)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(fakejob.__file__))},
    )
    assert done.returncode == 2
    assert f"A worker already works on {shop.data} (process {worker.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_deleted_the_moment_it_is_done_is_no_fault(shop):
    for _ in range(3):
        run = shop.new_run(steps=2)
        shop.start_worker() if not shop.workers else None
        name = shop.start(run)
        shop.until_state(run, "done")
        shutil.rmtree(run.path)  # the worker still waits for its processes
        until(lambda name=name: isinstance(shop.engine.poll().get(name), Gone))
    until(lambda: shop.said().count("Job ") >= 6)
    assert "Traceback" not in shop.said()


def test_a_program_that_cannot_start_fails_the_run_with_its_last_words(shop):
    run = shop.new_run(broken=True)
    shop.start_worker()
    shop.start(run)
    shop.until_state(run, "failed")
    assert "no such module: torch" in run.state().message


def test_a_job_that_raises_fails_the_run(shop):
    run = shop.new_run(crash_at=7)
    shop.start_worker()
    shop.start(run)
    shop.until_state(run, "failed")
    assert "the fake job crashed" in run.state().message and run.state().saved_step == 5
