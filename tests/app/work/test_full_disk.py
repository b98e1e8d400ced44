"""A full disk under a worker that is at work: it lives, says so, and goes on by itself when there is room."""

import errno
import logging
import os
import time

import pytest
from fulldisk import WHY_NOT, NoRoomBeside, can_mount, mounted
from workshop import Workshop, make_run, until

from app.work import devices, outcome, reconcile, workerfile
from app.work.engines import Gone
from app.work.engines.local import LocalEngine
from app.work.engines.records import Records
from app.work.output import Unfailing, full_disk_in_words
from app.work.reconcile import Reconciler
from app.work.worker import Worker
from training import room
from training.errors import DiskFull
from training.runs import endings

small_disk = pytest.mark.skipif(not can_mount(), reason=WHY_NOT)


class Engine:
    """An engine that knows what a test tells it, and what was submitted to it."""

    def __init__(self, *gone):
        self.jobs, self.submitted = {name: Gone() for name in gone}, []

    def poll(self):
        return self.jobs

    def submit(self, run, attempt, need):
        self.submitted.append((run, attempt))


class Quiet:
    """A drawer with nothing to do."""

    def draw(self, order_id, attempt):
        pass

    def look(self, engine):
        return []


@pytest.fixture
def shop(tmp_path):
    with mounted(tmp_path / "disk", 6) as disk:
        workshop = Workshop(tmp_path / "disk")
        workshop.disk = disk
        yield workshop
        workshop.close()


@small_disk
def test_an_idle_worker_outlives_a_full_disk_and_works_afterwards(shop):
    worker = shop.start_worker()
    shop.disk.fill()
    time.sleep(4)  # some looks
    assert worker.poll() is None and workerfile.held(shop.data)
    assert time.time() - workerfile.read(shop.data).heartbeat < 3  # its own file too goes over its blocks
    shop.disk.empty()
    run = shop.new_run(steps=3)
    shop.start(run)
    shop.until_state(run, "done")
    assert shop.workers == [worker] and worker.poll() is None


@small_disk
def test_a_training_goes_on_over_a_full_disk_that_it_need_not_write_to(shop):
    run = shop.new_run(steps=60, seconds=0.1)
    worker = shop.start_worker()
    shop.start(run)
    shop.until_step(run, 3)
    shop.disk.fill()
    step = run.state().step
    shop.until_step(run, step + 10)
    shop.disk.empty()
    shop.until_state(run, "done")
    assert worker.poll() is None and run.newest_attempt() == 1
    assert [event["step"] for event in run.history("step")] == list(range(1, 61))  # also those of the full disk


@small_disk
def test_a_save_without_room_interrupts_the_run_and_room_resumes_it(shop):
    run = shop.new_run(steps=40, seconds=0.05, save_bytes=1_000_000)
    worker = shop.start_worker()
    shop.start(run)
    until(lambda: run.latest_checkpoint())
    shop.disk.fill()
    shop.until_state(run, "interrupted")
    state = run.state()
    assert state.cause == "disk" and "full" in state.message and state.saved_step == run.latest_checkpoint()
    assert f"Saved up to step {state.saved_step}." in state.message and "by itself" in state.remedy
    time.sleep(3)
    assert run.newest_attempt() == 1 and run.state().name == "interrupted"  # still no room
    shop.disk.empty()
    shop.until_state(run, "done", "interrupted")
    until(lambda: run.newest_attempt() == 2, shop.said)
    assert worker.poll() is None and "There is room on the disk again" in shop.said()


@small_disk
def test_a_run_queued_on_a_full_disk_begins_when_there_is_room(shop):
    run = shop.new_run(steps=3)
    worker = shop.start_worker()
    shop.disk.fill()
    with pytest.raises(DiskFull, match="begins when there is room"):
        shop.start(run)
    time.sleep(4)
    assert worker.poll() is None and "Traceback" not in shop.said()
    shop.disk.empty()
    shop.until_state(run, "done")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "read-only"), ValueError("x")])
def test_no_look_of_a_worker_dies_and_each_part_is_done(tmp_path, monkeypatch, error):
    def fails(*_args, **_more):
        raise error

    worker = Worker(tmp_path, lambda data, minded: Quiet())
    worker.since, worker._looked_after = 0.0, time.monotonic()
    worker.engine = type("Broken", (), {"records": type("Records", (), {"tend": fails})})()
    looked = []
    worker.reconciler = type("Reconciler", (), {"look": lambda self: looked.append(1) or []})()
    monkeypatch.setattr(workerfile, "write", fails)
    worker._look()
    assert looked == [1] and any(str(error) in words for words in worker._told)


def test_one_run_that_cannot_be_written_does_not_keep_the_others_from_being_settled(tmp_path, monkeypatch):
    runs = [make_run(tmp_path) for _ in range(2)]
    for run in runs:
        run.set_state("starting")
        run.set_state("running", pid=2**22, pid_started=1.0, heartbeat=1.0)
        run.begin_attempt()
    settle = outcome.settle

    def refuses(run, attempt, *more, **other):
        if run.id == runs[0].id:
            raise OSError(errno.EIO, "Input/output error")
        return settle(run, attempt, *more, **other)

    monkeypatch.setattr(outcome, "settle", refuses)
    found = Reconciler(tmp_path, Engine(*(f"{run.id}.1" for run in runs))).look()
    assert {finding.run: finding.kind for finding in found} == {runs[0].id: "unknown", runs[1].id: "ended"}


def interrupted(tmp_path, **changes):
    run = make_run(tmp_path)
    run.begin_attempt()
    run.set_state("starting")
    endings.out_of_room(run, DiskFull("The disk is full."))
    if changes:
        run.set_state(**changes)
    return run


def test_what_the_queue_had_to_leave_goes_on_with_room_and_needs_more_each_time(tmp_path, monkeypatch):
    run = interrupted(tmp_path)
    engine = Engine(f"{run.id}.1")
    reconciler = Reconciler(tmp_path, engine)
    free = [0.0]
    monkeypatch.setattr(room, "free_bytes", lambda path: free[0])
    assert reconciler.look() == [] and engine.submitted == []
    free[0] = reconcile.ALWAYS_BYTES
    assert [finding.kind for finding in reconciler.look()] == ["resumed"]
    assert engine.submitted == [(run.id, 2)] and run.state().name == "queued"
    engine.jobs[f"{run.id}.1"] = Gone()
    run.set_state("starting")
    endings.out_of_room(run, DiskFull("The disk is full."))
    assert reconciler.look() == []  # it came no further: twice as much
    free[0] = 2 * reconcile.ALWAYS_BYTES
    assert [finding.kind for finding in reconciler.look()] == ["resumed"]


def test_what_a_person_stopped_or_trained_in_a_terminal_does_not_go_on_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda path: 1e12)
    terminal = interrupted(tmp_path)
    stopped = make_run(tmp_path)
    stopped.begin_attempt()
    stopped.set_state("starting")
    stopped.request_stop()
    assert endings.out_of_room(stopped, DiskFull("The disk is full.")).name == "stopped"
    assert "Stopped before it could save." in stopped.state().message
    engine = Engine(f"{stopped.id}.1")
    assert Reconciler(tmp_path, engine).look() == [] and engine.submitted == []
    assert terminal.state().name == "interrupted"


def test_a_record_without_room_is_kept_and_written_later(tmp_path, monkeypatch):
    records = Records(tmp_path)
    with NoRoomBeside(monkeypatch):
        record = records.open("biscuit.1", "train", os.getpid(), os.getpid())
        assert records.read("biscuit.1") == record and records.all() == [record] and records.at_work(record)
        records.tend()
        assert Records(tmp_path).all() == []  # nothing of it is on the disk
    records.tend()
    assert Records(tmp_path).read("biscuit.1") == record
    records.close(record, "it ended")
    records.forget("biscuit.1")
    assert records.all() == []


def test_the_device_is_had_without_room_for_the_owners_name(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with devices.owner(tmp_path, "Biscuit: training") as lease:
        monkeypatch.setattr(os, "write", full)
        lease.say("Biscuit: export")
        assert devices.holder(tmp_path) is not None
        monkeypatch.undo()
    assert devices.holder(tmp_path) is None


def test_a_full_disk_is_a_line_in_the_log_and_another_error_keeps_its_traceback(caplog):
    log = logging.getLogger("test of huey")
    log.addFilter(full_disk_in_words)
    for error in (OSError(errno.ENOSPC, "No space left on device", "/data/queue.db"), ValueError("a fault of ours")):
        try:
            raise error
        except Exception:
            log.exception("Error reading from %s", "queue")
    first, second = caplog.records
    assert first.getMessage().startswith("Error reading from queue: The disk is full") and not first.exc_info
    assert second.exc_info[1].args == ("a fault of ours",)


def test_printing_to_a_full_log_is_no_error():
    class Full:
        encoding = "utf-8"

        def write(self, words):
            raise OSError(errno.ENOSPC, "No space left on device")

        flush = write

    stream = Unfailing(Full())
    print("a progress bar", file=stream, flush=False)
    assert stream.write("abc") == 3 and stream.encoding == "utf-8"


@small_disk
def test_a_queue_that_cannot_be_opened_for_want_of_room_says_so(tmp_path):
    with mounted(tmp_path / "disk", 1) as disk:
        for queue in LocalEngine(disk.path).queues.values():
            queue.storage.close()
        disk.fill()
        with pytest.raises(DiskFull, match="disk is full: the queue could not be written"):
            LocalEngine(disk.path)
        disk.empty()
        assert LocalEngine(disk.path).poll() == {}
