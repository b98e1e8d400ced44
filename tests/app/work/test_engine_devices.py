"""One owner per device, in turn, also between processes and after a kill -9."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from workshop import kill, until

from app.work import devices
from training.errors import Stopped

HOLD = """
import sys, time
from pathlib import Path
from app.work import devices
with devices.owner(Path(sys.argv[1]), "Biscuit: training"):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the device."""
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_held_device_is_waited_for_by_name_and_a_kill_frees_it(tmp_path, other):
    assert devices.holder(tmp_path) == "Biscuit: training"
    told = []

    def ask(present):
        told.append(present)
        os.kill(other.pid, 9)

    with devices.owner(tmp_path, "drawing", ask):
        assert devices.holder(tmp_path) == "drawing"
    assert told[0] == "Biscuit: training"
    assert devices.holder(tmp_path) is None


def test_waiting_ends_when_a_stop_is_asked_for_and_leaves_nothing_held(tmp_path, other):
    with pytest.raises(Stopped, match="Stopped while waiting for Biscuit: training"):
        with devices.owner(tmp_path, "drawing", devices.stop_if(lambda: True)):
            pass
    kill(other.pid)
    with devices.owner(tmp_path, "drawing", lambda present: pytest.fail(f"{present} still holds it")):
        pass


def test_an_owner_that_hands_over_gets_the_device_back_after_the_one_who_waited(tmp_path):
    order = []

    def draw():
        with devices.owner(tmp_path, "drawing"):
            order.append("drawing")
            time.sleep(0.5)
            order.append("drawn")

    with devices.owner(tmp_path, "training") as lease:
        assert lease.hand_over() is False  # nobody waits
        thread = threading.Thread(target=draw)
        thread.start()
        until(lease.wanted)
        assert lease.hand_over() is True
        order.append("training")
        assert devices.holder(tmp_path) == "training"
    thread.join()
    assert order == ["drawing", "drawn", "training"]
