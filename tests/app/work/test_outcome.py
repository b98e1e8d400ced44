"""What is said of a run whose process is gone: killed early, never begun, in a terminal, with a clock that was set."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fulldisk import WHY_NOT, can_mount, read_only
from typer.testing import CliRunner
from workshop import Workshop, make_run, until

from app.cli import cli
from app.work import launch, outcome, processes, reconcile
from app.work.reconcile import Reconciler
from training.runs.run import Run
from training.runs.states import started_at

IN_A_DAY = time.time() + 86_400


@pytest.fixture
def shop(tmp_path):
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.close()


@pytest.fixture
def dead_pid():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def killed(data, pid, **changes) -> Run:
    """A run whose process is gone and whose state does not know."""
    run = make_run(data)
    run.begin_attempt()
    run.set_state("starting")
    run.checkpoint(5).mkdir(parents=True)
    run.append_event({"kind": "step", "step": 7, "seconds": 1.0})
    run.set_state("running", pid=pid, pid_started=1.0, step=7, heartbeat=1.0)
    state = run.state().model_copy(update={"updated": 1.0, **changes})
    (run.path / "state.json").write_text(state.model_dump_json())
    return run


def started(tmp_path, how, *, log="", before=""):
    """The state of a run whose program ended, as the guard says `how`, before it took the run up."""
    run = make_run(tmp_path)
    (run.path / "log.txt").write_text(before + log)
    run.set_state("starting")
    return outcome.settle(run, 1, how, said=len(before))


def test_a_program_that_says_nothing_is_told_by_how_it_ended(tmp_path):
    state = started(tmp_path, "ended with code 3")
    assert state.name == "failed"
    assert state.message == (
        "The training program could not be started: it ended with code 3 and wrote no word of why."
    )


def test_a_line_of_an_earlier_attempt_is_not_taken_for_the_reason(tmp_path):
    state = started(tmp_path, "ended with code 3", before="RuntimeError: of yesterday\n")
    assert "yesterday" not in state.message and "no word of why" in state.message
    state = started(tmp_path, "ended with code 1", before="RuntimeError: of yesterday\n", log="no such module\n\n")
    assert state.message == "The training program could not be started: no such module"


@pytest.mark.parametrize("how", ["ended by signal 9", "its guard was killed"])
def test_a_program_that_was_killed_before_it_began_is_interrupted_and_not_broken(tmp_path, how):
    state = started(tmp_path, how, before="an old line\n")
    assert state.name == "interrupted" and how in state.message and "old line" not in state.message
    assert "Nothing is saved yet." in state.message and state.resumable


def test_a_guard_that_is_killed_before_it_says_a_word_is_told_so(tmp_path, monkeypatch):
    run, popen = make_run(tmp_path), subprocess.Popen

    def killed(*args, **more):
        guard = popen(*args, **more)
        guard.send_signal(signal.SIGKILL)
        return guard

    monkeypatch.setattr(subprocess, "Popen", killed)
    with pytest.raises(OSError, match="its guard was ended by signal 9 before the training began"):
        launch.start(run, 1, ["sleep", "60"])


def test_a_launcher_killed_early_leaves_a_run_that_can_be_resumed(shop):
    run = shop.new_run(steps=5)
    shop.start_worker()
    name = shop.start(run)
    until(lambda: shop.record(name), shop.said)
    processes.signal_group(shop.record(name).group, signal.SIGKILL)
    shop.until_state(run, "interrupted", "done")
    assert run.state().name == "interrupted" and run.state().message
    shop.start(run)
    shop.until_state(run, "done")


def delora(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_killed_training_of_a_terminal_is_listed_as_interrupted_with_the_line_that_resumes_it(tmp_path, dead_pid):
    run = killed(tmp_path, dead_pid)
    listed = delora("runs", "list", "--data", tmp_path)
    assert listed.exit_code == 0 and "running" not in listed.stdout
    assert "interrupted" in listed.stdout and f"Resume: delora train --resume {run.id}" in listed.stdout
    assert "Saved up to step 5." in listed.stdout
    assert run.state().name == "interrupted"  # and so it is written


def test_show_says_it_too_and_one_at_work_is_left_alone(tmp_path, dead_pid):
    run = killed(tmp_path, dead_pid)
    shown = delora("runs", "show", run.id, "--data", tmp_path)
    assert "interrupted, step 7" in shown.stdout and f"Resume: delora train --resume {run.id}" in shown.stdout
    here = killed(tmp_path, os.getppid())
    state = here.state().model_copy(update={"pid_started": started_at(os.getppid())})
    (here.path / "state.json").write_text(state.model_dump_json())
    assert "running, step 7" in delora("runs", "show", here.id, "--data", tmp_path).stdout


def test_one_of_another_computer_is_left_alone_while_it_gives_signs_of_life(tmp_path, dead_pid):
    run = killed(tmp_path, dead_pid, heartbeat=time.time() - 5)
    assert outcome.seen(run).name == "running"
    run = killed(tmp_path, dead_pid, heartbeat=time.time() + 5)  # its clock is ahead
    assert outcome.seen(run).name == "running"


def test_a_time_yet_to_come_does_not_keep_a_run_at_work_for_ever(tmp_path, dead_pid):
    assert outcome.seen(killed(tmp_path, dead_pid, heartbeat=IN_A_DAY, updated=IN_A_DAY)).name == "interrupted"


def test_the_worker_measures_silence_itself_where_a_stamp_is_of_time_to_come(tmp_path, dead_pid, monkeypatch):
    run = killed(tmp_path, dead_pid, heartbeat=IN_A_DAY, updated=IN_A_DAY)
    waiting = make_run(tmp_path)
    state = waiting.state().model_copy(update={"updated": IN_A_DAY})
    (waiting.path / "state.json").write_text(state.model_dump_json())

    class Engine:
        submitted = []

        def poll(self):
            return {}

        def submit(self, run, attempt, need):
            self.submitted.append(run)

    engine = Engine()
    monkeypatch.setattr(reconcile, "QUEUE_SECONDS", 0.2)
    monkeypatch.setattr(reconcile, "SILENT_SECONDS", 0.3)
    reconciler = Reconciler(tmp_path, engine)
    assert [finding.kind for finding in reconciler.look()] == ["unknown"]
    time.sleep(0.4)
    assert {finding.kind for finding in reconciler.look()} == {"ended", "put back"}
    assert run.state().name == "interrupted" and engine.submitted == [waiting.id]


@pytest.mark.skipif(not can_mount(), reason=WHY_NOT)
def test_in_a_folder_that_may_not_be_written_the_truth_is_told_all_the_same(tmp_path, dead_pid):
    data = tmp_path / "data"
    data.mkdir()
    run = killed(data, dead_pid)
    with read_only(data):
        listed = delora("runs", "list", "--data", data)
        assert listed.exit_code == 0 and "interrupted" in listed.stdout
        for command in (
            ["runs", "report", run.id],
            ["runs", "delete", run.id, "--yes"],
            ["models", "add", tmp_path / "none"],
            ["worker"],
            ["app", "--no-browser", "--port", "0"],
            ["generate", "a dog", "--out", data / "drawn"],
            ["train", "--resume", run.id],
        ):
            done = delora(*command, "--data", data)
            assert done.exit_code in (2, 3, 4), (command, done.output, done.exception)
            assert done.stderr.count("delora:") == 1 and "Traceback" not in done.stderr, (command, done.stderr)
    assert run.state().name == "running"
