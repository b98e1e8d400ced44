"""A comparison as one thing: made whole, queued in order, stopped, resumed, renamed, damaged, deleted."""

import json
import shutil

import handmade
import pytest

from app.comparisons import begin, comparison, plan, together
from app.work.engines.local import LocalEngine
from training import presets
from training.errors import BadInput, StudioError
from training.runs import rundir

SMALL = {"class_pictures": "2", "sample.seeds": "0", "sample.prompts": "a {subject}"}
RIGHT = {"version": 1, "name": "x", "created": 1.0, "saves": [1], "columns": [{"method": "lora", "run": "x"}]}
WANTED = {"methods": "delora lora", "rates": "1 8", "saves": "2 6"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data folder with `started` in it."""
    data = tmp_path_factory.mktemp("data")
    with begin.subject(data, sample="jeep", fields={"settings": SMALL}) as subject:
        begin.start(data, subject, plan.parse(WANTED), engine=LocalEngine(data))
    return data


@pytest.fixture
def started(whole, tmp_path):
    """A comparison of the sample subject in the queue of an engine that nobody works on."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (made,) = comparison.every(tmp_path)
    return made, LocalEngine(tmp_path)


def states(made):
    return [state and state.name for state in made.states()]


def test_its_runs_differ_in_what_is_compared_and_in_nothing_else(started, tmp_path):
    made, _ = started
    runs = made.runs()
    specs = [run.spec for run in runs]
    usual = {m: presets.make_spec("embedded", m, class_word="car") for m in ("delora", "lora")}
    rates = [(spec.adapter.method, spec.learning_rate, spec.learning_rate_lambda) for spec in specs]
    lambdas = usual["delora"].learning_rate_lambda
    assert rates == [
        ("delora", 1e-2, lambdas), ("delora", 8e-2, 8 * lambdas), ("lora", 1e-3, None), ("lora", 8e-3, None)
    ]  # fmt: skip
    same = {"adapter", "learning_rate", "learning_rate_lambda"}
    assert len({spec.model_dump_json(exclude=same) for spec in specs}) == 1
    assert specs[0].saves == (2, 6) and specs[0].sample.seeds == (0,) and specs[0].name == "Jeep"
    pictures = [[path.read_bytes() for path in run.pictures()] for run in runs]
    assert pictures[0] and all(other == pictures[0] for other in pictures)
    assert not list((tmp_path / "draft").glob("*/draft.json")), "no draft is left"


def test_its_columns_wait_in_the_queue_in_their_order(started):
    made, engine = started
    waiting = [name.rpartition(".")[0] for name in engine.poll()]
    assert waiting == [column.run for column in made.read().columns]
    assert comparison.standing(made.states()) == "queued"


def test_it_is_stopped_and_resumed_as_one(started, tmp_path):
    made, engine = started
    handmade.put(made.runs()[0], "done")
    together.stop(tmp_path, made, engine)
    assert states(made) == ["done", "stopped", "stopped", "stopped"] and engine.poll().keys() <= {
        made.runs()[0].id + ".1"
    }
    assert comparison.standing(made.states()) == "stopped"
    together.start(tmp_path, made, engine=engine)
    assert states(made) == ["done", "queued", "queued", "queued"]
    queued = [column.run for column in made.read().columns][1:]
    assert [name.rpartition(".")[0] for name in engine.poll() if name.rpartition(".")[0] in queued] == queued


def test_a_column_whose_numbers_broke_down_has_come_to_its_end(started, tmp_path):
    made, engine = started
    together.stop(tmp_path, made, engine)
    runs = made.runs()
    for run in runs[:3]:
        handmade.put(run, "done")
    handmade.put(runs[3], "failed", cause="nan", message="The numbers broke down.")
    assert comparison.standing(made.states()) == "done"
    together.start(tmp_path, made, engine=engine)
    assert states(made)[3] == "failed", "a resume would break down again"
    handmade.put(runs[3], "failed", cause="memory", message="Too little.")
    assert comparison.standing(made.states()) == "failed"
    together.start(tmp_path, made, engine=engine)
    assert states(made)[3] == "queued"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("running", "queued"), "running"), (("done", "starting"), "running"), (("stopping", "stopped"), "stopping"),
        (("done", "queued"), "queued"), (("interrupted", "stopped"), "interrupted"), (("failed", "done"), "failed"),
        (("done", None), "done"), ((None, None), "damaged"), (("stopped", "done"), "stopped"),
    ],
)  # fmt: skip
def test_the_state_of_the_whole(tmp_path, names, told):
    found = [name and handmade.put(handmade.run(tmp_path), name).state() for name in names]
    assert comparison.standing(found) == told


def test_nothing_is_left_of_one_that_could_not_be_made(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(comparison.atomic, "new_folder", full)
    with begin.subject(tmp_path, sample="jeep", fields={"settings": SMALL}) as subject:
        with pytest.raises(StudioError):
            begin.make(tmp_path, subject, plan.parse(WANTED))
    assert rundir.list_folders(tmp_path) == [] and comparison.every(tmp_path) == []


def test_a_runs_own_settings_come_into_its_comparison(tmp_path):
    run = handmade.finished(tmp_path, flip=True, learning_rate=0.5)
    for picture in run.pictures():
        _picture(picture)
    with begin.subject(tmp_path, run=run.id) as subject:
        ((_, spec), *_) = begin.specs(tmp_path, subject, plan.parse({**WANTED, "seeds": "3"}))
    assert (spec.flip, spec.learning_rate, spec.seed, spec.parent, spec.start_step) == (True, 1e-2, 3, run.id, None)
    assert (spec.name, spec.class_word, spec.sample.prompts) == ("Biscuit", "dog", run.spec.sample.prompts)


def test_what_a_subject_lacks_is_named(tmp_path):
    with begin.subject(tmp_path, fields={"name": "Rex", "class_word": "dog"}) as subject:
        with pytest.raises(BadInput) as caught:
            begin.specs(tmp_path, subject, plan.parse(WANTED))
    assert caught.value.field == "pictures"
    with pytest.raises(BadInput, match="There is no sample"):
        with begin.subject(tmp_path, sample="unicorn"):
            pass


def test_it_is_renamed_and_deleted_and_its_runs_stay(started, tmp_path):
    made, _ = started
    made.rename("  Which rate?  ")
    assert comparison.by_id(tmp_path, made.id).read().name == "Which rate?"
    with pytest.raises(BadInput):
        made.rename(" ")
    made.delete()
    assert comparison.every(tmp_path) == [] and len(rundir.list_runs(tmp_path)) == 4


def test_a_run_that_is_gone_or_damaged_leaves_a_gap(started, tmp_path):
    made, engine = started
    runs = made.runs()
    for file in runs[0].path.rglob("*"):
        if file.is_file():
            file.unlink()
    (runs[1].path / "state.json").write_text("{")
    assert states(made)[:2] == [None, None] and len(together.unfinished(made)) == 2
    together.stop(tmp_path, made, engine)
    assert comparison.standing(made.states()) == "stopped"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "5", '{"version": 1}',
        json.dumps({**RIGHT, "columns": [{"method": "lora", "run": "../x"}]}),
        json.dumps({**RIGHT, "columns": [{"method": "magic", "run": "x"}]}),
        json.dumps({**RIGHT, "columns": []}), json.dumps({**RIGHT, "version": 2}),
        json.dumps({**RIGHT, "created": 1e300}), json.dumps({**RIGHT, "saves": []}),
    ],
)  # fmt: skip
def test_a_damaged_one_is_an_error_for_a_person_and_can_be_deleted(started, text, tmp_path):
    made, _ = started
    (made.path / comparison.FILE).write_text(text)
    with pytest.raises(BadInput, match="damaged") as caught:
        made.read()
    assert "Delete it" in caught.value.remedy
    assert [one.id for one in comparison.every(tmp_path)] == [made.id]
    made.delete()
    assert comparison.every(tmp_path) == []


@pytest.mark.parametrize("given", ["", "..", "../runs", "nobody", ".", "a/b", "\0", "x" * 400])
def test_no_id_leads_out_of_the_folder(started, given, tmp_path):
    with pytest.raises(BadInput, match="There is no comparison"):
        comparison.by_id(tmp_path, given)


def test_a_link_is_no_comparison(started, tmp_path):
    made, _ = started
    (tmp_path / "comparisons" / "linked").symlink_to(made.path)
    assert [one.id for one in comparison.every(tmp_path)] == [made.id]
    with pytest.raises(BadInput):
        comparison.by_id(tmp_path, "linked")


def _picture(path):
    from PIL import Image

    Image.effect_noise((160, 160), 90).convert("RGB").save(path)
