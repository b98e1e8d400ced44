"""The app's own routes give finished pictures and files, nothing else, and nobody past the login."""

import base64
import json
import os
import shutil
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from workshop import make_run

from app.web import ui
from app.web.studio import Studio


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    made = make_run(data)
    for folder in ("samples/step-000006", "samples/.step-000012.part", "adapter", "checkpoints/step-000006"):
        (made.path / folder).mkdir(parents=True)
    (made.path / "samples/step-000006/00-00.png").write_bytes(b"drawn")
    (made.path / "samples/.step-000012.part/00-00.png").write_bytes(b"half")
    (made.path / "adapter/biscuit.safetensors").write_bytes(b"adapter")
    (made.path / "adapter/.biscuit.part").write_bytes(b"half")
    (made.path / "adapter/export.json").write_text(
        json.dumps({"step": 6, "trigger": "sks dog", "files": [{"kind": "kohya", "name": "biscuit.safetensors"}]})
    )
    return made


@pytest.fixture(scope="module")
def client(run):
    return TestClient(ui.application(Studio(run.path.parent.parent)), base_url="http://localhost")


def test_finished_pictures_and_files_are_given(client, run):
    assert client.get(f"/studio/picture/{run.id}/dataset/00.png").content == b"the fake job does not look at it"
    drawn = client.get(f"/studio/picture/{run.id}/step-000006/00-00.png")
    assert drawn.content == b"drawn" and drawn.headers["content-type"] == "image/png"
    file = client.get(f"/studio/file/{run.id}/biscuit.safetensors")
    assert file.content == b"adapter" and "attachment" in file.headers["content-disposition"]


@pytest.mark.parametrize(
    "address",
    [
        "picture/{id}/dataset/..%2Fspec.json",
        "picture/{id}/.step-000012.part/00-00.png",
        "picture/{id}/step-000006/..%2F..%2Fstate.json",
        "picture/..%2F..%2Fetc/dataset/passwd.png",
        "picture/..%2Fruns%2F{id}/dataset/00.png",
        "file/{id}/.biscuit.part",
        "file/{id}/export.json",
        "file/{id}/..%2Fspec.json",
        "file/nobody/biscuit.safetensors",
        "drawing/..%2Fruns/00.png",
        "draft/..%2Fdraft.json",
    ],
)
def test_nothing_else_is_given(client, run, address):
    assert client.get(f"/studio/{address.format(id=run.id)}").status_code == 404


@pytest.mark.parametrize("place", ["samples/step-000006/00-00.png", "dataset/00.png", "adapter/biscuit.safetensors"])
def test_no_link_is_followed(client, run, tmp_path, place):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    address = {
        "samples/step-000006/00-00.png": f"/studio/picture/{run.id}/step-000006/00-00.png",
        "dataset/00.png": f"/studio/picture/{run.id}/dataset/00.png",
        "adapter/biscuit.safetensors": f"/studio/file/{run.id}/biscuit.safetensors",
    }[place]
    path, folder = run.path / place, (run.path / place).parent
    aside = path.rename(path.with_suffix(".aside"))
    for instead in (lambda: path.symlink_to(secret), lambda: os.mkfifo(path), path.mkdir):
        instead()
        assert client.get(address).status_code == 404
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    aside.rename(path)
    elsewhere = shutil.move(folder, tmp_path / folder.name)  # the folder itself is a link
    folder.symlink_to(elsewhere)
    assert client.get(address).status_code == 404
    folder.unlink()
    shutil.move(elsewhere, folder)
    assert client.get(address).status_code == 200


def test_a_data_folder_that_the_owner_linked_is_one(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs").symlink_to(run.path.parent)  # on a larger disk
    client = TestClient(ui.application(Studio(tmp_path / "data")), base_url="http://localhost")
    assert client.get(f"/studio/picture/{run.id}/dataset/00.png").status_code == 200


def test_starting_the_worker_needs_a_header_that_no_foreign_form_sends(client):
    assert client.post("/studio/worker").status_code == 403


def test_the_login_stands_before_pages_pictures_and_status(run):
    client = TestClient(ui.application(Studio(run.path.parent.parent), {"anna": "secret"}), base_url="http://localhost")
    addresses = ("/", "/runs", "/studio/status", f"/studio/picture/{run.id}/dataset/00.png", "/gradio_api/info")
    for address in addresses:
        assert client.get(address).status_code == 401, address
        assert client.get(address, headers=_login("anna", "wrong")).status_code == 401, address
        assert client.get(address, headers=_login("bob", "secret")).status_code == 401, address
        assert client.get(address, headers=_login("anna", "secret")).status_code == 200, address


def _login(name: str, word: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{word}".encode()).decode()}


def test_the_status_names_what_is_open(client, run):
    status = client.get("/studio/status").json()
    assert status["worker"] is False
    assert [(entry["id"], entry["state"]) for entry in status["runs"]] == [(run.id, "queued")]
    assert "Biscuit" in status["html"] and "Start it" in status["html"]


def test_the_server_imports_no_torch(tmp_path):
    code = (
        "import sys, pathlib\nfrom app.web import ui\nfrom app.web.studio import Studio\n"
        "ui.application(Studio(pathlib.Path(sys.argv[1])))\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
