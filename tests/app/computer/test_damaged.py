"""Folders of runs that cannot be read: shown with what is wrong and what is left, deleted only when asked for."""

import errno
import json
import os
import re
from pathlib import Path

import handmade
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import cli
from app.computer import damaged, expectation, remove
from app.web.parts import cards, summaries
from app.web.parts import damaged as shown
from app.web.parts.run import header
from app.web.reading.follow import view
from training.errors import BadInput
from training.runs import rundir
from training.runs.run import Run


def cut(run: Run, file: str) -> None:
    text = (run.path / file).read_text()
    (run.path / file).write_text(text[: len(text) // 2])


def changed(run: Run, file: str, **values) -> None:
    document = json.loads((run.path / file).read_text())
    (run.path / file).write_text(json.dumps({**document, **values}))


DAMAGES = {
    "missing spec": (lambda run: (run.path / "spec.json").unlink(), "spec.json is missing.", "from a copy"),
    "cut spec": (lambda run: cut(run, "spec.json"), "spec.json is damaged: it is cut off", "from a copy"),
    "newer spec": (
        lambda run: changed(run, "spec.json", version=2),
        "written by a newer version",
        "Update the program",
    ),
    "missing state": (lambda run: (run.path / "state.json").unlink(), "state.json is missing.", "from a copy"),
    "empty state": (lambda run: (run.path / "state.json").write_text(""), "state.json is damaged", "from a copy"),
    "state of a list": (lambda run: (run.path / "state.json").write_text("[]"), "state.json is damaged", "a copy"),
    "newer state": (
        lambda run: changed(run, "state.json", name="paused"),
        "says 'paused', a state that only a newer version",
        "Update the program",
    ),
}


def contents(run: Run) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_a_card_that_says_what_is_wrong_and_nothing_is_changed(tmp_path, damage):
    break_it, words, remedy = DAMAGES[damage]
    healthy, run = handmade.finished(tmp_path), handmade.finished(tmp_path, "Rex")
    break_it(run)
    before = contents(run)
    found = {card.id: card for card in summaries.summaries(tmp_path)}
    assert found[healthy.id].state == "done" and found[run.id].state == "damaged"
    html = cards.grid(cards.page(list(found.values())))
    told = re.sub("<[^>]+>", " ", html)
    for expected in (words, remedy, str(run.path), "3 of the subject's pictures", "2 exported files", "Damaged"):
        assert expected in told.replace("&#x27;", "'"), expected
    own = html[html.index(f'data-run="{run.id}"') :]
    assert 'data-act="delete"' in own[: own.index("</li>")] and "tick" not in own[: own.index("</li>")]
    assert contents(run) == before


@pytest.fixture
def run(tmp_path):
    """A finished run without its settings, whose saves hold adapters."""
    run = handmade.finished(tmp_path)
    for step in run.checkpoints():
        damaged.adapter_file(run, step).write_bytes(f"adapter {step}".encode())
    (run.path / "spec.json").unlink()
    return run


def test_a_damaged_runs_page_offers_what_is_left_of_it(run):
    found = damaged.look(run)
    text = shown.block(found)
    assert "spec.json is missing." in text and str(run.path) in text and "it stays until you delete it" in text
    files = shown.downloads(found)
    for address in ("/biscuit.safetensors", f"studio/save/{run.id}/4", f"studio/save/{run.id}/16"):
        assert address in files, address
    assert 'data-act="delete"' in shown.buttons()


def test_the_adapters_of_a_damaged_run_can_be_downloaded(run):
    from app.web import ui
    from app.web.studio import Studio

    client = TestClient(ui.application(Studio(run.path.parent.parent)), base_url="http://localhost")
    answer = client.get(f"/studio/save/{run.id}/8")
    assert answer.content == b"adapter 8" and f"{run.id}-step-8.safetensors" in answer.headers["content-disposition"]
    assert client.get(f"/studio/file/{run.id}/biscuit.safetensors").status_code == 200
    for address in (f"save/{run.id}/7", "save/..%2Fruns/8", f"save/{run.id}/x"):
        assert client.get(f"/studio/{address}").status_code in (404, 422), address


def test_a_name_from_a_damaged_folder_is_never_markup(run):
    run.rename("<b>x</b>")
    (card,) = summaries.summaries(run.path.parent.parent)
    html = cards.card(card) + shown.title(damaged.look(run)) + shown.block(damaged.look(run))
    assert "<b>x" not in html and html.count("&lt;b&gt;x") >= 3


def test_a_newer_versions_run_keeps_its_name_and_another_is_called_by_its_folder(tmp_path, run):
    newer = handmade.finished(tmp_path, "Rex")
    changed(newer, "spec.json", version=2)
    assert (damaged.name(newer), damaged.name(run)) == ("Rex", run.id)


def test_the_command_lists_shows_and_asks_before_it_deletes_a_damaged_run(run):
    data = run.path.parent.parent
    healthy = handmade.finished(data, "Rex")

    def delora(*arguments, **how):
        return CliRunner().invoke(cli, ["runs", *arguments, "--data", str(data)], **how)

    listed = delora("list").output
    assert healthy.id in listed and f"{run.id} is damaged. spec.json is missing." in listed and str(run.path) in listed
    document = json.loads(delora("list", "--json").stdout)
    assert [r["id"] for r in document["runs"]] == [healthy.id]
    (found,) = document["damaged"]
    assert (found["id"], found["state"], found["left"]["saves"]) == (run.id, "damaged", [4, 8, 12, 16])
    told = delora("show", run.id)
    assert told.exit_code == 0 and "the adapters of steps 4, 8, 12, 16" in told.output
    assert delora("delete", run.id, input="n\n").exit_code == 0 and run.path.is_dir()
    assert delora("delete", run.id, "--yes").exit_code == 0 and not run.path.exists()
    assert healthy.path.is_dir()


def test_a_damaged_run_that_a_process_trains_is_not_deleted(run):
    (run.path / "state.json").unlink()
    with Run(run.path).training_lock(), pytest.raises(BadInput, match="being trained"):
        remove.remove_run(run.path.parent.parent, run)
    assert run.path.is_dir()


def test_what_comes_back_makes_the_run_whole_again(tmp_path):
    run = handmade.finished(tmp_path)
    text = (run.path / "state.json").read_text()
    (run.path / "state.json").unlink()
    assert [card.state for card in summaries.summaries(tmp_path)] == ["damaged"]
    (run.path / "state.json").write_text(text)
    assert [card.state for card in summaries.summaries(tmp_path)] == ["done"]


def test_folders_that_hold_nothing_of_a_run_are_passed_over_until_they_do(tmp_path):
    other = tmp_path / "runs" / "holiday"
    other.mkdir(parents=True)
    (other / "notes.txt").write_text("")
    (tmp_path / "runs" / "stray.txt").write_text("")
    assert summaries.summaries(tmp_path) == [] == rundir.list_folders(tmp_path)
    (other / "checkpoints").mkdir()
    assert [card.id for card in summaries.summaries(tmp_path)] == ["holiday"]


def test_a_folder_that_is_closed_to_us_is_told_and_takes_nothing_else_along(tmp_path, monkeypatch):
    healthy, run = handmade.finished(tmp_path), handmade.finished(tmp_path, "Rex")

    def closed(original):
        def look(path, *arguments, **more):
            if str(path).startswith(str(run.path)):
                raise PermissionError(errno.EACCES, "Permission denied")
            return original(path, *arguments, **more)

        return look

    for place, name in ((os, "listdir"), (os, "open"), (Path, "is_dir")):
        monkeypatch.setattr(place, name, closed(getattr(place, name)))
    found = {card.id: card for card in summaries.summaries(tmp_path)}
    assert found[healthy.id].state == "done" and found[run.id].state == "damaged"
    assert "spec.json cannot be read: Permission denied." in found[run.id].warning


def test_scores_that_cannot_be_read_cost_only_the_scores(tmp_path):
    run = handmade.finished(tmp_path)
    cut(run, "scores.json")
    (card,) = summaries.summaries(tmp_path)
    assert (card.state, card.figures) == ("done", "") and "scores.json is damaged" in cards.card(card)
    result = CliRunner().invoke(cli, ["runs", "list", "--data", str(tmp_path)])
    assert result.exit_code == 0 and "done" in result.output


def test_a_lost_history_is_told_on_the_card_and_on_the_page(tmp_path):
    run = handmade.finished(tmp_path)
    assert "history" not in cards.card(summaries.summaries(tmp_path)[0]) + header.block(view(run))
    lines = (run.path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "events.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert re.search(r"history \(events.jsonl\) ends at step \d+", header.block(view(run)))
    (run.path / "events.jsonl").unlink()
    handmade.put(run, "done")
    assert damaged.LOST_HISTORY in cards.card(summaries.summaries(tmp_path)[0])
    assert damaged.LOST_HISTORY in header.block(view(run))


def test_a_damaged_run_does_not_keep_others_from_being_judged(tmp_path):
    run = handmade.finished(tmp_path)
    spec = run.spec
    changed(run, "spec.json", version=2)
    assert expectation.expectation(tmp_path, spec).runs == 0
