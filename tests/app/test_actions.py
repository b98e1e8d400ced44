"""The named actions: a run is started, watched, stopped and fetched by plain values."""

import pytest
from badpictures import colourful

from app import actions
from app.drafts import draft
from app.work.engines.local import LocalEngine
from training import presets
from training.errors import BadInput
from training.runs import rundir


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def uploads(tmp_path, count=2):
    found = []
    for i in range(count):
        colourful((192, 128), seed=i).save(tmp_path / f"{i}.png")
        found.append(tmp_path / f"{i}.png")
    return found


def test_a_run_is_started_watched_stopped_and_fetched_by_name(data, tmp_path):
    files, engine, before = uploads(tmp_path), LocalEngine(data), draft.load(data)
    run_id = actions.start(
        data,
        files,
        "Biscuit",
        "dog",
        {"method": "lora", "effort": "quick", "rank": 4, "steps": "50", "guidance": 2.5},
        engine=engine,
    )
    run = rundir.open_run(data, run_id)
    assert (run.spec.adapter.rank, run.spec.steps, run.spec.sample.guidance) == (4, 50, 2.5)
    assert all(file.is_file() for file in files) and draft.load(data) == before
    assert [path.name for path in (data / "draft").iterdir()] == [before.folder.name]
    told = actions.status(data, run_id)
    assert (told["state"], told["steps"], told["files"], told["recommended"]) == ("queued", 50, [], None)
    with pytest.raises(BadInput, match="has no file yet: it is queued"):
        actions.download(data, run_id)
    assert actions.stop(data, run_id, engine)["state"] == "stopped" and not engine.poll()
    (run.path / "adapter").mkdir()
    (run.path / "adapter" / "biscuit.safetensors").touch()
    record = '{"step": 40, "trigger": "sks dog", "files": [{"kind": "kohya", "name": "biscuit.safetensors"}]}'
    (run.path / "adapter" / "export.json").write_text(record)
    assert actions.download(data, run_id) == run.path / "adapter" / "biscuit.safetensors"
    assert actions.status(data, run_id)["files"] == ["biscuit.safetensors"]


def test_what_is_wrong_with_a_named_start_is_told_and_leaves_nothing(data, tmp_path):
    files = uploads(tmp_path)
    (tmp_path / "notes.png").write_text("no picture")
    for arguments, settings, field in (
        (([*files, tmp_path / "notes.png"], "Rex", "dog"), {}, "pictures"),
        (([], "Rex", "dog"), {}, "pictures"),
        ((files, "Rex", ""), {}, "class_word"),
        ((files, "Rex", "dog"), {"colour": "red"}, "colour"),
        *(((files, "Rex", "dog"), {word: "x"}, word) for word in ("engine", "data", "files", "delete", "name")),
        ((files, "Rex", "dog"), {"class_word": "cat"}, "class_word"),
        ((files, "Rex", "dog"), {"steps": 10**400}, "steps"),
        ((files, "Rex", "dog"), {"steps": 10**5000}, "steps"),
        ((files, "Rex", "dog"), {"learning_rate": float("nan")}, "learning_rate"),
        ((files, "Rex", "dog"), {"instance_prompt": "\ud800"}, "instance_prompt"),
        ((files, "Rex", "dog"), {"method": "lora", "lambda_": 3}, "lambda_"),
        ((files, "Rex", "dog"), {"method": "magic"}, "adapter.method"),
        ((files, "Rex", "dog"), {"effort": "huge"}, "effort"),
        ((files, "Rex", "dog"), {"rank": 0}, "adapter.rank"),
    ):
        with pytest.raises(BadInput) as caught:
            actions.start(data, *arguments, settings)
        assert caught.value.field == field
    assert rundir.list_runs(data) == [] and not list((data / "draft").iterdir())
    actions.start(data, files, "Rex", "dog", delete=True)
    assert not any(file.exists() for file in files)


def test_an_id_never_leads_out_of_the_data_folder(data, tmp_path):
    other = rundir.create(tmp_path / "other", presets.make_spec("embedded", class_word="dog"), uploads(tmp_path))
    for run_id in (str(other.path), f"../../other/runs/{other.id}", "..", "", "nowhere", "a\0b", "\ud800", "x" * 5000):
        for action in (actions.status, actions.stop, actions.download):
            with pytest.raises(BadInput):
                action(data, run_id)
