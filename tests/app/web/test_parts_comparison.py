"""A comparison as HTML, as cards, and as files of its own."""

import io
import re
import time
from html import unescape

import handmade
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.comparisons import comparison
from app.comparisons.plan import Column
from app.web import ui
from app.web.parts.comparison import cards, export, found, grid, head
from app.web.parts.comparison.shown import whole
from app.web.studio import Studio
from training.errors import BadInput

NAME = "Which <rate>?"


@pytest.fixture
def made(tmp_path):
    """DeLoRA and LoRA finished, the latter with noise from step 8 on, and a DeLoRA at eight times its rate at work."""
    one, other = handmade.finished(tmp_path), handmade.finished(tmp_path, method="lora")
    handmade.score(other, {4: (0.6, 1.0), 8: (0.3, 0.5, 0.1), 12: (0.2, 0.5, 0.0), 16: (0.2, 0.5, 0.0)})
    third = handmade.live(handmade.train(handmade.run(tmp_path), 4))
    for run in (one, other, third):
        for path in run.path.glob("samples/*/*.png"):
            Image.effect_noise((24, 24), 80).convert("RGB").save(path)
    named = [(Column(method="delora"), one), (Column(method="lora"), other), (Column(method="delora", rate=8), third)]
    return comparison.make(tmp_path, NAME, (4, 8, 12, 16), named)


def test_the_grid_has_a_row_a_column_and_a_place_for_each_save(made):
    rows = list(handmade.table(grid.grid(whole(made), 0)).iter("tr"))
    assert ["".join(cell.itertext()) for cell in rows[0]] == ["", "Base model", *(f"Step {n}" for n in (4, 8, 12, 16))]
    shown = [[len(list(cell.iter("img"))) for cell in row][1:] for row in rows[1:]]
    assert shown == [[1] * 5, [1] * 5, [1, 1, 0, 0, 0]]
    told = ["".join(cell.itertext()) for cell in rows[2]]
    assert "not clean" in told[3] and "not clean" not in told[2] and "Recommended" in told[2]
    runs, html = made.runs(), grid.section(whole(made))
    for link in re.findall(r'data-cell="([^"]*)" data-save="studio/save/([^/]*)/(\d+)"', html):
        run = next(run for run in runs if run.id == link[1])
        assert int(link[2]) in run.checkpoints() and f"step {link[2]}" in link[0]
    assert html.count("data-cell") == 2 * (5 + 5 + 2), "each prompt's first seed"


def test_the_sentence_and_the_table_say_what_the_figures_say(made):
    shown = whole(made)
    assert shown.state == "running"
    assert shown.sentence == (
        "So far, DeLoRA ×1 comes nearest to Biscuit (likeness 75 ± 2 % at step 8); LoRA ×1 (since step 8) no longer "
        "draws clean pictures, DeLoRA ×1 still does at step 16."
    )
    table = handmade.table(found.table(shown))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")][1:]
    assert rows[0][:3] == ["DeLoRA ×1", "step 8", "75 %"] and rows[0][5:] == ["–", "0.150", "biscuit.safetensors"]
    assert rows[1][1:3] == ["step 4", "50 %"] and rows[1][5] == "step 8"
    assert rows[2] == ["DeLoRA ×8", *["–"] * 5, "0.038", "–"]


def test_curves_and_heat_maps_have_every_column(made):
    svgs = re.findall("<svg.*?</svg>", found.curves(whole(made)), re.S)
    assert len(svgs) == 4 and all("LoRA ×1" in svg for svg in svgs) and "DeLoRA ×8" in svgs[3]
    assert svgs[0].count("l12 12m0 -12l-12 12") == 1, "where LoRA collapsed"
    assert "DeLoRA ×1: mean limit" in svgs[3] and ">LoRA ×1: mean limit" not in svgs[3]
    assert found.heat_maps(whole(made)) == "", "these layers are of no UNet"
    layers = {"mid_block.attentions.0.attn1.to_q": {"distance": 0.2, "bound": None, "reach": None, "lambda": None}}
    for run in made.runs()[:2]:
        handmade.events(run, {"kind": "geometry", "step": 16, "layers": layers})
    html = found.heat_maps(whole(made))
    assert html.count("<svg") == 2 or html.count("<svg") == 3
    assert "DeLoRA ×1, step 16" in html and ">0.200<" in html


def test_buttons_are_those_of_its_state(made):
    def keys():
        return set(re.findall(r'data-act="(\w+)"', head.buttons(whole(made))))

    assert keys() == {"stop", "rename", "delete"}
    handmade.put(made.runs()[2], "interrupted")
    assert keys() == {"resume", "rename", "delete"}
    handmade.put(made.runs()[2], "failed", cause="nan", step=6)
    assert keys() == {"rename", "delete"} and "broke down at step 6" in whole(made).sentence


def test_everything_a_person_typed_is_escaped(made, tmp_path):
    shown = whole(made)
    html = "".join((head.title(shown), head.standing(shown), cards.section(tmp_path), export.document(shown)))
    assert "<rate>" not in html and "Which &lt;rate&gt;?" in html


def test_runs_that_are_gone_leave_gaps(made, tmp_path):
    import shutil

    runs = made.runs()
    shutil.rmtree(runs[0].path)
    (runs[1].path / "spec.json").write_text("{")
    shown = whole(made)
    assert [bool(column.view) for column in shown.columns] == [False, False, True]
    assert grid.section(shown).count(grid.GONE) == 2 * 2 and "No column" not in shown.sentence
    shutil.rmtree(runs[2].path)
    shown = whole(made)
    assert shown.state == "damaged" and "no runs left" in grid.section(shown)
    assert "Damaged" in cards.section(tmp_path)


def test_a_damaged_one_is_a_card_and_a_page(made, tmp_path):
    (made.path / comparison.FILE).write_text("{")
    with pytest.raises(BadInput) as caught:
        whole(made)
    html = cards.section(tmp_path)
    assert "Damaged" in html and "comparison.json is damaged" in html and str(tmp_path) not in html
    assert "Delete it" in head.damaged(made, caught.value)


def test_the_exported_page_needs_nothing_else(made):
    text = export.document(whole(made))
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert addresses and all(address.startswith("data:image/webp;base64,") for address in addresses)
    assert text.count("<script>") == 2 and "connect-src" not in text and "default-src 'none'" in unescape(text)
    assert "studio/" not in re.sub(r"<script>.*?</script>|<style>.*?</style>|<!--.*?-->", "", text, flags=re.S)


def test_files_come_by_their_address_and_nothing_else_does(made, tmp_path):
    client = TestClient(ui.application(Studio(tmp_path)), base_url="http://localhost")
    html = client.get(f"/studio/comparison/{made.id}/html")
    assert html.status_code == 200 and html.headers["content-disposition"].endswith("which-rate.html")
    assert html.headers["content-disposition"].startswith("attachment")
    sheet = Image.open(io.BytesIO(client.get(f"/studio/comparison/{made.id}/png").content))
    assert sheet.format == "PNG" and sheet.width > 5 * 128
    for address in (f"{made.id}/json", "nobody/html", "..%2Fruns/html"):
        assert client.get(f"/studio/comparison/{address}").status_code in (404, 422)
    (made.path / comparison.FILE).write_text("{")
    assert client.get(f"/studio/comparison/{made.id}/html").status_code == 404


def test_the_newest_are_cards_and_the_others_are_named(made, tmp_path):
    named = [(Column(method="delora"), run) for run in made.runs()[:1]]
    for number in range(cards.CARDS):
        comparison.make(tmp_path, f"Later {number}", (4,), named).path.rename(
            tmp_path / "comparisons" / f"29990101-00000{number}-later-0000"
        )
    html = cards.section(tmp_path)
    assert html.count("ds-run-card") == cards.CARDS and "Which &lt;rate&gt;?" in html.partition("Older comparisons")[2]


def test_a_picture_followed_by_megabytes_of_nothing_is_shown_at_once(made):
    (path,) = made.runs()[0].samples(8)[:1]
    before = export.sheet(whole(made))
    with path.open("r+b") as file:
        file.truncate(80 << 20)
    began = time.process_time()
    assert export.sheet(whole(made)) == before
    assert time.process_time() - began < 5
