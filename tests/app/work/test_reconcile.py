"""Run folders against an engine that has lost, kept or forgotten its jobs; and the fence."""

import os
import subprocess
import sys
import time

import pytest
from workshop import make_run

from app.work import attempts, outcome, reconcile
from app.work.engines import Gone, Running, Waiting
from app.work.reconcile import Reconciler
from training.errors import BadInput, Superseded
from training.runs.run import Run
from training.runs.shortage import Need
from training.runs.states import this_process


class FakeEngine:
    """An engine that knows what a test tells it."""

    def __init__(self, **jobs):
        self.jobs, self.submitted, self.stopped = dict(jobs), [], []

    def poll(self):
        if self.jobs is None:
            raise ConnectionError("the head node is away")
        return self.jobs

    def submit(self, run, attempt, need):
        self.submitted.append((run, attempt))
        self.jobs[f"{run}.{attempt}"] = Waiting()

    def stop(self, name, grace=None):
        self.stopped.append(name)
        return self.jobs.pop(name, None) is not None


class Clock:
    """A clock that a test sets."""

    def __init__(self, now):
        self.now = now

    def time(self):
        return self.now

    monotonic = time


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(reconcile, "QUEUE_SECONDS", 0.0)


@pytest.fixture
def dead_pid():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def look(data, engine):
    return [(finding.run, finding.kind) for finding in Reconciler(data, engine).look()]


def at_work(run: Run, name: str, **process) -> Run:
    for step in ("starting", "running", "stopping"):
        run.set_state(step, **process)
        if step == name:
            return run
    raise ValueError(name)


def test_a_run_lost_from_the_queue_is_put_back_once(tmp_path):
    run, engine = make_run(tmp_path), FakeEngine()
    assert look(tmp_path, engine) == [(run.id, "put back")]
    assert look(tmp_path, engine) == []
    assert engine.submitted == [(run.id, 1)]


def test_a_run_that_was_just_made_is_given_time_to_reach_the_queue(tmp_path, monkeypatch):
    monkeypatch.setattr(reconcile, "QUEUE_SECONDS", 3.0)
    run, engine = make_run(tmp_path), FakeEngine()
    clock = Clock(run.state().updated)
    monkeypatch.setattr(reconcile, "time", clock)
    reconciler = Reconciler(tmp_path, engine)
    for seconds, kinds in ((1.0, []), (1.9, []), (0.2, ["put back"])):
        clock.now += seconds
        assert [finding.kind for finding in reconciler.look()] == kinds


def test_a_run_is_put_back_only_when_it_is_missing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(reconcile, "QUEUE_SECONDS", 3.0)
    run, engine = make_run(tmp_path), FakeEngine()
    clock = Clock(run.state().updated + 60)  # an old one, which a worker may be taking out of the queue just now
    monkeypatch.setattr(reconcile, "time", clock)
    reconciler = Reconciler(tmp_path, engine)
    assert reconciler.look() == []
    clock.now += 2.0
    assert [finding.kind for finding in reconciler.look()] == ["put back"]


def test_a_run_put_back_waits_under_the_number_of_its_next_attempt(tmp_path):
    run, engine = make_run(tmp_path), FakeEngine()
    run.begin_attempt()
    run.attempt = None
    look(tmp_path, engine)
    assert engine.submitted == [(run.id, 2)]


def test_a_queued_run_that_was_stopped_is_not_put_back(tmp_path):
    run, engine = make_run(tmp_path), FakeEngine()
    run.request_stop()
    assert look(tmp_path, engine) == [(run.id, "ended")]
    assert run.state().name == "stopped" and engine.submitted == []


@pytest.mark.parametrize("name", ["starting", "running"])
def test_a_dead_run_is_interrupted_with_what_is_saved(tmp_path, dead_pid, name):
    run = at_work(make_run(tmp_path), name, pid=dead_pid, pid_started=1.0, heartbeat=time.time())
    run.begin_attempt()
    run.checkpoint(200).mkdir(parents=True)
    run.append_event({"kind": "step", "step": 231, "seconds": 2.0})
    engine = FakeEngine(**{f"{run.id}.1": Gone("ended by signal 9")})
    assert look(tmp_path, engine) == [(run.id, "ended")]
    state = Run(run.path).state()
    assert (state.name, state.saved_step, state.step, state.pid) == ("interrupted", 200, 231, None)
    assert "at step 231" in state.message and "Saved up to step 200." in state.message
    assert state.remedy.startswith("Resume repeats 31 steps, about 62 s")


def test_a_run_that_died_while_stopping_is_stopped(tmp_path, dead_pid):
    run = at_work(make_run(tmp_path), "stopping", pid=dead_pid, pid_started=1.0)
    run.begin_attempt()
    look(tmp_path, FakeEngine(**{f"{run.id}.1": Gone()}))
    assert run.state().name == "stopped" and "Nothing is saved yet." in run.state().message


def test_a_living_run_that_the_engine_does_not_know_is_adopted(tmp_path):
    run = at_work(make_run(tmp_path), "running", **this_process())
    assert look(tmp_path, FakeEngine()) == [(run.id, "adopted")]
    assert run.state().name == "running"


def test_a_clock_that_was_set_a_little_kills_nobody(tmp_path):
    now = this_process()
    run = at_work(make_run(tmp_path), "running", **{**now, "pid_started": now["pid_started"] + 1.0})
    assert look(tmp_path, FakeEngine(**{f"{run.id}.1": Gone()})) == [(run.id, "adopted")]


def test_a_number_used_again_by_another_process_is_not_taken_for_the_run(tmp_path):
    run = at_work(make_run(tmp_path), "running", pid=os.getppid(), pid_started=12345.0, heartbeat=1.0)
    engine = FakeEngine(**{f"{run.id}.1": Gone()})
    assert look(tmp_path, engine) == [(run.id, "ended")]


def test_what_cannot_be_seen_is_left_with_words_until_it_has_long_been_silent(tmp_path, dead_pid, monkeypatch):
    run = at_work(make_run(tmp_path), "running", pid=dead_pid, pid_started=1.0, heartbeat=time.time())
    run.begin_attempt()
    assert look(tmp_path, FakeEngine()) == [(run.id, "unknown")]
    assert run.state().name == "running"
    monkeypatch.setattr(reconcile, "SILENT_SECONDS", 0.0)
    assert look(tmp_path, FakeEngine()) == [(run.id, "ended")]


def test_running_and_waiting_jobs_are_left_alone(tmp_path, dead_pid):
    running = at_work(make_run(tmp_path), "running", pid=dead_pid, pid_started=1.0, heartbeat=1.0)
    waiting = make_run(tmp_path)
    engine = FakeEngine(**{f"{running.id}.1": Running("node"), f"{waiting.id}.1": Waiting()})
    assert look(tmp_path, engine) == []


def test_an_engine_that_does_not_answer_changes_nothing(tmp_path):
    run, engine = make_run(tmp_path), FakeEngine()
    engine.jobs = None
    (finding,) = Reconciler(tmp_path, engine).look()
    assert finding.kind == "unknown" and "the head node is away" in finding.words
    assert run.state().name == "queued"


def test_a_damaged_state_is_left_and_named(tmp_path):
    run = make_run(tmp_path)
    (run.path / "state.json").write_text("{")
    assert look(tmp_path, FakeEngine()) == [(run.id, "unknown")]


def test_a_look_over_300_ended_runs_reads_each_once(tmp_path, monkeypatch):
    original = make_run(tmp_path)
    original.set_state("stopped")
    for i in range(300):
        folder = tmp_path / "runs" / f"old-{i}"
        folder.mkdir()
        for name in ("spec.json", "state.json"):
            (folder / name).write_bytes((original.path / name).read_bytes())
    reconciler = Reconciler(tmp_path, FakeEngine())
    reconciler.look()
    monkeypatch.setattr(Run, "state", lambda run: pytest.fail("read again"))
    assert reconciler.look() == []


def test_one_number_goes_to_one_process_and_the_older_attempt_may_not_write(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    first = attempts.take(run, 1)
    monkeypatch.setattr(attempts, "_held", {})  # as another process sees it
    with pytest.raises(Superseded, match="made already"):
        attempts.take(run, 1)
    second = attempts.take(run, 2)
    with pytest.raises(Superseded):
        first.set_state("starting")
    with pytest.raises(Superseded):
        first.check_fence()
    second.set_state("starting")
    with pytest.raises(Superseded, match="taken up by attempt 2"):
        attempts.take(run, 1)


def test_taking_up_what_this_process_holds_is_no_new_attempt(tmp_path):
    run = make_run(tmp_path)
    assert attempts.take(run, 4).attempt == attempts.take(run).attempt == 4
    assert run.newest_attempt() == 4


def test_a_run_in_training_elsewhere_cannot_be_taken_up(tmp_path):
    run = make_run(tmp_path)
    with run.training_lock(), pytest.raises(BadInput, match="being trained by another process"):
        attempts.take(run, 1)
    assert run.newest_attempt() == 0


def test_an_old_attempts_end_does_not_settle_a_run_that_a_newer_one_holds(tmp_path, dead_pid):
    run = at_work(make_run(tmp_path), "running", pid=dead_pid, pid_started=1.0)
    run.begin_attempt()
    run.begin_attempt()
    assert outcome.settle(run, 1).name == "running"
    assert outcome.settle(run, 2).name == "interrupted"


def test_memory_that_ran_out_is_said(tmp_path, dead_pid):
    run = at_work(make_run(tmp_path), "running", pid=dead_pid, pid_started=1.0)
    run.begin_attempt()
    state = outcome.settle(run, 1, out_of_memory=True)
    assert (state.name, state.cause) == ("failed", "memory")
    assert "ran out of memory" in state.message and "a smaller batch" in state.remedy


def test_memory_that_ran_out_is_said_in_the_figures_of_the_trainings_beginning(tmp_path, dead_pid):
    figures = {"needed_gb": 9.2, "free_gb": 7.1, "total_gb": 8.0, "micro_batch": 2, "checkpointing": False}
    need = Need(device="cpu", size_px=512, fix={"batch_size": 1}, **figures)
    run = at_work(make_run(tmp_path), "running", pid=dead_pid, pid_started=1.0, memory=need)
    run.begin_attempt()
    state = outcome.settle(run, 1, out_of_memory=True)
    assert "about 9.2 GB of memory" in state.message and "7.1 of 8.0 GB were free" in state.message
    assert "1 picture at once" in state.remedy and "Nothing is saved yet." in state.message
