"""The run folder: whole or not there, states, fence, events, ids."""

import errno
import itertools
import json
import os
import subprocess
import sys

import pytest

from training import atomic, spec
from training.errors import BadInput, RunFailed, Superseded
from training.runs import rundir, states
from training.runs.run import Run
from training.runs.shortage import Need


@pytest.fixture
def run(tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"pixels")
    return rundir.create(tmp_path, spec.parse({"class_word": "dog", "name": "Biscuit"}), [picture, picture])


def test_a_new_run_is_queued_and_holds_its_spec_and_pictures(run, tmp_path):
    assert run.state().name == "queued"
    assert run.spec == spec.parse({"class_word": "dog", "name": "Biscuit"})
    assert [p.name for p in run.pictures()] == ["00.png", "01.png"]
    assert [r.id for r in rundir.list_runs(tmp_path)] == [run.id]
    assert rundir.open_run(tmp_path, run.id).path == run.path


def test_a_name_is_never_used_as_a_path(tmp_path):
    (tmp_path / "p.png").write_bytes(b"x")
    for name in ("../../etc/passwd", "/", "..", "Bücher & Söhne", "猫"):
        made = rundir.create(tmp_path, spec.parse({"class_word": "dog", "name": name}), [tmp_path / "p.png"])
        assert made.path.parent == tmp_path / "runs"
        assert made.id.replace("-", "").isalnum() and made.id.isascii()


def test_a_full_disk_leaves_no_half_made_run(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "p.png").write_bytes(b"x")
    monkeypatch.setattr(rundir.shutil, "copyfile", full)
    with pytest.raises(RunFailed, match="disk is full"):
        rundir.create(tmp_path, spec.parse({"class_word": "dog"}), [tmp_path / "p.png"])
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_without_pictures_is_refused(tmp_path):
    with pytest.raises(BadInput, match="No pictures"):
        rundir.create(tmp_path, spec.parse({"class_word": "dog"}), [])
    assert not (tmp_path / "runs").exists()


def test_the_state_machine_allows_its_moves_and_no_other(run):
    for old, new in itertools.permutations(states.MOVES, 2):
        document = states.RunState(name=old).model_dump_json()
        (run.path / "state.json").write_text(document)
        if new in states.MOVES[old]:
            assert run.set_state(new).name == new
        else:
            with pytest.raises(BadInput, match=f"is {old} and cannot become {new}"):
                run.set_state(new)
            assert run.state().name == old


def test_every_state_can_be_left_but_done_and_every_run_can_end():
    reachable = {"queued"}
    while more := set().union(*(states.MOVES[s] for s in reachable)) - reachable:
        reachable |= more
    assert reachable == set(states.MOVES)
    assert [s for s, moves in states.MOVES.items() if not moves] == ["done"]


def test_taking_a_run_up_again_forgets_the_old_stop_and_the_old_message(run):
    run.set_state("starting")
    run.request_stop()
    assert run.stop_requested()
    run.set_state("running")
    assert run.stop_requested(), "a stop asked for while the run was starting still holds"
    run.set_state("failed", message="It broke.", cause="nan")
    assert run.state().message == "It broke."
    state = run.set_state("queued")
    assert not run.stop_requested() and state.message == "" and state.cause == ""


def test_a_state_without_what_training_needs_opens_and_one_with_it_keeps_it(run):
    old = json.loads((run.path / "state.json").read_text())
    del old["memory"]
    (run.path / "state.json").write_text(json.dumps(old))
    assert run.state().memory is None
    need = {"device": "cuda", "needed_gb": 9.2, "free_gb": 7.1, "total_gb": 8.0, "size_px": 512}
    need |= {"micro_batch": 2, "checkpointing": False, "fix": {"batch_size": 1}}
    run.set_state("starting", memory=Need(**need))
    found = run.set_state("failed", cause="memory").memory
    assert (found.needed_gb, found.free_gb, found.fix, found.fix_gb) == (9.2, 7.1, {"batch_size": 1}, None)
    assert run.state().memory == found


def test_an_older_attempt_cannot_write_once_a_newer_one_holds_the_run(run):
    first, second = Run(run.path), Run(run.path)
    assert (first.begin_attempt(), second.begin_attempt()) == (1, 2)
    second.set_state("starting")
    with pytest.raises(Superseded):
        first.set_state("running")
    assert second.state().name == "starting"


def test_a_dead_process_is_seen_to_be_dead(run):
    run.set_state("starting", **states.this_process())
    assert run.state().alive
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    started = states.started_at(child.pid)
    child.wait()
    run.set_state(pid=child.pid, pid_started=started)
    assert not run.state().alive
    run.set_state(pid=os.getpid(), pid_started=1.0)
    assert not run.state().alive, "a pid that was given to another process is not ours"


def test_events_come_back_in_order_and_a_torn_last_line_is_passed_over(run):
    run.append_event({"kind": "step", "step": 1, "loss": 0.5})
    run.append_event({"kind": "step", "step": 2, "loss": float("nan")})
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 3, "lo')
    assert [e["step"] for e in run.events("step")] == [1, 2]
    assert run.events()[1]["loss"] is None
    run.append_event({"kind": "step", "step": 4})
    assert [e["step"] for e in run.events("step")] == [1, 2, 4]


def test_a_reader_that_follows_sees_every_event_once(run):
    seen, offset = run.events_from(0)
    for step in range(3):
        run.append_event({"step": step})
        new, offset = run.events_from(offset)
        seen += new
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"step": 3')
        file.flush()
        assert run.events_from(offset) == ([], offset)
        file.write("}\n")
    assert [e["step"] for e in seen + run.events_from(offset)[0]] == [0, 1, 2, 3]


def test_steps_made_again_after_a_crash_count_once(run):
    for step in (1, 2, 3):
        run.append_event({"kind": "step", "step": step, "attempt": "lost"})
    run.append_event({"kind": "resume", "step": 1})
    for step in (2, 3, 4):
        run.append_event({"kind": "step", "step": step, "attempt": "kept"})
    history = run.history("step")
    assert [(e["step"], e["attempt"]) for e in history] == [(1, "lost"), (2, "kept"), (3, "kept"), (4, "kept")]


def test_scores_with_nan_are_still_json(run):
    assert run.scores() is None
    run.write_scores({"dino": [0.5, float("nan")]})
    assert json.loads((run.path / "scores.json").read_text()) == {"dino": [0.5, None]} == run.scores()


def test_a_damaged_spec_or_state_is_named(run, tmp_path):
    (run.path / "state.json").write_text("{")
    with pytest.raises(BadInput, match="state.json is damaged"):
        run.state()
    (run.path / "spec.json").write_text("{")
    with pytest.raises(BadInput, match="spec.json is damaged"):
        _ = run.spec
    with pytest.raises(BadInput, match="no run 'nothing'"):
        rundir.open_run(tmp_path, "nothing")


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    file = tmp_path / "state.json"
    atomic.write_text(file, "old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError), atomic.new_folder(tmp_path / "save") as folder:
        (folder / "half").write_text("x")
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):
        with atomic.new_folder(tmp_path / "save") as folder:
            (folder / "file").write_text(content)
    assert (tmp_path / "save" / "file").read_text() == "second" and len(list(tmp_path.iterdir())) == 1


def test_sweep_removes_what_a_killed_process_left(tmp_path):
    (tmp_path / ".step-000002.abc.part").mkdir()
    (tmp_path / ".state.json.abc.part").write_text("half")
    (tmp_path / "step-000001").mkdir()
    atomic.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000001"]
