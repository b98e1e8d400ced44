"""With a login, what is said of a base model's path tells nobody whether anything is there."""

import json
import re
import secrets
import shutil

import pytest
from visitors import LOGIN, Visitor

from app.web import ui
from app.web.studio import Studio
from training.base import hub, modelref
from training.errors import MissingModel

FIELDS = {"Base model", "A model of your own", "Base model it was made for"}
KEY = r'"[0-9a-f]{16}"'  # of a draft


@pytest.fixture
def reach(tmp_path, sd15_folder):
    """A data folder with one added model, one folder that may be named, and a model beside both."""
    data, offered = tmp_path / "data", tmp_path / "offered"
    offered.mkdir()
    (offered / "model").symlink_to(sd15_folder)  # leads out of it
    (offered / "here").mkdir()
    hub.add(sd15_folder, data, "mine")
    modelref.confine(data, [offered])
    yield data, offered
    modelref._confined.clear()


def test_only_added_models_and_those_in_a_given_folder_are_found(reach, sd15_folder):
    data, offered = reach
    assert modelref.resolve("mine", data).path == sd15_folder.resolve()
    assert modelref.resolve("embedded", data).kind == "embedded"
    assert modelref.resolve(str(offered / "here"), data).path == offered / "here"
    told = set()
    paths = [sd15_folder, sd15_folder / "nothing", offered.parent, offered / "model", f"{offered}/../data", "a/b", "~"]
    for path in [*paths, "/etc", "/etc/hostname", "/nowhere", "/proc/self/root", "~nobody/x", "x" * 5000, "\0"]:
        with pytest.raises(MissingModel) as caught:
            modelref.resolve(str(path), data)
        told.add(str(caught.value))
        with pytest.raises(MissingModel, match="by its path"):
            hub.add(path, data)
    assert len(told) == 1 and "--models-folder" in told.pop()


def test_without_a_login_the_owner_names_any_path(tmp_path, sd15_folder):
    assert modelref.resolve(str(sd15_folder), tmp_path).kind == "folder"


def test_no_action_and_no_page_tells_one_path_from_another(reach, sd15_folder):
    data, _ = reach
    studio = Studio(data)
    visitor = Visitor(ui.application(studio, {"anna": "secret"}), LOGIN, studio, sd15_folder)
    there, not_there = str(sd15_folder), str(sd15_folder) + "-nothing"

    def without_name(text: str) -> str:
        return text.replace(not_there, "PATH").replace(there, "PATH")

    def both(ask):
        told = []
        for path in (there, not_there):
            shutil.rmtree(data / "draft", ignore_errors=True)  # else the one before is a part of the answer
            told.append(without_name(ask(path)))
        assert told[0] == told[1]

    both(lambda path: visitor.call("generate", "a dog", "", {"base": path}).text)
    both(lambda path: visitor.call("start", [], "Rex", "dog", {"base": path}).text)
    kinds = {component["id"]: component["props"] for component in visitor.config["components"]}
    asking = [d for d in visitor.config["dependencies"] if FIELDS & {kinds[i].get("label") for i in d["inputs"]}]
    assert len(asking) >= 6
    for dependency in asking:

        def ask(path, dependency=dependency):
            given = [kinds[i] for i in dependency["inputs"]]
            values = [path if props.get("label") in FIELDS else props.get("value") for props in given]
            body = {"data": values, "fn_index": dependency["id"], "session_hash": secrets.token_hex(8)}
            answer = visitor.client.post("/gradio_api/run/predict", json=body).json()
            told = {key: value for key, value in answer.items() if "duration" not in key}
            return re.sub(KEY, "KEY", json.dumps(told))

        both(ask)
