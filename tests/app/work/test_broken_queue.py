"""A queue that is no database is begun anew, and what waited in it is put back from the run folders."""

import json
import os
import shutil
import sqlite3
import time

import pytest
from workshop import make_run

from app import control
from app.work import reconcile
from app.work.engines import Need, Waiting, job_name
from app.work.engines.local import LocalEngine
from app.work.reconcile import Reconciler
from training.errors import StudioError


def queued(data):
    engine = LocalEngine(data)
    run = make_run(data)
    return engine, run, control.start(data, run, engine=engine)


def waits(engine, name) -> bool:
    return isinstance(engine.poll().get(name), Waiting)


BROKEN = {
    "text": lambda path: path.write_text("no database " * 500),
    "a cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "nothing": lambda path: path.write_bytes(b""),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "no file": lambda path: path.unlink(),
    "other tables": lambda path: (path.unlink(), sqlite3.connect(path).execute("create table task (x)").close()),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("open_already", [True, False])
def test_a_broken_queue_is_begun_anew_and_what_waited_is_put_back(tmp_path, monkeypatch, how, open_already):
    monkeypatch.setattr(reconcile, "QUEUE_SECONDS", 0.0)
    engine, run, name = queued(tmp_path)
    assert waits(engine, name)
    for huey in engine.queues.values():  # as when the last app was closed: nothing is left in SQLite's own files
        huey.storage.sql("pragma wal_checkpoint(truncate)", results=True)
    path = tmp_path / "queue" / "queue.db"
    if not open_already:
        for huey in engine.queues.values():
            huey.storage.close()
    BROKEN[how](path)
    engine = engine if open_already else LocalEngine(tmp_path)
    for _ in range(3):
        Reconciler(tmp_path, engine).look()
        time.sleep(0.01)
    reconciler = Reconciler(tmp_path, engine)
    reconciler.look()
    reconciler.look()
    assert waits(engine, name) and run.state().name == "queued"
    assert waits(LocalEngine(tmp_path), name), "another process sees the same queue"


def test_the_broken_file_is_kept_beside_the_new_one(tmp_path):
    engine, _, _ = queued(tmp_path)
    for huey in engine.queues.values():
        huey.storage.close()
    (tmp_path / "queue" / "queue.db").write_text("no database")
    LocalEngine(tmp_path)
    (kept,) = (tmp_path / "queue").glob("queue.db.damaged-*")
    assert kept.read_text() == "no database"


def test_what_stands_in_the_queue_and_is_no_job_of_ours_is_taken_out(tmp_path):
    engine, _, name = queued(tmp_path)
    good = json.loads(bytes(engine.queues["train"].storage.enqueued_items()[0]))
    for bad in (
        b"{",
        b"[]",
        b"\xff",
        json.dumps({**good, "args": [5]}).encode(),
        json.dumps({**good, "id": "x"}).encode(),
    ):
        engine.queues["train"].storage.enqueue(bad)
    assert list(engine.poll()) == [name] and waits(engine, name)
    assert engine.queues["train"].pending_count() == 1


def test_a_database_that_somebody_holds_is_not_taken_for_a_broken_one(tmp_path):
    engine, _, name = queued(tmp_path)
    for huey in engine.queues.values():
        huey.storage._timeout = 0.1
        huey.storage.close()
    other = sqlite3.connect(tmp_path / "queue" / "queue.db", isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(StudioError, match="cannot be used: database is locked"):
        engine.queues["train"].storage.enqueue(b"{}")
    other.execute("rollback")
    assert waits(engine, name) and not list((tmp_path / "queue").glob("*.damaged-*"))


def test_a_queue_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "queue").write_text("")
    with pytest.raises(StudioError, match="queue"):
        LocalEngine(tmp_path)


def test_records_of_wrong_types_are_none(tmp_path):
    engine = LocalEngine(tmp_path)
    engine.records.open("run.1", "train", 4, 4)
    path = engine.records.folder / "run.1.json"
    whole = json.loads(path.read_text())
    for change in ({"group": 0}, {"guard": "4"}, {"started": 1e300}, {"name": 5}, {"name": job_name("run", 2)}):
        path.write_text(json.dumps({**whole, **change}))
        expected = [] if change != {"guard": "4"} else ["run.1"]
        assert [record.name for record in engine.records.all()] == expected, change


@pytest.mark.parametrize("what", ["submit.lock", "mend.lock", "device.lock", "worker.lock"])
@pytest.mark.parametrize("instead", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_a_lock_of_the_queue_that_is_no_file_keeps_nobody_waiting(tmp_path, what, instead):
    engine = LocalEngine(tmp_path)
    (tmp_path / "queue" / what).unlink(missing_ok=True)
    instead(tmp_path / "queue" / what)
    run = make_run(tmp_path)
    assert waits(engine, control.start(tmp_path, run, engine=engine))


def test_a_queue_folder_that_is_gone_is_made_again(tmp_path):
    engine, run, _ = queued(tmp_path)
    shutil.rmtree(tmp_path / "queue")
    name = engine.submit(run.id, 2, Need("train"))
    assert waits(engine, name) and (tmp_path / "queue" / "queue.db").is_file()


def test_a_queue_folder_that_became_a_file_under_the_app_is_told(tmp_path):
    engine, run, _ = queued(tmp_path)
    shutil.rmtree(tmp_path / "queue")
    (tmp_path / "queue").write_text("a file")
    with pytest.raises(StudioError, match="queue"):
        engine.submit(run.id, 2, Need("train"))
    with pytest.raises(StudioError, match="queue"):
        engine.records.end_at("run.1", 1.0)
    assert (tmp_path / "queue").read_text() == "a file"
