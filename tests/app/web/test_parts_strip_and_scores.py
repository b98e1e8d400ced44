"""The film strip, the scores and the details of hand-made runs."""

import re
from xml.etree import ElementTree

import handmade
import pytest

from app.web.parts.run import details, filmstrip, header, scores
from app.web.reading import follow
from app.words import METHODS
from evaluation import curves
from evaluation.figures import LIKENESS
from training.runs.shortage import Need


def rows(html: str) -> list[list[str]]:
    """The table's cells as text, a picture as its alternative text."""
    return [
        ["".join([*cell.itertext(), *(image.get("alt") for image in cell.iter("img"))]) for cell in row]
        for row in handmade.table(html).iter("tr")
    ]


def test_rows_are_prompts_columns_are_steps_and_the_base_comes_first(tmp_path):
    view = follow.view(handmade.finished(tmp_path))
    found = rows(filmstrip.section(view))
    assert found[0] == ["", "Base model", "Step 4", "Step 8Recommended", "Step 12", "Step 16"]
    assert found[1][:3] == [
        "a sks dog in the snow",
        "base model: a dog in the snow, seed 0",
        "step 4: a sks dog in the snow, seed 0",
    ]
    figures = ["Likeness", "Follows the prompt", "Clean picture"]
    assert [row[0] for row in found[1:]] == ["a sks dog in the snow", "a sks dog", *figures]
    assert found[3][1:] == ["0 %", "25 %", "75 %", "76 %", "88 %"]
    assert found[4][1:] == ["100 %", "100 %", "97 %", "96 %", "70 %"]
    assert found[5][1:] == ["100 %"] * 5


def test_the_recommended_column_is_framed_from_top_to_bottom(tmp_path):
    found = handmade.table(filmstrip.section(follow.view(handmade.finished(tmp_path))))
    for row in found.iter("tr"):
        assert [index for index, cell in enumerate(row) if cell.get("class") == "ds-best"] == [3]


def test_the_strip_can_be_scrolled_from_the_keyboard_and_pictures_hold_their_place(tmp_path):
    run = handmade.finished(tmp_path)
    html = filmstrip.section(follow.view(run))
    assert re.search(r'tabindex="0" role="region"[^>]* aria-label="Film strip of Biscuit"', html)
    for image in re.findall("<img[^>]*>", html):
        assert all(word in image for word in ('loading="lazy"', "width=", "height=", "alt="))
    assert f'src="studio/picture/{run.id}/step-000008/01-00.png"' in html
    assert f'src="studio/picture/{run.id}/dataset/02.png"' in html
    assert all(row[0].get("scope") == "row" for row in list(handmade.table(html).iter("tr"))[1:])


def test_pictures_open_in_full_size_and_steps_lead_to_generate_with_one_stop_for_tab(tmp_path):
    run = handmade.finished(tmp_path)
    table = handmade.table(filmstrip.section(follow.view(run)))
    heads = {link.text: link for link in table.iter("a") if link.text}
    assert list(heads) == ["Step 4", "Step 8", "Step 12", "Step 16"], "the base model is no save"
    assert heads["Step 8"].get("href") == f"generate?run={run.id}&step=8"
    assert heads["Step 8"].get("aria-label") == "Draw with step 8"
    pictures = [link for link in table.iter("a") if link.find("img") is not None]
    assert len(pictures) == 2 * 5 and {link.get("target") for link in pictures} == {"_blank"}
    assert all(link.get("href") == link.find("img").get("src") for link in pictures)
    assert [link.get("tabindex") for link in table.iter("a")] == ["0"] + ["-1"] * 13


def test_a_likeness_below_zero_is_explained_and_zero_has_no_sign(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 8)
    handmade.score(run, {4: (0.399, 1.0), 8: (0.41, 1.0)})
    html = filmstrip.section(follow.view(run))
    assert rows(html)[3][1:] == ["0 %", "0 %", "2 %"] and "below 0" not in html
    handmade.score(run, {4: (0.3, 1.0), 8: (0.41, 1.0)})
    html = filmstrip.section(follow.view(run))
    assert rows(html)[3][2] == "-25 %"
    assert "Likeness below 0 %: less like Biscuit than any dog from the base model." in html


def test_other_seeds_are_folded(tmp_path):
    html = filmstrip.section(follow.view(handmade.finished(tmp_path)))
    shown, folded = html.split("<details")
    assert "seed 7" not in shown.replace("seeds", "") and "Other seeds: 7" in folded
    assert "step 8: a sks dog in the snow, seed 7" in folded and "08/00-01.png" in folded


def test_a_missing_picture_is_a_gap(tmp_path):
    run = handmade.finished(tmp_path)
    (run.samples_folder(8) / "01-00.png").unlink()
    found = rows(filmstrip.section(follow.view(run)))
    assert found[2][3] == "no picture" and found[1][3].startswith("step 8")


def test_before_the_first_pictures_the_strip_says_when_they_come(tmp_path):
    run = handmade.run(tmp_path)
    assert "The first pictures come" in filmstrip.section(follow.view(run))
    handmade.live(handmade.train(run, 5))
    html = filmstrip.section(follow.view(run))
    assert "Next pictures at step 8." in html and len(rows(html)) == 3, "no captions without scores"


def test_without_scores_the_page_says_when_they_come(tmp_path):
    run = handmade.live(handmade.train(handmade.run(tmp_path), 3))
    assert "No recommendation yet; the first scores come at step 4." in scores.section(follow.view(run))
    handmade.score(run, {})
    html = scores.section(follow.view(run))
    assert "the first scores come at step 4." in html and "step 0" not in html


def test_the_reason_and_what_the_figures_mean_stand_beside_the_plots(tmp_path):
    run = handmade.finished(tmp_path)
    html = scores.section(follow.view(run))
    for words in (
        run.scores()["recommendation"]["reason"],
        "0 % is any dog from the base model, 100 % is your own pictures compared with one another.",
        "Follows the prompt (CLIP): the place and the thing that the prompt names, whichever is shown less",
        "Clean picture (DINO and CLIP): 100 % is as clean as the base model&#x27;s pictures",
        "learns what Biscuit looks like but learns your photos by heart",
        "recommended: 8",
        "Toy.",
    ):
        assert words in html, words
    plots = re.findall("<svg.*?</svg>", html, re.S)
    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring(plot)


def test_the_likeness_plot_is_in_percent_of_the_same_scale_as_the_captions(tmp_path):
    view = follow.view(handmade.finished(tmp_path))
    (line,) = curves.figure_series(LIKENESS, view.book, "Biscuit")
    assert line.points == tuple((step, pytest.approx(view.book.figures(step).likeness)) for step in (0, 4, 8, 12, 16))
    assert line.errors[0] == pytest.approx(100 * 0.01 / (0.8 - 0.4))


def test_one_picture_of_the_subject_gives_no_scale_and_no_plot_of_likeness(tmp_path):
    run = handmade.score(handmade.train(handmade.run(tmp_path), 4), {4: (0.7, 1.0)}, real=None)
    html = scores.section(follow.view(run))
    assert ">Likeness (DINO)</text>" not in html and ">Clean picture (DINO and CLIP)</text>" in html
    assert rows(filmstrip.section(follow.view(run)))[3][1:] == ["–", "–"]


def test_where_no_save_obeys_the_one_that_ignores_least_is_marked_as_that(tmp_path):
    run = handmade.score(handmade.train(handmade.run(tmp_path), 8), {4: (0.6, 0.7), 8: (0.7, 0.6)})
    found = rows(filmstrip.section(follow.view(run)))
    assert found[0] == ["", "Base model", "Step 4Ignores least of the prompt", "Step 8"]
    assert "recommended: " not in scores.section(follow.view(run))


def test_a_run_that_has_collapsed_says_so_while_it_trains_with_the_step_it_was_last_good_at(tmp_path):
    run = handmade.live(handmade.train(handmade.run(tmp_path), 13))
    handmade.score(run, {4: (0.6, 1.0), 8: (0.7, 0.9), 12: (0.7, 1.0, 0.4)})
    html = scores.section(follow.view(run))
    assert "<strong>Not a clean picture since step 12</strong>" in html and "It was last good at step 8." in html
    told = "Its pictures are not clean any more since step 12. It was last good at step 8. You can stop it."
    assert told in header.block(follow.view(run))
    assert rows(filmstrip.section(follow.view(run)))[5][1:] == ["100 %", "100 %", "100 %", "40 %"]
    handmade.score(run, {4: (0.6, 1.0), 8: (0.7, 0.9), 12: (0.7, 1.0)})
    assert "Not a clean picture" not in scores.section(follow.view(run))
    assert "not clean" not in header.block(follow.view(run))


def test_all_scores_stand_in_a_table(tmp_path):
    html = scores.section(follow.view(handmade.finished(tmp_path))).split('id="ds-score-table"')[1]
    found = rows(html)
    figures, plain = ["Likeness", "Follows the prompt", "Clean picture"], ["DINO", "CLIP-I", "CLIP-T", "Place", "Thing"]
    assert found[0] == ["Save", *figures, *plain]
    row = ["Step 8 Recommended", "75 %", "97 %", "100 %", "0.700 ± 0.010", "0.500", "0.300", "97 %", "138 %"]
    assert found[3] == row
    assert [row[0] for row in found[1:]] == [
        "Base model",
        "Step 4",
        "Step 8 Recommended",
        "Step 12",
        "Step 16",
        "Your pictures",
    ]


def test_settings_are_those_that_the_method_reads(tmp_path):
    delora, lora = (handmade.run(tmp_path, method=method).spec for method in ("delora", "lora"))
    names = {name: [setting for setting, _, _ in details.settings(spec)] for name, spec in (("d", delora), ("l", lora))}
    assert "adapter.lambda" in names["d"] and "learning_rate_lambda" in names["d"] and "adapter.alpha" not in names["d"]
    assert "adapter.alpha" in names["l"] and not any("lambda" in name for name in names["l"])
    assert names["d"][0] == "base" and names["d"].index("adapter.method") + 1 == names["d"].index("adapter.dropout")
    assert all(told for _, _, told in details.settings(delora))
    assert "sample.guidance" in details.settings_table(delora) and "not set" in details.settings_table(delora)


@pytest.mark.parametrize("method", METHODS)
def test_settings_are_called_as_on_the_page_new(method, tmp_path):
    table = details.settings_table(handmade.run(tmp_path, method=method).spec)
    for name, label in re.findall(r'<th scope="row">(.*?) <code>(.*?)</code>', table):
        assert name != label, f"{label} has no label"
    for words in ("Steps between saves <code>save_every", "Its kind (class word) <code>class_word"):
        assert words in table, words
    values = dict(re.findall(r"<code>([\w.]+)</code><span>[^<]*</span></th><td>(.*?)</td>", table))
    assert (values["base"], values["adapter.method"]) == ("Toy model (built in)", METHODS[method])
    assert "Distance limit (lambda) <code>adapter.lambda<" in table or method != "delora"


def test_details_show_pace_memory_rates_notes_and_the_end_of_the_log(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 5)
    handmade.events(run, handmade.step(6, lr=0.02, lr_lambda=0.004), {"kind": "note", "words": "Memory ran <out>."})
    html = details.section(follow.view(run))
    for words in ("0.50", "900 MB", "0.02", "0.004", "Memory ran &lt;out&gt;."):
        assert words in html, words
    assert "Nothing yet." in details.log_fold(follow.view(run))
    assert "It is empty." in details.log_fold(follow.view(handmade.put(run, "done")))
    (run.path / "log.txt").write_text("x\n" * 9000 + "the <end>\n")
    log = details.log_fold(follow.view(run))
    assert "the &lt;end&gt;" in log and log.count("x\n") == 59


def test_details_say_where_the_raw_numbers_lie_and_what_each_memory_is(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 5)
    handmade.live(run, memory=Need(device="cpu", needed_gb=0.51, free_gb=9.5, total_gb=16, micro_batch=4,
                                   checkpointing=False, size_px=128))  # fmt: skip
    html = details.section(follow.view(run))
    assert f"<code>{run.path}</code>" in html
    for file in ("events.jsonl", "scores.json", "spec.json"):
        assert f"<code>{file}</code>" in html, file
    figures = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert figures["Memory for training, estimate"].startswith("510 MB with 4 pictures at once; what Python")
    assert figures["Memory of the whole program at most"] == "900 MB"
