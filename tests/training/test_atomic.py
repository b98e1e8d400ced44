"""Locks and logs of ours: whatever has their name is put aside, and nobody waits for ever."""

import os
import signal
import socket
import threading

import pytest

from training import atomic, jsonfile


def _bound(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


INSTEAD = {
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a link to a file": lambda path: path.symlink_to(path.with_name("outside")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": _bound,
}


@pytest.fixture(autouse=True)
def soon():
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("stuck"))
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name has 108 letters at most
    (tmp_path / "outside").write_text("secret")
    return tmp_path / "lock"


def _enter(path, inside):
    with atomic.locked(path):
        inside.set()


@pytest.mark.parametrize("what", INSTEAD)
def test_a_lock_that_is_no_file_is_put_aside_and_holds_all_the_same(place, what):
    INSTEAD[what](place if what != "a socket" else place.relative_to(place.parent))
    inside = threading.Event()
    with atomic.locked(place):  # a lock is of an open file, so that a thread that opens it anew waits too
        other = threading.Thread(target=_enter, args=(place, inside), daemon=True)
        other.start()
        assert not inside.wait(0.3)
    assert inside.wait(10)
    assert jsonfile.is_regular(place) and len(list(place.parent.glob("lock.damaged-*"))) == 1
    assert (place.parent / "outside").read_text() == "secret" and not (place.parent / "nowhere").exists()


@pytest.mark.parametrize("what", INSTEAD)
def test_a_line_is_appended_to_no_other_kind_of_file(place, what):
    INSTEAD[what](place if what != "a socket" else place.relative_to(place.parent))
    with pytest.raises(OSError):
        atomic.append_line(place, "words")
    assert not atomic._write_over(place, b"words")
    assert (place.parent / "outside").read_text() == "secret" and not (place.parent / "nowhere").exists()


def test_links_are_followed_where_they_are_there_by_right(place):
    place.symlink_to(place.with_name("outside"))
    assert jsonfile.read_bytes(place, follow=True) == b"secret"
    with pytest.raises(jsonfile.BadInput, match=f"{place} cannot be read: it is a link, which is not followed"):
        jsonfile.read_bytes(place)


def test_what_is_put_aside_twice_in_a_second_is_kept_twice(tmp_path):
    for words in ("first", "second", "third"):
        (tmp_path / "state.json").write_text(words)
        jsonfile.put_aside(tmp_path / "state.json")
    assert {path.read_text() for path in tmp_path.iterdir()} == {"first", "second", "third"}
    assert jsonfile.put_aside(tmp_path / "state.json") is None
