"""The local engine's four verbs, without a worker."""

import threading
import time

import pytest
from workshop import make_run

from app import control
from app.work import processes
from app.work.engines import Gone, Need, Running, Waiting, job_name, open_engine, records, split_name
from app.work.engines.local import LocalEngine
from training.errors import BadInput


def test_delora_engine_chooses_and_an_unknown_one_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("DELORA_ENGINE", raising=False)
    assert isinstance(open_engine(tmp_path), LocalEngine)
    monkeypatch.setenv("DELORA_ENGINE", "abacus")
    with pytest.raises(BadInput, match="no engine 'abacus'. Choose one of: local"):
        open_engine(tmp_path)


def test_a_name_says_run_and_attempt():
    assert split_name(job_name("20261125-120000-my.dog-ab12", 3)) == ("20261125-120000-my.dog-ab12", 3)
    with pytest.raises(ValueError, match="no job's name"):
        split_name("nothing")


def test_the_same_job_submitted_by_many_at_once_waits_once(tmp_path):
    engines = [LocalEngine(tmp_path) for _ in range(6)]
    threads = [threading.Thread(target=engine.submit, args=("run", 1, Need())) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engines[0].poll() == {"run.1": Waiting(ahead=0)}
    assert len(engines[0].queues["train"].pending()) == 1


def test_what_waits_is_told_in_order_of_priority_then_age(tmp_path):
    engine = LocalEngine(tmp_path)
    for run, priority in (("a", 0), ("b", 0), ("c", 5)):
        engine.submit(run, 1, Need(priority=priority))
    engine.submit("picture", 1, Need(kind="generate"))
    assert engine.poll() == {"c.1": Waiting(0), "a.1": Waiting(1), "b.1": Waiting(2), "picture.1": Waiting(0)}
    capacity = engine.capacity()
    assert (capacity.waiting, capacity.running, capacity.working) == (4, 0, False)
    assert capacity.threads >= 1


def test_the_queue_survives_its_process_and_holds_no_pickle(tmp_path):
    LocalEngine(tmp_path).submit("run", 1, Need())
    engine = LocalEngine(tmp_path)
    assert engine.poll() == {"run.1": Waiting(0)}
    (blob,) = engine.queues["train"].storage.enqueued_items()
    assert bytes(blob).startswith(b"{") and b'"args": ["run", 1]' in bytes(blob)


def test_stopping_a_waiting_job_takes_only_that_one_out(tmp_path):
    engine = LocalEngine(tmp_path)
    for run in ("a", "b", "c"):
        engine.submit(run, 1, Need())
    assert engine.stop("b.1") is True
    assert engine.stop("b.1") is False
    assert list(engine.poll()) == ["a.1", "c.1"]


def test_a_stopped_waiting_run_is_stopped_and_can_be_started_again(tmp_path):
    engine, run = LocalEngine(tmp_path), make_run(tmp_path)
    name = control.start(tmp_path, run, engine=engine)
    assert control.start(tmp_path, run, engine=engine) == name  # pressed twice
    control.stop(tmp_path, run, engine=engine)
    assert (run.state().name, run.state().message) == ("stopped", "Removed from the queue.")
    assert engine.poll() == {}
    assert control.start(tmp_path, run, engine=engine) == name
    assert engine.poll() == {name: Waiting(0)}
    assert run.state().name == "queued" and not run.stop_requested()


def test_a_record_without_its_process_is_gone(tmp_path):
    engine = LocalEngine(tmp_path)
    record = engine.records.open("run.1", "train", guard=2**22 - 3, group=2**22 - 3)  # no such process
    assert engine.poll() == {"run.1": Gone("it ended")}
    engine.records.close(record, "ended with code 0")
    assert engine.poll() == {"run.1": Gone("ended with code 0")}
    assert engine.submit("run", 1, Need()) == "run.1"  # an ended job may be put in again
    assert engine.poll() == {"run.1": Waiting(0)}


def test_a_job_of_another_computer_counts_as_running_until_this_one_has_the_folder(tmp_path, monkeypatch):
    engine = LocalEngine(tmp_path)
    monkeypatch.setattr(records, "node", lambda: "elsewhere")
    engine.records.open("run.1", "train", guard=2**22 - 3, group=2**22 - 3)
    monkeypatch.undo()
    assert isinstance(engine.poll()["run.1"], Running)
    monkeypatch.setattr(processes, "end_group", lambda group: pytest.fail("that number is another group's here"))
    assert engine.stop("run.1", grace=0) is False
    engine.records.sweep()
    assert engine.poll() == {"run.1": Gone("the worker on elsewhere ended")}


def test_an_order_to_end_a_job_only_ever_comes_earlier(tmp_path):
    jobs, soon = LocalEngine(tmp_path).records, time.time() + 5
    jobs.end_at("run.1", soon)
    jobs.end_at("run.1", soon + 60)
    assert jobs.deadline("run.1") == soon
    jobs.end_at("run.1", soon - 1)
    assert jobs.deadline("run.1") == soon - 1


def test_a_run_that_is_done_is_not_started_again(tmp_path):
    run = make_run(tmp_path)
    for name in ("starting", "running", "done"):
        run.set_state(name)
    with pytest.raises(BadInput, match="is done"):
        control.start(tmp_path, run, engine=LocalEngine(tmp_path))
