"""A run followed from its folder: only what is new is read, and what is told is true."""

import json
import subprocess
import sys
import time

import handmade
import pytest

from app.web.parts.run import distance, filmstrip, header, phases, scores
from app.web.reading import follow, journal, progress, waiting
from app.work.engines import Gone, Running, Waiting
from training.errors import BadInput

LINE = '{"kind": "step", "step": 5, "loss": 0.2, "seconds": 0.5}\n'


class Engine:
    """An engine that knows these jobs; counts how often it was asked."""

    def __init__(self, **jobs):
        self.jobs, self.asked = {name.replace("__", "-"): status for name, status in jobs.items()}, 0

    def poll(self):
        self.asked += 1
        return self.jobs


@pytest.fixture
def run(tmp_path):
    return handmade.run(tmp_path)


def test_only_what_was_appended_is_read(run, monkeypatch):
    handmade.train(run, 4)
    follow.view(run)
    read = []
    original = journal.events.read_from
    monkeypatch.setattr(journal.events, "read_from", lambda path, at: read.append(at) or original(path, at))
    size = (run.path / "events.jsonl").stat().st_size
    follow.view(run)
    assert read == []
    handmade.events(run, handmade.step(5))
    assert follow.view(run).journal.step == 5 and read == [size]


def test_a_torn_line_waits_for_its_end_and_a_spoiled_one_is_passed_over(run):
    handmade.train(run, 4)
    path = run.path / "events.jsonl"
    with path.open("a") as file:
        file.write(LINE[:20])
    assert follow.view(run).journal.step == 4
    with path.open("a") as file:
        file.write(LINE[20:] + "{half\n[1]\n" + LINE.replace("5,", "6,", 1))
    assert [event["step"] for event in follow.view(run).journal.steps] == [1, 2, 3, 4, 5, 6]


def test_events_that_began_anew_are_read_anew(run):
    handmade.train(run, 8)
    assert follow.view(run).journal.step == 8
    (run.path / "events.jsonl").write_text(LINE)
    assert follow.view(run).journal.step == 5


def test_the_journal_agrees_with_the_runs_own_history(run):
    handmade.train(run, 11)
    handmade.events(run, {"kind": "resume", "step": 8}, handmade.step(9), {"kind": "geometry", "step": 9, "layers": {}})
    found = follow.view(run).journal
    assert found.steps == run.history("step")
    assert found.geometry == [event for event in run.history("geometry") if event["layers"]]


def test_pictures_saves_and_scores_appear_when_they_are_there(run):
    handmade.train(run, 4)
    view = follow.view(run)
    assert list(view.samples) == [0, 4] and view.saves == (4,) and view.book is None and view.recommendation is None
    handmade.score(run, {4: (0.7, 1.0)})
    handmade.save(run, 8)
    handmade.draw(run, 8)
    (run.path / "samples" / ".step-000012.x.part").mkdir()
    (run.path / "checkpoints" / ".step-000012.x.part").mkdir()
    view = follow.view(run)
    assert list(view.samples) == [0, 4, 8] and view.saves == (4, 8)
    assert view.recommendation.step == view.best == 4


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2}'])
def test_scores_that_cannot_be_read_are_told_and_break_nothing(run, text):
    (run.path / "scores.json").write_text(text)
    view = follow.view(run)
    assert view.book is None and "cannot be read" in view.score_error
    assert "cannot be read" in scores.section(view)


@pytest.mark.parametrize(("version", "which"), [(1, "older"), (9, "newer")])
def test_scores_of_other_judges_are_told_as_such_with_the_command_that_makes_them_again(run, version, which):
    (run.path / "scores.json").write_text(json.dumps({"version": version, "recommendation": {"step": 4}}))
    view = follow.view(run)
    assert view.book is None and f"made by {which} judges" in view.score_error
    assert f"<code>delora score {run.id}</code>" in scores.section(view)


def test_a_damaged_state_is_an_error_for_a_person(run):
    (run.path / "state.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        follow.view(run)


def test_the_saves_to_come_are_those_the_loop_makes(tmp_path):
    def planned(**changes):
        return progress.planned_saves(handmade.run(tmp_path, **changes).spec)

    assert planned() == [4, 8, 12, 16]
    assert planned(steps=10) == [4, 8, 10]
    assert planned(steps=3) == [3]
    assert planned(save_at=(12, 2, 6, 40)) == [2, 6, 12, 16], "the last step is saved whatever is asked"
    parent = handmade.train(handmade.run(tmp_path), 8)
    assert planned(parent=parent.id, start_step=8, steps=20) == [8, 12, 16, 20]


def test_time_left_is_not_known_before_the_first_step(run):
    assert follow.view(handmade.live(run, phase="class pictures")).left is None
    assert "time left: known when training has begun" in header.life(follow.view(run))


def test_at_its_end_it_says_what_it_does_and_no_time(run):
    handmade.train(run, 16)
    handmade.score(run, {4: (0.5, 1.0), 8: (0.7, 1.0), 12: (0.7, 1.0), 16: (0.7, 1.0)})
    for phase, doing in (("export", "writing files"), ("score", "scoring")):
        view = follow.view(handmade.live(run, phase=phase))
        assert f"nearly done: {doing}" in header.life(view) and "left" not in header.life(view)
        assert follow.strip_words(view) == f"Biscuit: {doing} (trained). You can close this page."


def test_time_left_is_steps_and_the_drawing_and_scoring_to_come(run):
    handmade.draw(run, 0)
    handmade.events(
        run,
        {"kind": "attempt", "number": 1, "time": 0.0},
        {"kind": "phase", "phase": "draw", "time": 10.0},
        {"kind": "phase", "phase": "score", "time": 10.2},  # the base model's pictures were kept from another run
        {"kind": "phase", "phase": "train", "time": 12.2},
        *(handmade.step(number, time=12.2 + number) for number in range(1, 5)),
    )
    handmade.live(run, step=4)
    left = follow.view(run).left
    assert (left.seconds, left.at_least) == (pytest.approx(12 * 0.5 + 4 * 2.0), True)
    assert follow.left_words(left) == "at least 14 s left"
    handmade.events(
        run,
        {"kind": "save", "step": 4, "time": 17.0},
        {"kind": "phase", "phase": "draw", "time": 17.0},
        {"kind": "phase", "phase": "score", "time": 27.0},
        {"kind": "phase", "phase": "train", "time": 30.0},
    )
    handmade.draw(run, 4)
    handmade.score(run, {4: (0.7, 1.0)})
    left = follow.view(run).left
    assert (left.seconds, left.at_least) == (pytest.approx(12 * 0.5 + 3 * (10.0 + 3.0)), False)
    handmade.live(run, phase="draw", done=3.0, total=4)
    assert follow.view(run).left.seconds == pytest.approx(12 * 0.5 + 2.25 * 10.0 + 3 * 3.0)


def test_a_save_that_a_resume_finds_drawn_does_not_count_as_a_drawing(run):
    def one(at, took):
        return [
            {"kind": "phase", "phase": "draw", "time": at},
            {"kind": "phase", "phase": "train", "time": at + took},
        ]

    handmade.events(
        run,
        {"kind": "phase", "phase": "train", "time": 0.0},
        handmade.step(4),
        {"kind": "save", "step": 4, "time": 1.0},
        *one(1.0, 10.0),
        {"kind": "attempt", "number": 2, "time": 500.0},
        {"kind": "resume", "step": 4, "time": 501.0},
        {"kind": "phase", "phase": "train", "time": 502.0},
        *one(502.0, 0.1),
    )
    found = follow.view(run).journal
    assert found.draws == [10.0]
    assert found.phase_seconds["train"] == pytest.approx(1.0), "the time between two attempts belongs to no phase"


def test_percent_is_of_the_steps_and_100_only_when_all_is_done(run):
    assert follow.view(run).percent is None
    handmade.train(run, 7)
    assert follow.view(handmade.live(run)).percent == 43
    handmade.train(other := handmade.run(run.path.parent.parent), 16)
    assert follow.view(handmade.live(other, phase="export")).percent == 99
    assert follow.view(handmade.put(other, "done")).percent == 100


@pytest.mark.parametrize(
    ("phase", "steps", "now", "statuses"),
    [
        ("waiting for the device", 0, "Prepare", "now pending pending pending pending pending"),
        ("class pictures", 0, "Class pictures", "done now pending pending pending pending"),
        ("train", 5, "Train", "done done now part pending pending"),
        ("draw", 8, "Draw", "done done part now pending pending"),
        ("export", 16, "Export", "done done done done pending now"),
    ],
)
def test_phases_are_to_come_at_work_begun_or_done(run, phase, steps, now, statuses):
    if phase != "waiting for the device":
        handmade.events(
            run, {"kind": "phase", "phase": "prepare", "time": 1.0}, {"kind": "phase", "phase": "draw", "time": 2.0}
        )
        handmade.events(run, {"kind": "phase", "phase": "score", "time": 3.0})
        handmade.train(run, steps) if steps else handmade.draw(run, 0)
    found = phases.phases(follow.view(handmade.live(run, phase=phase)))
    assert [phase.name for phase in found] == ["Prepare", "Class pictures", "Train", "Draw", "Score", "Export"]
    assert " ".join(phase.status for phase in found) == statuses
    assert [phase.name for phase in found if phase.status == "now"] == [now]


def test_phases_count_what_they_count(run, tmp_path):
    handmade.train(run, 5)
    handmade.live(run, phase="draw", done=2.6, total=4)
    counts = {phase.name: phase.count for phase in phases.phases(follow.view(run))}
    assert counts["Train"] == "step 5 of 16" and counts["Draw"] == "1 of 4 saves, picture 2 of 4"
    assert counts["Class pictures"] == "48 of 48" and counts["Score"] == "0 of 4 saves"
    other = handmade.live(handmade.run(tmp_path), phase="class pictures", done=16, total=48)
    assert phases.phases(follow.view(other))[1].count == "16 of 48"
    handmade.live(other, phase="class pictures", done=9, total=16)  # still that of the drawing before
    assert phases.phases(follow.view(other))[1].count == "48 wanted"
    without = handmade.run(tmp_path, class_pictures=0)
    assert "Class pictures" not in [phase.name for phase in phases.phases(follow.view(without))]


def test_the_row_of_phases_goes_forward_only(run):
    """The phases in the order in which `app.work.job` and the training loop enter them."""
    order = ("prepare", "draw", "score", "prepare", "class pictures", "prepare", "train", "draw", "score", "train")
    names = ["Prepare", "Class pictures", "Train", "Draw", "Score", "Export"]
    handmade.events(run, {"kind": "attempt", "number": 1, "time": 0.0})
    shown, over = [], set()
    for moment, phase in enumerate(order):
        handmade.events(run, {"kind": "phase", "phase": phase, "time": float(moment)})
        handmade.live(run, phase=phase, done=3.2 if phase == "draw" else 0, total=8 if phase == "draw" else 0)
        view = follow.view(run)
        row = {found.name: found for found in phases.phases(view)}
        shown += [name for name in names if row[name].status == "now"]
        if moment < order.index("train"):
            assert [row[name].status for name in ("Draw", "Score", "Export")] == ["pending"] * 3
            assert row["Draw"].count == "4 saves"
        assert all(row[name].status != "pending" for name in over), "what is over stays marked"
        over |= {name for name, found in row.items() if found.status == "done"}
        if phase == "draw" and moment == 1:
            assert row["Prepare"].count == "the base model's pictures 3 of 8"
            assert follow.doing(view) == "drawing the base model's pictures"
    assert shown == ["Prepare"] * 4 + ["Class pictures", "Train", "Train", "Draw", "Score", "Train"]


def test_a_resumed_run_prepares_anew_before_it_trains(run):
    handmade.train(run, 6)
    handmade.events(run, {"kind": "attempt", "number": 2, "time": 1.0}, {"kind": "phase", "phase": "draw", "time": 2.0})
    view = follow.view(handmade.live(run, phase="draw", done=1.0, total=4))
    statuses = [phase.status for phase in phases.phases(view)]
    assert statuses == ["now", "done", "part", "part", "pending", "pending"] and view.left.at_least


def test_what_is_ahead_are_the_runs_at_work_and_those_before_it_in_the_queue(tmp_path):
    working, first, mine, later, ended = (handmade.run(tmp_path, name) for name in ("W", "F", "M", "L", "E"))
    handmade.live(working)
    handmade.put(ended, "done")
    jobs = {
        f"{ended.id}.1": Gone("it ended"),
        f"{later.id}.1": Waiting(2),
        f"{mine.id}.2": Waiting(1),
        f"{first.id}.1": Waiting(0),
        f"{working.id}.1": Running("here", 5.0),
        "drawing-1.1": Waiting(0),
    }
    ahead = waiting.find(mine, jobs).ahead
    assert [(run.id, at_work) for run, at_work in ahead] == [(working.id, True), (first.id, False)]
    assert waiting.find(ended, jobs) is None


def test_the_engine_is_asked_once_for_several_waiting_runs_and_never_for_others(tmp_path):
    engine = Engine()
    runs = [handmade.run(tmp_path) for _ in range(3)]
    handmade.put(runs[0], "done")
    follow.view(runs[0], engine)
    assert engine.asked == 0
    follow.view(runs[1], engine), follow.view(runs[2], engine)
    assert engine.asked == 1
    away = Engine()
    away.poll = lambda: 1 / 0  # a cluster that is away
    assert follow.view(runs[1], away).place is None


def test_the_strip_says_each_state_in_a_line(tmp_path):
    def told(run, engine=None):
        return follow.strip_words(follow.view(run, engine))

    run = handmade.run(tmp_path)
    other = handmade.live(handmade.run(tmp_path, "Rex"))
    engine = Engine()
    engine.jobs = {f"{other.id}.1": Running("here", 1.0), f"{run.id}.1": Waiting(0)}
    assert told(run) == "Biscuit waits in the queue."
    assert told(run, engine) == "Biscuit waits: 1 run is ahead."
    assert told(handmade.live(run, "starting", "")) == "Biscuit is starting."
    waits = "Waiting for the device: Rex: training."
    assert told(handmade.live(run, "starting", "waiting for the device", message=waits)) == f"Biscuit: {waits}"
    handmade.put(run, "queued", message="")
    handmade.train(run, 7)
    assert told(handmade.live(run)) == "Biscuit: training 43 %, at least 4 s left. You can close this page."
    assert told(handmade.live(run, phase="draw")).startswith("Biscuit: drawing test pictures (43 % trained), ")
    (run.path / "stop").touch()
    assert told(run) == told(handmade.live(run, "stopping")) == "Biscuit: saving, then stopping."
    (run.path / "stop").unlink()
    assert told(handmade.put(run, "stopped")) == "Biscuit is stopped at step 7."
    assert told(handmade.put(run, "interrupted")) == "Biscuit was interrupted at step 7."
    assert told(handmade.put(run, "failed")) == "Biscuit failed at step 7."
    assert told(handmade.put(run, "done")) == "Biscuit is done."


def test_a_look_at_an_unchanged_run_of_a_thousand_steps_costs_little(tmp_path):
    run = handmade.run(tmp_path, steps=1000, save_every=200)
    for number in range(0, 1001, 200):
        handmade.draw(run, number)
    found = [handmade.geometry(number, layers=128) for number in range(0, 1001, 33)]
    handmade.events(run, *(handmade.step(number) for number in range(1, 1001)), *found)
    handmade.score(run, {number: (0.5 + number / 5000, 1.0) for number in range(200, 1001, 200)})
    handmade.live(run, step=1000)

    def look():
        began = time.process_time()
        view = follow.view(run)
        parts = (follow.strip_words(view), header.block(view), header.phase_list(view), header.life(view))
        assert all((*parts, filmstrip.section(view), scores.section(view), distance.section(view)))
        return time.process_time() - began

    look()
    assert min(look() for _ in range(5)) <= 0.010


def test_the_parts_import_nothing_heavy():
    names = "header filmstrip scores distance details compare downloads formats".split()
    heavy = {"torch", "diffusers", "transformers", "matplotlib", "gradio", "numpy", "PIL"}
    code = (
        f"import sys; from app.web.parts.run import {', '.join(names)}; from app.web.parts import cards, drawn; "
        f"from app.web.reading import follow; print(*sorted(sys.modules.keys() & {heavy!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_a_view_can_be_made_while_scores_are_being_replaced(run):
    handmade.score(run, {4: (0.5, 1.0)})
    before = follow.view(run).book
    document = json.loads((run.path / "scores.json").read_text())
    run.write_scores({**document, "note": "Others."})
    assert before.note == "Toy." and follow.view(run).book.note == "Others."
