"""`delora app` at its edges: addresses, logins, ports, and which worker it ends."""

import os
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.computer import downloads
from app.web import server
from app.work import presence
from training.errors import BadInput


def test_another_address_is_refused_without_a_login(tmp_path):
    result = CliRunner().invoke(cli, ["app", "--host", "0.0.0.0", "--no-browser", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and "--auth" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("wrong", [("--allow-host", "https://a.example/"), ("--root-path", "https://a.example/x")])
def test_a_name_or_a_path_that_is_none_is_refused(tmp_path, wrong):
    result = CliRunner().invoke(cli, ["app", *wrong, "--no-browser", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and wrong[0] in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("line", ["anna", "anna:", ":secret", ""])
def test_a_login_that_is_none_is_refused(line):
    with pytest.raises(BadInput, match="NAME:PASSWORD"):
        server.logins([line])
    assert server.logins(["anna:se:cret"]) == {"anna": "se:cret"}


def test_a_taken_port_gives_way_to_the_next():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with server.bind("127.0.0.1", port) as found:
            assert port < found.getsockname()[1] <= port + server.PORTS_TRIED


def test_only_living_apps_are_others(tmp_path):
    presence.join(tmp_path)
    try:
        assert presence.others(tmp_path) == []
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            presence.note(tmp_path, sleeper.pid)
            assert presence.others(tmp_path) == [sleeper.pid]
        finally:
            sleeper.kill()
            sleeper.wait()
        assert presence.others(tmp_path) == []
    finally:
        assert presence.leave(tmp_path)
    assert not (tmp_path / "queue" / "apps" / str(os.getpid())).exists()


def test_a_download_without_a_hub_ends_with_its_words(tmp_path, monkeypatch):
    with socket.socket() as nobody:  # bound, never listening: every connection is refused
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert downloads.main(tmp_path, "dino") == 4
    told = downloads.read(tmp_path, "dino")
    assert "did not arrive whole" in told.words and "Check the connection" in told.words


def test_an_unknown_model_is_not_downloaded(tmp_path):
    with pytest.raises(BadInput, match="no model that can be downloaded"):
        downloads.start(tmp_path, "gpt")
