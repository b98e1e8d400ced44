"""What is shown of a run of maps: film strip, scores, card, and several beside one another."""

import handmade
import handmaps
import mapfiles
import numpy as np
import pytest

from app.web.parts import cards, summaries, taught
from app.web.parts.maprun import film, scores
from app.web.parts.run import compare, details, downloads, header
from app.web.reading import follow


@pytest.fixture
def view(tmp_path):
    return follow.view(handmaps.finished(tmp_path))


def rows_of(html):
    return [["".join(cell.itertext()).strip() for cell in row] for row in handmade.table(html).iter("tr")]


def test_the_film_strip_has_map_real_picture_no_adapter_and_each_save(view):
    html = film.section(view)
    rows = rows_of(html)
    saves = ["Step 4", "Step 8", "Step 12Recommended", "Step 16"]
    assert rows[0] == ["", "Map", "Real picture", "No adapter", *saves]
    assert rows[1][0] == "a beach at 0 o'clock beach 0.jpg, seed 0"
    images = [cell.find(".//img").get("src") for cell in list(handmade.table(html).iter("tr"))[2][1:]]
    assert images[:2] == [f"studio/map/{view.id}/0001.png", f"studio/picture/{view.id}/held-out/0001.png"]
    assert images[2:4] == [f"studio/picture/{view.id}/step-{step:06d}/0001-00.png" for step in (0, 4)]
    assert rows[4][:2] == ["mIoU", ""] and len(rows[4]) == 8 and all(cell.endswith(" %") for cell in rows[4][2:])
    assert len(rows) == 1 + 3 + 2 and html.count('tabindex="0"') == 2  # the region, and one link


def test_further_maps_and_seeds_are_folded(tmp_path):
    made = follow.view(handmaps.train(handmaps.run(tmp_path, held_out=8, sample={"seeds": (0, 7)}), 4))
    html = film.section(made)
    assert "2 other maps, and all at 1 other seed" in html and "seed 7" in html.split("<details")[1]
    assert "step-000004/0000-01.png" in html.split("<details")[1] and "-01.png" not in html.split("<details")[0]
    assert "seed 7" not in html.split("<details")[0] and html.split("<details")[1].count('<th scope="row"') == 10


def test_before_the_first_pictures_it_says_what_comes(tmp_path):
    made = follow.view(handmade.live(handmaps.run(tmp_path)))
    assert film.COMING in film.section(made)
    assert "first scores come at step 4" in scores.section(made)


def test_the_scores_stand_beside_ceiling_and_base_with_judge_and_protocol(view):
    html = scores.section(view)
    assert "real pictures (ceiling)" in html and "no adapter (base)" in html
    assert "Protocol: frozen ControlNet." in html and "Judged by the segmentor toy" in html
    assert "classes present" in html and "Recommended: step 12." in html
    table = rows_of(scores.table(view))
    assert [row[0] for row in table[1:]] == [
        *("No adapter (base)", "Step 4", "Step 8", "Step 12 Recommended", "Step 16", "Real pictures (ceiling)")
    ]
    miou = [float(row[1].removesuffix(" %")) for row in table[1:]]
    assert miou == sorted(miou[:4]) + [miou[4], max(miou)] and miou[3] > miou[4]
    each = rows_of(scores.classes(view))
    assert each[0] == ["Class", "Real pictures (ceiling)", "No adapter (base)", "Step 12"]
    assert {row[0] for row in each[1:]} == {"sky", "grass", "person", "tree"}


def test_the_figures_are_those_of_the_pixels(view):
    """What is wrong is floor, which no map has: IoU of a class is the share of its pixels that are right."""
    truth = mapfiles.scene(48, 48)
    right = np.arange(48 * 48).reshape(48, 48) % 100 < 20  # as `handmaps.book` has it
    shares = [right[truth == i].mean() for i in np.unique(truth) if i != 255]
    [base] = [row for row in rows_of(scores.table(view)) if row[0] == scores.BASE]
    assert base[1] == f"{100 * np.mean(shares):.1f} %" and base[2] == f"{100 * right[truth != 255].mean():.1f} %"


def test_the_rest_of_its_page_speaks_of_maps_and_of_no_words_for_prompts(view):
    told = header.facts(view)
    assert "pictures from maps" in told and "protocol: frozen ControlNet" in told and "write" not in told
    assert "draw with one" in downloads.section(view) and 'Write "' not in downloads.section(view)
    shown = dict((name, value) for name, value, _ in details.settings(view.spec))
    assert "controlnet" in shown and "learning_rate_hint" not in shown and "token" not in shown
    assert header.phase_list(view)


def test_its_card_says_what_it_teaches_and_its_miou(tmp_path):
    run = handmaps.finished(tmp_path)
    [card] = summaries.summaries(tmp_path)
    html = cards.card(card)
    assert "Step 12: mIoU " in html and "Pictures from maps, frozen ControlNet." in html
    assert card.thumbnail == f"studio/picture/{run.id}/step-000012/0000-00.png"
    assert cards.page([card], text="maps").found == 1


def test_runs_of_one_protocol_and_judge_share_a_plot_and_others_do_not(tmp_path):
    one, other = (handmaps.finished(tmp_path, name) for name in ("One", "Two"))
    views = [follow.view(run) for run in (one, other)]
    strips, plots = taught.side_by_side(views)
    assert compare.not_comparable(views) == [] and strips.count("<table") == 2
    assert plots.count("<svg") == 3 and "All scores of One" in plots
    hint = follow.view(handmaps.finished(tmp_path, "Three", protocol="hint-encoder"))
    assert set(compare.not_comparable([views[0], hint])) == {"protocol", "ControlNet"}
    apart = taught.side_by_side([views[0], hint])[1]
    assert apart.count("<svg") == 1, "two protocols never stand in one plot"
    assert "One: frozen ControlNet." in apart and "Three: hint encoder" in apart
    fewer = follow.view(handmaps.finished(tmp_path, "Four", held_out=2))
    assert compare.not_comparable([views[0], fewer]) == ["held-out maps"]
    subject = follow.view(handmade.finished(tmp_path))
    assert compare.not_comparable([views[0], subject]) == ["what they teach"]
    assert taught.side_by_side([views[0], subject])[0] == ""
    assert compare.differences([views[0], subject])
