"""`delora app` at its edges: addresses, logins, ports, and which worker it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from appprocess import App, living
from typer.testing import CliRunner
from workshop import until

from app.cli import cli
from app.computer import downloads
from app.web import server
from app.work import launch, presence, workerfile
from training.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def data(tmp_path):
    """A data folder of whose processes none is left behind."""
    yield tmp_path
    for process in living(tmp_path):
        process.kill()


def test_another_address_is_refused_without_a_login(tmp_path):
    result = CliRunner().invoke(cli, ["app", "--host", "0.0.0.0", "--no-browser", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and "--auth" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("wrong", [("--allow-host", "https://a.example/"), ("--root-path", "https://a.example/x")])
def test_a_name_or_a_path_that_is_none_is_refused(tmp_path, wrong):
    result = CliRunner().invoke(cli, ["app", *wrong, "--no-browser", "--data", str(tmp_path / "data")])
    assert result.exit_code == 2 and wrong[0] in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["ä..", "h" * 300, "a\udcff"])
def test_a_host_that_can_be_none_is_refused(host):
    with pytest.raises(BadInput, match="is no name or address"):
        server.bind(host, 0)


def test_nobodys_folder_of_models_is_refused(tmp_path):
    folder = ["--models-folder", "~no-such-user/models", "--auth", "a:b"]
    result = CliRunner().invoke(cli, ["app", *folder, "--port", "0", "--no-browser", "--data", str(tmp_path)])
    assert result.exit_code == 2 and "A folder of models cannot be used" in result.stderr


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


APP = """
import os, signal, sys
from pathlib import Path
from app.web import server, ui
from app.work import workerfile
from workshop import until

data, number = Path(sys.argv[1]), int(sys.argv[2])

def building(*_, **__):
    until(lambda: workerfile.held(data) and workerfile.read(data).by_app)
    os.kill(os.getpid(), number)
    raise AssertionError("it went on")

ui.application = building
server.serve(data, host="localhost", port=0, auth=[], browser=False)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_pages_are_built_leaves_no_worker(data, number):
    command = [sys.executable, "-P", "-c", APP, str(data), str(int(number))]
    environment = launch.environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + number and "Traceback" not in done.stderr, done.stderr
    assert workerfile.read(data).ended
    until(lambda: living(data) == [])  # it says so a moment before it is gone


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with server._leaves_in_order(signal.SIGHUP):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_ends_the_app_and_leaves_no_process(data):
    app = App(data)
    try:
        app.until(lambda: workerfile.held(data) and workerfile.read(data).by_app, 60)
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(60) == 0
        assert app.processes() == [] and workerfile.read(data).ended
    finally:
        app.close()
