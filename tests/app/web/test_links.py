"""A run folder from elsewhere leads nowhere by links: what lies outside of it is shown nowhere and written nowhere."""

import contextlib
import os
import shutil

import handmade
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app import control
from app.adapters.exporting import finished_files
from app.cli import cli
from app.computer import damaged
from app.drafts import again, draft
from app.web.parts import cards, strip, summaries
from app.web.parts.run import details, faults, header, scores
from app.web.reading import folders, follow
from app.web.routes import routes
from app.web.studio import Studio
from app.work import attempts, guard
from app.work.engines.local import LocalEngine
from training import atomic, jsonfile
from training.errors import BadInput, StudioError
from training.runs import rundir

SECRET = "the-secret-of-the-owner"
FILES = (*damaged.NEEDLESS, "spec.json", "state.json", ".state.lock", ".training.lock")
PICTURES = ("dataset/00.png", "samples/step-000004/00-00.png")
FOLDERS = ("dataset", "samples", "samples/step-000004", "adapter", "checkpoints", "checkpoints/step-000004", "attempts")


@pytest.fixture
def run(tmp_path):
    (tmp_path / "data").mkdir()
    run = handmade.finished(tmp_path / "data")
    (run.path / "log.txt").write_text("said\n")
    (run.path / "name.txt").write_text("Rex\n")
    return run


@pytest.fixture
def secret(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text(f"{SECRET}\n")
    return outside / "file"


def linked(run, place, target) -> None:
    """Put a link where a file or folder of the run is."""
    path = run.path / place
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def shown(run) -> str:
    """What the pages, the addresses and the command line say of a run."""
    data, said = run.path.parent.parent, []
    app, engine = FastAPI(), LocalEngine(data)
    app.include_router(routes(Studio(data)))
    client = TestClient(app)
    places = [f"picture/{run.id}/dataset/00.png", f"picture/{run.id}/step-000004/00-00.png", f"save/{run.id}/4"]
    said += [client.get(f"/studio/{place}").text for place in places]
    with contextlib.suppress(StudioError):  # the spec or the state is the link
        view = follow.view(run, engine)
        said += [header.block(view), details.section(view), faults.report(view), scores.section(view)]
    said += [cards.grid(cards.page(summaries.summaries(data), 1, "", ""), []), str(strip.status(data, engine))]
    for command in (["runs", "list"], ["runs", "show", run.id]):
        said.append(CliRunner().invoke(cli, [*command, "--data", str(data)]).output)
    said += [damaged.content(run, file) for file in damaged.NEEDLESS]
    said += [str(fault) for fault in damaged.partly(run)] + [
        str(damaged.look(run)),
        faults.log_tail(run.path / "log.txt"),
    ]
    said += [damaged.name(run), str(run.events()), str(folders.samples(run))]
    return "\n".join(said)


@pytest.mark.parametrize("place", FILES)
def test_what_a_file_links_to_is_neither_shown_nor_written(run, secret, place):
    linked(run, place, secret)
    before = secret.stat()
    assert SECRET not in shown(run)
    for write in (
        lambda: run.append_event({"kind": "note", "words": "w"}),
        lambda: run.set_state(message="m"),
        lambda: run.rename("Max"),
        lambda: atomic.append_line(run.path / place, "w"),
        lambda: atomic._write_over(run.path / place, b"w"),
        lambda: run.training_lock().__enter__(),
        run.request_stop,
    ):
        with contextlib.suppress(StudioError, OSError):
            write()
    after = secret.stat()
    assert secret.read_text() == f"{SECRET}\n" and after.st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("file", damaged.NEEDLESS)
def test_a_linked_file_is_told_by_its_name(run, secret, file):
    linked(run, file, secret)
    fault = damaged.fault(run, file)
    assert fault and file.rpartition("/")[2] in fault.words and "is a link, which is not followed" in fault.words


@pytest.mark.parametrize("file", ["spec.json", "state.json"])
def test_a_run_whose_heart_is_a_link_is_told_by_the_files_name(run, secret, file):
    linked(run, file, secret)
    assert f"{file} cannot be read: {jsonfile.LINK}. Put the file itself there." in damaged.look(run).message


@pytest.mark.parametrize("place", [*PICTURES, *FOLDERS])
def test_nothing_behind_a_link_is_a_picture_a_save_or_a_file_of_the_run(run, secret, tmp_path, place):
    whole = len(run.pictures()), len(run.samples(4)), len(run.checkpoints()), len(finished_files(run))
    outside = secret.parent
    for name in ("00.png", "00-00.png", "x.safetensors", "7"):
        (outside / name).write_bytes(handmade.PNG)
    for folder in ("step-000004", "step-000099"):
        (outside / folder).mkdir()
        (outside / folder / "00-00.png").write_bytes(handmade.PNG)
    there = sorted(outside.rglob("*"))
    linked(run, place, outside / "00.png" if place in PICTURES else outside)
    found = [*run.pictures(), *run.samples(4), *finished_files(run), *map(run.checkpoint, run.checkpoints())]
    assert all(path.resolve().is_relative_to(run.path.resolve()) for path in found)
    now = len(run.pictures()), len(run.samples(4)), len(run.checkpoints()), len(finished_files(run))
    assert now <= whole and 99 not in folders.samples(run)
    assert shown(run)
    if place in FOLDERS and "/" not in place:
        with pytest.raises(BadInput, match=f"{place} is a link, which is not followed"):
            run.begin_attempt()
    assert sorted(outside.rglob("*")) == there


@pytest.mark.parametrize("at", ["every picture", "one picture"])
def test_a_new_run_takes_no_linked_picture_over(run, secret, at):
    pictures = run.pictures() if at == "every picture" else run.pictures()[:1]
    for picture in pictures:
        linked(run, picture.relative_to(run.path), secret)
    data = run.path.parent.parent
    if at == "every picture":
        with pytest.raises(BadInput, match="are gone"):
            draft.from_run(data, run)
    else:
        assert len(again.derived(data, run, {}).pictures()) == 2
    assert not any(SECRET in path.read_text(errors="replace") for path in data.rglob("*") if jsonfile.is_regular(path))


def test_a_jobs_log_is_begun_anew_where_it_is_a_link(run, secret, monkeypatch):
    linked(run, "log.txt", secret)
    monkeypatch.setattr(guard.processes, "adopt_orphans", lambda: None)
    monkeypatch.setattr(guard.signal, "signal", lambda *_: None)
    monkeypatch.setattr(guard, "_watch", lambda leader: str(os.waitpid(leader, 0)))
    guard.main(run.path, 1, ["echo", "words of the job"])
    assert secret.read_text() == f"{SECRET}\n" and (run.path / "log.txt").read_text() == "words of the job\n"
    assert [path.is_symlink() for path in run.path.glob("log.txt.damaged-*")] == [True]


@pytest.mark.parametrize("file", ["adapter/export.json", "adapter/made.json"])
def test_records_in_a_linked_folder_are_neither_shown_nor_put_aside(run, tmp_path, file):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    other = outside / file.rpartition("/")[2]
    other.write_text(f'{{"{SECRET}": 1}}')
    linked(run, "adapter", outside)
    assert SECRET not in shown(run) and SECRET not in damaged.content(run, file)
    with pytest.raises(BadInput, match="is a link"):
        damaged.put_aside(run, file)
    assert [path.name for path in outside.iterdir()] == [other.name]


def test_an_export_is_not_written_into_a_linked_folder(run, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "biscuit.safetensors").write_text("keep")
    linked(run, "adapter", outside)
    data = str(run.path.parent.parent)
    done = CliRunner().invoke(cli, ["export", run.id, "--data", data])
    assert done.exit_code == 2 and "is a link, which is not followed" in done.stderr
    assert (outside / "biscuit.safetensors").read_text() == "keep"
    assert "biscuit.safetensors" not in CliRunner().invoke(cli, ["runs", "show", run.id, "--data", data]).stdout


@pytest.mark.parametrize("what", ["a link", "a broken link", "a pipe", "a folder"])
def test_a_run_whose_events_are_no_file_is_refused_at_the_press(run, secret, what):
    handmade.put(run, "stopped")
    events = run.path / "events.jsonl"
    if "link" in what:
        linked(run, "events.jsonl", secret if what == "a link" else secret.with_name("nowhere"))
    else:
        events.unlink(missing_ok=True)
        (os.mkfifo if what == "a pipe" else os.mkdir)(events)
    engine = LocalEngine(run.path.parent.parent)
    with pytest.raises(BadInput, match=r"events\.jsonl is (a link|no file).*Put it aside"):
        control.start(run.path.parent.parent, run, engine=engine)
    assert run.state().name == "stopped" and not engine.poll()
    jsonfile.put_aside(events)
    control.start(run.path.parent.parent, run, engine=engine)
    assert run.state().name == "queued"


@pytest.mark.parametrize("place", ["attempts", "checkpoints", "samples", "adapter", "dataset"])
@pytest.mark.parametrize("what", ["a broken link", "a ring of links", "a file"])
def test_what_lies_in_the_place_of_a_runs_folder_is_told_before_it_is_queued(run, tmp_path, place, what):
    handmade.put(run, "stopped")
    linked(run, place, {"a broken link": tmp_path / "nowhere", "a ring of links": run.path / place}.get(what, "x"))
    if what == "a file":
        (run.path / place).unlink()
        (run.path / place).write_text("mine")
    for take in (lambda: control.start(run.path.parent.parent, run), run.begin_attempt, lambda: attempts.take(run, 5)):
        with pytest.raises(BadInput, match=f"{place} is (a link|no folder)"):
            take()
    assert not (tmp_path / "nowhere").exists() and run.state().name == "stopped"


def test_a_linked_folder_is_a_run_where_it_holds_more_than_pictures(run, tmp_path):
    data, elsewhere = run.path.parent.parent, tmp_path / "pictures"
    (elsewhere / "dataset").mkdir(parents=True)
    (run.path.parent / "20260101-000000-mine-0000").symlink_to(elsewhere)
    assert [found.id for found in rundir.list_folders(data)] == [run.id]
    run.path.rename(tmp_path / "another disk")
    run.path.symlink_to(tmp_path / "another disk")
    assert [found.id for found in rundir.list_folders(data)] == [run.id]


def test_an_address_that_leads_round_in_a_ring_is_not_found(run):
    data = run.path.parent.parent
    shutil.rmtree(data / "runs")
    (data / "runs").symlink_to(data / "runs")
    app = FastAPI()
    app.include_router(routes(Studio(data)))
    assert TestClient(app).get(f"/studio/save/{run.id}/4").status_code == 404
