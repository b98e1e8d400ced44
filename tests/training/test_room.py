"""A full disk below everything else: what can still be written, what is kept for later, and what is told before."""

import errno
import json
import os
import resource
import signal
import sqlite3

import pytest
from fulldisk import WHY_NOT, NoRoomBeside, can_mount, mounted

from training import atomic, room
from training.errors import BadInput, DiskFull, disk_full, from_os_error
from training.runs import rundir
from training.spec import SubjectSpec

small_disk = pytest.mark.skipif(not can_mount(), reason=WHY_NOT)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"nobody looks at it")
    return rundir.create(tmp_path, SubjectSpec(name="Biscuit", class_word="dog"), [tmp_path / "picture.png"])


@pytest.fixture
def disk(tmp_path):
    with mounted(tmp_path / "disk", 2) as found:
        yield found


def test_a_state_goes_over_its_own_blocks_where_there_is_no_room_beside(run, monkeypatch):
    before = (run.path / "state.json").stat()
    with NoRoomBeside(monkeypatch):
        assert run.set_state("starting", message="x" * 500).message == "x" * 500
        assert run.set_state("interrupted", cause="disk").name == "interrupted"
    assert (run.path / "state.json").stat().st_ino == before.st_ino
    assert run.state().cause == "disk" and run.state().message == ""  # shorter than the one it was written over
    run.set_state("queued")
    assert (run.path / "state.json").read_text().endswith("}\n")  # with room it is a new file, without spaces


@small_disk
def test_on_a_full_disk_states_are_written_and_nothing_is_torn(disk):
    (disk.path / "picture.png").write_bytes(b"nobody looks at it")
    run = rundir.create(disk.path, SubjectSpec(name="Biscuit", class_word="dog"), [disk.path / "picture.png"])
    disk.fill()
    assert disk.free() == 0
    for name in ("starting", "running", "interrupted", "queued", "starting", "failed"):
        run.set_state(name, message=f"now {name}")
        assert (run.state().name, run.state().message) == (name, f"now {name}")
    with pytest.raises(DiskFull, match="The disk is full"):
        run.rename("Rex")
    assert run.name == "Biscuit"


@small_disk
def test_what_does_not_fit_into_the_old_blocks_is_refused_and_the_old_state_stays(disk):
    path = disk.path / "state.json"
    path.write_text('{"name": "old"}')
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        atomic.rewrite_text(path, json.dumps({"name": "x" * 9000}))
    assert json.loads(path.read_text()) == {"name": "old"}
    assert not list(disk.path.glob("*.part"))


@small_disk
def test_an_event_that_fits_only_in_part_leaves_no_torn_line(disk):
    path = disk.path / "events.jsonl"
    atomic.append_line(path, json.dumps({"step": 1}))
    whole = path.read_bytes()
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        atomic.append_line(path, json.dumps({"words": "x" * 9000}))
    assert path.read_bytes() == whole
    disk.empty()
    atomic.append_line(path, json.dumps({"step": 2}))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_write_that_the_system_takes_in_part_is_taken_back(tmp_path):
    """The same without a mount: a limit on the size of files cuts a write short just so."""
    path = tmp_path / "events.jsonl"
    atomic.append_line(path, "first")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(OSError, match="No space left"):
            atomic.append_line(path, "x" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "first\n"


def test_events_wait_in_order_until_there_is_room_and_keep_their_times(run, monkeypatch):
    run.append_event({"kind": "step", "step": 1})
    append = atomic.append_line

    def full(path, line):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "append_line", full)
    run.append_event({"kind": "step", "step": 2})
    run.append_event({"kind": "step", "step": 3})
    assert [event["step"] for event in run.events()] == [1]
    monkeypatch.setattr(atomic, "append_line", append)
    run.append_event({"kind": "step", "step": 4})
    assert [event["step"] for event in run.events()] == [1, 2, 3, 4]
    times = [event["time"] for event in run.events()]
    assert times == sorted(times)


def test_a_heartbeat_without_room_is_no_error(run, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "rewrite_text", full)
    assert run.beat(step=3).step == 0  # the state that is there
    with pytest.raises(DiskFull):
        run.set_state("starting")  # a move that cannot be told is one


def test_too_little_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 3_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    room.check(tmp_path / "not" / "there", 1_900_000, "a save")
    with pytest.raises(DiskFull, match=r"has 3\.0 MB left, and a save needs about 3\.1 MB"):
        room.check(tmp_path, 2_100_000, "a save")
    assert room.warning(tmp_path) == f"The disk of {tmp_path} is nearly full: 3.0 MB left."
    usage.free = 20_000_000
    assert room.warning(tmp_path) == ""


def test_a_full_disk_is_known_whoever_says_so(tmp_path):
    told = from_os_error(OSError(errno.EDQUOT, "Disk quota exceeded"), tmp_path)
    assert isinstance(told, DiskFull) and disk_full(told) is told
    assert disk_full(OSError(errno.ENOSPC, "No space left on device", "a"))
    assert disk_full(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"))
    assert not disk_full(OSError(errno.EACCES, "Permission denied", "/mnt/disk is full/a"))
    assert not disk_full(BadInput("/mnt/disk/runs is missing."))
    with sqlite3.connect(":memory:") as queue, pytest.raises(sqlite3.OperationalError) as full:
        queue.execute("pragma max_page_count = 2")
        queue.execute("create table task (data blob)")
        queue.execute("insert into task values (?)", (bytes(100_000),))
    assert disk_full(full.value)


def test_a_path_with_disk_in_its_name_is_no_full_disk():
    from training.step import lifecycle

    assert lifecycle.explain(BadInput("/mnt/disk/model is missing."), None)[2] == "error"
    assert lifecycle.explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a"), None)[2] == "disk"
