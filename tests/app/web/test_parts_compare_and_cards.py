"""Several runs: beside one another, and as cards."""

import os
import re
import time
from xml.etree import ElementTree

import handmade
import pytest

from app.terminal import plain
from app.web.parts import cards, summaries
from app.web.parts.run import compare
from app.web.reading import follow
from training.runs import rundir


def views(*runs):
    return [follow.view(run) for run in runs]


@pytest.fixture
def pair(tmp_path):
    """A finished DeLoRA run and a LoRA run at work that saves at other steps."""
    one = handmade.finished(tmp_path)
    other = handmade.train(handmade.run(tmp_path, "Rex", "lora", save_every=8), 8, bound=None)
    handmade.score(other, {8: (0.6, 0.9)})
    return views(one, handmade.live(other))


def test_strips_lie_under_one_another_by_step_with_gaps(pair):
    found = list(handmade.table(compare.strips(pair)).iter("tr"))
    head = ["".join(cell.itertext()) for cell in found[0]]
    assert head == ["", "Base model", "Step 4", "Step 8", "Step 12", "Step 16"]
    groups = [row for row in found if row.get("class") == "ds-group"]
    assert ["Biscuit" in "".join(group.itertext()) for group in groups] == [True, False]
    rex = found[found.index(groups[1]) + 1]
    assert [len(list(cell.iter("img"))) for cell in rex] == [0, 1, 0, 1, 0, 0]
    assert all(len(row) == 6 for row in found if row not in groups)


def test_each_score_and_the_distance_is_one_plot_with_a_line_a_run(pair):
    plots = re.findall("<svg.*?</svg>", compare.plots(pair), re.S)
    assert len(plots) == 4
    for plot in plots:
        ElementTree.fromstring(plot)
        assert ">Biscuit<" in plot and ">Rex<" in plot
    assert "Biscuit: mean limit" in plots[3] and "Rex: mean limit" not in plots[3], "LoRA has no limit"
    colours = [re.findall(r'stroke="(#\w+)" stroke-width="2.2"', plot) for plot in plots]
    assert colours[0] == colours[1] == colours[2] and len(set(colours[0])) == 2


def test_only_settings_that_differ_are_listed(pair):
    html = compare.differences(pair)
    named = re.findall(r"<code>(.*?)</code>", html)
    assert {"adapter.method", "adapter.alpha", "adapter.lambda", "learning_rate", "save_every"} <= set(named)
    assert not {"steps", "seed", "name", "adapter.rank", "adapter.lambda_max", "parent"} & set(named)
    assert "same settings" in compare.differences([pair[0], pair[0]])


def test_runs_that_were_asked_alike_are_comparable(pair):
    assert compare.comparable(pair) == ""


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"base": "sd15"}, "base model"),
        ({"sample": {"prompts": ["a {subject} on Mars"]}}, "prompts"),
        ({"sample": {"seeds": [0, 1]}}, "seeds"),
        ({"sample": {"guidance": 5.0}}, "sampler settings"),
        ({"class_word": "cat"}, "kind word"),
    ],
)
def test_what_makes_scores_not_comparable_is_named_above_them(tmp_path, changes, named):
    found = views(handmade.finished(tmp_path), handmade.finished(tmp_path, "Rex", **changes))
    assert compare.not_comparable(found) == [named]
    html = compare.section(found)
    assert html.index("Not comparable") < html.index(f"differ in {named}") < html.index("Scores and distance")
    assert "<svg" in html


def test_other_pictures_or_judges_are_not_comparable_either(tmp_path):
    one, other = handmade.finished(tmp_path), handmade.finished(tmp_path, "Rex")
    (other.path / "dataset" / "01.png").write_bytes(handmade.PNG + b"another dog")
    handmade.score(other, {4: (0.7, 1.0)}, judge="paper's")
    assert compare.not_comparable(views(one, other)) == ["pictures of the subject", "judges"]


def test_a_run_without_anything_yet_can_be_compared(tmp_path):
    html = compare.section(views(handmade.run(tmp_path), handmade.run(tmp_path)))
    assert "Nothing is drawn yet." in html and "Nothing measured yet." in html and "same settings" in html


def test_runs_of_one_name_are_told_apart(tmp_path):
    one, other = views(handmade.finished(tmp_path), handmade.finished(tmp_path))
    html = compare.plots([one, other])
    assert f"Biscuit ({one.id[-4:]})" in html and f"Biscuit ({other.id[-4:]})" in html


# Cards


def test_runs_not_ended_come_first_then_the_newest(tmp_path):
    states = ["done", "failed", "running", "queued", "interrupted", "stopped", "starting"]
    runs = {state: handmade.put(handmade.run(tmp_path, state), state) for state in states}
    for index, (state, run) in enumerate(runs.items()):
        runs[state] = run.path.rename(run.path.with_name(f"20261101-00000{index}-{state}-0000"))
    found = [card.state for card in summaries.summaries(tmp_path)]
    assert found == ["starting", "running", "queued", "interrupted", "stopped", "failed", "done"]


def test_a_card_shows_the_recommended_save(tmp_path):
    run = handmade.finished(tmp_path)
    (card,) = summaries.summaries(tmp_path)
    assert (card.name, card.state, card.recommended, card.step, card.method) == ("Biscuit", "done", 8, 16, "delora")
    assert card.figures == "likeness 75 %, follows the prompt 97 %, clean picture 100 %"
    assert card.thumbnail == f"studio/picture/{run.id}/step-000008/00-00.png"
    html = cards.card(card)
    for words in (
        "Biscuit",
        "Done",
        "Step 8: likeness 75 %, follows the prompt 97 %, clean picture 100 %",
        "DeLoRA, 16 steps at rate 0.01, on Toy",
        f"run?id={run.id}",
    ):
        assert words in html, words


def test_before_a_recommendation_the_newest_pictures_or_the_subjects_own_are_shown(tmp_path):
    run = handmade.run(tmp_path)
    assert summaries.summaries(tmp_path)[0].thumbnail == f"studio/picture/{run.id}/dataset/00.png"
    handmade.train(run, 8)
    card = summaries.summaries(tmp_path)[0]
    assert card.thumbnail.endswith("step-000008/00-00.png") and "No recommendation yet" in cards.card(card)


def test_what_changed_is_read_again_and_nothing_else(tmp_path, monkeypatch):
    runs = [handmade.finished(tmp_path) for _ in range(3)]
    summaries.summaries(tmp_path)
    read = []
    original = summaries._read
    monkeypatch.setattr(summaries, "_read", lambda path: read.append(path.name) or original(path))
    looked, changed = [], summaries._changed
    monkeypatch.setattr(summaries, "_changed", lambda path: looked.append(path) or changed(path))
    summaries.summaries(tmp_path)
    assert read == [] and len(looked) == 4 * len(runs)
    handmade.put(runs[1], "failed")
    assert [card.state for card in summaries.summaries(tmp_path) if card.id == runs[1].id] == ["failed"]
    handmade.score(runs[2], {4: (0.8, 1.0)})
    runs[0].rename("Renamed")
    found = {card.id: card for card in summaries.summaries(tmp_path)}
    assert found[runs[2].id].recommended == 4 and found[runs[0].id].name == "Renamed"
    assert sorted(read) == sorted(run.id for run in runs)


def test_unfinished_folders_are_passed_over_and_damaged_ones_are_shown(tmp_path):
    assert summaries.summaries(tmp_path) == []
    good, damaged, old = (handmade.run(tmp_path) for _ in range(3))
    (damaged.path / "state.json").write_text("{")
    (old.path / "spec.json").write_text("{}")
    (tmp_path / "runs" / ".half.part").mkdir()
    (tmp_path / "runs" / "stray.txt").write_text("")
    found = {card.id: card.state for card in summaries.summaries(tmp_path)}
    assert found == {good.id: "queued", damaged.id: "damaged", old.id: "damaged"}


@pytest.mark.parametrize("name", ["run\nof\x1bmine", "run of \udcff", "run\u202e"])
def test_a_run_in_a_folder_whose_name_cannot_be_shown_is_told_and_leads_nowhere(tmp_path, name):
    run = handmade.run(tmp_path)
    good = handmade.run(tmp_path)
    run.path.rename(run.path.with_name(name))
    (run.path.parent / "no\nrun").mkdir()
    found = summaries.summaries(tmp_path)
    assert [(card.id, card.state) for card in found] in ([(good.id, "queued"), ("", "damaged")],
                                                         [("", "damaged"), (good.id, "queued")])  # fmt: skip
    html = cards.grid(cards.page(found, state="damaged"))
    html.encode()  # as the server does
    assert "Rename the folder." in html and "href" not in html and "data-act" not in html
    assert html.replace("\n", "").isprintable() and plain(name) in html


def test_the_filter_takes_words_and_states(tmp_path):
    handmade.finished(tmp_path, "Biscuit the dog")
    handmade.live(handmade.run(tmp_path, "Rex", "lora"))
    found = summaries.summaries(tmp_path)

    def names(**how):
        return [card.name for card in cards.page(found, **how).cards]

    assert names(text="toy") == ["Rex", "Biscuit the dog"] and names(text="LORA toy") == ["Rex"]
    assert names(text="delo") == ["Biscuit the dog"] and names(text="dog biscuit") == ["Biscuit the dog"]
    assert names(state="done") == ["Biscuit the dog"] and names(state="unfinished") == names(state="running") == ["Rex"]
    shown = cards.page(found, text="cat")
    assert (shown.cards, shown.found, shown.all, shown.pages) == ((), 0, 2, 1)
    assert "None of the 2 runs fits the filter." in cards.grid(shown)


def test_pages_hold_24_and_a_number_beyond_them_is_the_last(tmp_path):
    run = handmade.run(tmp_path)
    one = summaries.summaries(tmp_path)[0]
    many = [summaries.Summary(**{**vars(one), "id": f"{i:03d}"}) for i in range(50)]
    shown = cards.page(many, 2)
    assert ([card.id for card in shown.cards][0], len(shown.cards), shown.pages) == ("024", 24, 3)
    assert [card.id for card in cards.page(many, 9).cards] == ["048", "049"] and cards.page(many, -1).number == 1
    assert "No runs yet." in cards.grid(cards.page([])) and run.id


def test_a_card_is_escaped_and_names_its_buttons(tmp_path):
    run = handmade.put(handmade.run(tmp_path, "<b>x</b>"), "done")
    html = cards.grid(cards.page(summaries.summaries(tmp_path)), {run.id})
    assert "<b>" not in html and "&lt;b&gt;x" in html
    assert re.search('data-act="tick"[^>]* checked', html) and 'aria-label="Delete &lt;b&gt;x' in html
    live = summaries.summaries(tmp_path)[0]
    assert "Delete" not in cards.card(summaries.Summary(**{**vars(live), "state": "running"}))


def test_a_thousand_runs_are_quick(tmp_path):
    run = handmade.finished(tmp_path)
    for i in range(999):
        copy = run.path.with_name(f"20260101-{i:06d}-copy-0000")
        copy.mkdir()
        for file in (path for path in run.path.rglob("*") if path.is_file()):
            (copy / file.relative_to(run.path)).parent.mkdir(parents=True, exist_ok=True)
            os.link(file, copy / file.relative_to(run.path))
    began = time.process_time()
    assert len(summaries.summaries(tmp_path)) == 1000
    cold = time.process_time() - began

    def again():
        began = time.process_time()
        cards.grid(cards.page(summaries.summaries(tmp_path), 2, "bisc"))
        return time.process_time() - began

    warm = min(again() for _ in range(5))
    assert (cold <= 2.0, warm <= 0.05) == (True, True), (cold, warm)
    assert len(rundir.list_runs(tmp_path)) == 1000


def test_a_card_tells_older_judges_and_a_collapse(tmp_path):
    run = handmade.finished(tmp_path)
    document = run.scores()
    run.write_scores({**document, "version": 1})
    (card,) = summaries.summaries(tmp_path)
    assert card.recommended is None and "Scored by older judges: score it again" in cards.card(card)
    handmade.score(run, {4: (0.6, 1.0), 8: (0.7, 1.0, 0.4), 12: (0.7, 1.0, 0.3)})
    (card,) = summaries.summaries(tmp_path)
    assert "Step 4: likeness 50 %" in cards.card(card) and "Not a clean picture since step 8" in cards.card(card)
