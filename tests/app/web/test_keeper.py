"""The worker as the apps keep it: started again when it died, not for ever, and ended by the last of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from appprocess import living
from fulldisk import NoRoomBeside
from workshop import until

from app import worker
from app.web import keeper as keepers
from app.web.keeper import PAUSES, WELL_SECONDS, Patience, WorkerKeeper
from app.web.parts import machine, strip
from app.web.studio import Studio
from app.work import launch, presence, workerfile

ROOT = Path(__file__).resolve().parents[3]
APP = """
import sys, time
from pathlib import Path
from app.web.keeper import WorkerKeeper
with WorkerKeeper(Path(sys.argv[1])):
    print("here", flush=True)
    sys.stdin.read(1)
"""


@pytest.fixture
def data(tmp_path):
    """A data folder of whose workers none is left behind."""
    yield tmp_path
    for process in living(tmp_path):
        process.kill()


def start_app(data):
    """The part of an app that keeps the worker, as a process: it leaves when its input closes."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", APP, str(data)],
        env=launch.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_the_pauses_grow_and_end_and_a_worker_that_lived_well_begins_anew():
    now = [0.0]
    patience = Patience(lambda: now[0])
    starts = []
    while not patience.over:
        if patience.again():
            patience.started()
            starts.append(now[0])
        now[0] += 0.5
    assert [after - before for before, after in zip(starts, starts[1:], strict=False)] == list(PAUSES[:-1])
    assert now[0] - starts[-1] == PAUSES[-1] and not patience.again()
    patience.forget()  # a person pressed "Start it"
    assert patience.again() and not patience.over
    patience.started()
    now[0] += WELL_SECONDS
    patience.works()
    assert patience.tries == 0


def test_a_killed_worker_is_started_again_and_the_page_needs_no_press(data, monkeypatch):
    monkeypatch.setattr(keepers, "LOOK_SECONDS", 0.1)
    with WorkerKeeper(data) as keeper:
        until(lambda: workerfile.read(data).by_app and workerfile.held(data))
        first = workerfile.read(data).pid
        os.kill(first, signal.SIGKILL)
        until(lambda: workerfile.read(data).pid != first and workerfile.held(data))
        assert keeper.words() == "" and keeper.patience.tries == 2
    assert not workerfile.held(data)  # the last app ends it
    assert workerfile.read(data).ended


def test_a_worker_that_is_slow_to_start_gets_no_second_one_beside_it(data, monkeypatch):
    monkeypatch.setattr(keepers, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(keepers, "PAUSES", (0.05, 0.05, 60.0))
    slow = []

    def start(folder):
        slow.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return slow[-1]

    monkeypatch.setattr(worker, "start_detached", start)
    with WorkerKeeper(data) as keeper:
        time.sleep(0.5)
        assert len(slow) == 1 == keeper.patience.tries
        slow[0].kill()  # once it is dead there is another
        until(lambda: len(slow) == 2)
    slow[1].kill()
    slow[1].wait()


def test_a_worker_that_cannot_start_is_given_up_and_the_page_says_so(data, monkeypatch):
    monkeypatch.setattr(keepers, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(keepers, "PAUSES", (0.05, 0.05, 0.05))
    dead = []

    def start(folder):
        dead.append(subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"]))
        return dead[-1]

    monkeypatch.setattr(worker, "start_detached", start)
    with WorkerKeeper(data) as keeper:
        until(lambda: keeper.patience.over)
        time.sleep(0.3)
        assert len(dead) == 3
        words = "The worker ended 3 times in a row. Why stands in queue/worker.log."
        assert keeper.words() == words
        studio = Studio(data)
        studio.worker_words = keeper.words
        assert words in studio.status()["html"] and "data-start-worker" in studio.status()["html"]
        assert words in machine.work(data, keeper.words())
        keeper.hold()
        assert len(dead) > 3
    for process in dead:
        process.wait()


def test_a_full_disk_is_said_and_no_worker_is_tried_on_it(data, monkeypatch):
    keeper, started = WorkerKeeper(data), []
    monkeypatch.setattr(worker, "start_detached", lambda folder: started.append(1))
    with NoRoomBeside(monkeypatch):
        keeper.look()
        assert started == [] and keeper.words() == "There is no worker while the disk is full."
        html = strip.status(data, Studio(data).engine, keeper.words())["html"]
        assert "is full: 0.0 MB left" in html and "There is no worker while the disk is full." in html


def test_a_worker_that_a_person_ended_stays_ended(data, monkeypatch):
    done = subprocess.Popen([sys.executable, "-P", "-m", "app.worker", str(data)], env=launch.environment())
    until(lambda: workerfile.held(data) and workerfile.read(data).pid == done.pid)
    assert not workerfile.read(data).by_app
    done.send_signal(signal.SIGINT)
    assert done.wait(60) == 0
    keeper, started = WorkerKeeper(data), []
    monkeypatch.setattr(worker, "start_detached", lambda folder: started.append(1))
    keeper.look()
    assert started == [] and keeper.words() == ""
    assert strip.NO_WORKER in strip.status(data, Studio(data).engine, keeper.words())["html"]


def test_two_apps_started_at_once_share_one_worker_and_leave_none(data):
    apps = [start_app(data) for _ in range(2)]
    for app in apps:
        assert app.stdout.readline() == "here\n"
    until(lambda: workerfile.held(data) and workerfile.read(data).by_app)
    threads = [threading.Thread(target=app.stdin.close) for app in apps]  # and ended at once
    for thread in threads:
        thread.start()
    for app in apps:
        assert app.wait(60) == 0
    until(lambda: living(data) == [])  # the one that came too late finds no app that would end it, and goes


def test_of_two_apps_that_leave_one_is_the_last(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        presence.join(tmp_path)
        presence.note(tmp_path, other.pid)
        assert not presence.leave(tmp_path)
    finally:
        other.kill()
        other.wait()
    presence.join(tmp_path)
    assert presence.leave(tmp_path)


def test_an_app_begins_on_a_full_disk(tmp_path, monkeypatch):
    (tmp_path / "queue" / "apps").mkdir(parents=True)
    with NoRoomBeside(monkeypatch):
        presence.join(tmp_path)
        assert presence.leave(tmp_path)
