"""Maps of the page Generate on the server: what the page sends is looked at, and what is shown is told and escaped."""

import base64
import json
import zlib

import handmade
import mapfiles
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.orders import agreeing, drawings, following
from app.orders.agreeing import ClassShare, Judged, PictureScores
from app.orders.drawings import parse_request
from app.web import ui
from app.web.parts import followed, labels
from app.web.reading import heldout
from app.web.studio import Studio
from training.base import controlnet
from training.errors import BadInput
from training.maps import intake, pairs, reading, writing
from training.maps.classes import CLASSES


def packed(data: bytes, edge=8) -> str:
    return f"{edge}:{base64.b64encode(zlib.compress(data)).decode()}"


def test_a_map_travels_as_text_and_comes_back_to_the_byte():
    for edge in (8, 33, 600):
        given = np.resize(mapfiles.every_class(), (edge, edge))
        np.testing.assert_array_equal(labels.decode(labels.encode(given)), given)
    assert len(labels.encode(np.full((2048, 2048), 2, dtype=np.uint8))) < 10_000


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "There is no map yet"),
        (None, "There is no map yet"),
        ({"path": "/etc/passwd"}, "There is no map yet"),
        ("8", "it has not 8 x 8 pixels"),
        ("8:???", "cannot be unpacked"),
        ("x:" + packed(b"\2" * 64)[2:], "its edge is not 8 to 2048 pixels"),
        ("-8:" + packed(b"\2" * 64)[2:], "its edge is not"),
        ("²:" + packed(b"\2" * 64)[2:], "its edge is not"),
        (packed(b"\2" * 49, 7), "its edge is not"),
        (packed(b"\2" * 64, 4096), "its edge is not"),
        (packed(b"\2" * 63), "it has not 8 x 8 pixels"),
        (packed(b"\2" * 65), "it has not 8 x 8 pixels"),
        (packed(bytes(10**8)), "it has not 8 x 8 pixels"),  # unpacked no further than that
        (f"8:{base64.b64encode(zlib.compress(bytes([2] * 64))[:-4]).decode()}", "it has not"),  # without its checksum
        (packed(b"\2" * 63 + b"\x96"), "it holds the number 150, which is no class"),
        (packed(b"\2" * 63 + b"\xfe"), "it holds the number 254"),
    ],
)
def test_what_is_no_map_is_told_and_used_for_nothing(text, words):
    with pytest.raises(BadInput, match=words) as told:
        labels.decode(text)
    assert told.value.field == "map"


def test_the_page_asks_for_the_classes(tmp_path):
    client = TestClient(ui.application(Studio(tmp_path)), base_url="http://localhost")
    found = client.get("/studio/classes").json()
    assert [one["name"] for one in found] == [one.name for one in CLASSES]
    assert found[6]["colour"] == found[48]["colour"] == [140, 140, 140] and found[6]["index"] == 6


def test_how_a_file_was_read_is_told_with_a_button_for_each_answer(tmp_path):
    scene = mapfiles.scene(48, 64)
    path = tmp_path / "<b>two.png"
    Image.fromarray(np.where(scene == 255, 3, scene)).save(path)
    html = followed.read_as(reading.read(path))
    assert 'data-answer="0-150"' in html and 'data-answer="0-149"' in html and "<b>" not in html
    answered = followed.read_as(reading.read(path, reading.Answers("0-149")))
    assert "middle square of its 64 x 48 pixels" in answered and "sky 4" in answered and "data-answer" not in answered
    writing.write(np.full((8, 8), 48, dtype=np.uint8), tmp_path / "street.png", "palette")
    html = followed.read_as(reading.read(tmp_path / "street.png"))
    assert 'data-answer="skyscraper"' in html and "It is on the canvas" in html
    (tmp_path / "empty.png").write_bytes(b"")
    html = followed.read_as(reading.read(tmp_path / "empty.png"))
    assert "role='alert'" in html and "empty.png is empty." in html and "canvas" not in html


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """A finished drawing of a map, on the built-in model."""
    monkeypatch.setattr(controlnet, "inspect", lambda *_: None)  # the built-in one need not be here
    request = parse_request({"prompt": "a dog", "count": 2, "steps": 1})
    made = drawings.create(tmp_path, request, mapfiles.scene(48, 48))
    made.set_state("drawing")
    made.set_state("done")
    return made


def test_the_map_is_shown_beside_its_picture_with_what_was_seen_and_each_classs_score(drawing):
    assert followed.result(drawing) == "" == followed.result(None)
    for i in range(2):
        (drawing.path / f"base-{i:02d}.png").write_bytes(handmade.PNG)
    assert "No segmentor was there" in followed.result(drawing)
    scores = PictureScores(
        miou=0.4, miou_present=0.5, pixel_accuracy=0.75, classes=(ClassShare(index=2, name="sky", iou=0.25, pixels=9),)
    )
    better = scores.model_copy(update={"pixel_accuracy": 0.875})
    judged = Judged(judge={"name": "<i>x"}, pictures={"base-00.png": scores, "base-01.png": better}, together=scores)
    (drawing.path / agreeing.FILE).write_text(judged.model_dump_json())
    seen = np.full((8, 8), 9, dtype=np.uint8)
    for path in drawing.pictures():
        writing.write(seen, agreeing.seen(drawing, path), "index")
    html = followed.result(drawing, 1)
    assert f'map="{labels.encode(drawing.labels())}"' in html and f'seen="{labels.encode(seen)}"' in html
    assert "base-01.png" in html and "mIoU 50 % over the map's classes, pixel accuracy 88 %" in html
    assert "All 2 pictures together" in html and "pixel accuracy 75 %" in html and "<i>" not in html
    assert json.dumps({2: 0.25}).replace('"', "&quot;") in html
    assert "pixel accuracy 75 %" in followed.result(drawing, 0)
    (drawing.path / following.MAP).unlink()
    (drawing.path / following.MAP).symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="is a link"):
        followed.result(drawing)


def test_a_runs_held_out_maps_are_found_and_read(tmp_path):
    run, other = handmade.finished(tmp_path), handmade.finished(tmp_path, "Subject")
    given = tmp_path / "pairs"
    given.mkdir()
    for name in ("a", "b"):
        mapfiles.picture((64, 48)).save(given / f"{name}.png")
        writing.write(mapfiles.scene(48, 64), given / f"{name}_seg.png", "index")
        (given / f"{name}.txt").write_text(f"a street, {name}")
    intake.prepare(intake.check(pairs.find(given).pairs), run.path / heldout.FOLDER, 32)
    assert [one.id for one in heldout.runs(tmp_path)] == [run.id]
    assert [tuple(one) for one in heldout.maps(tmp_path, run.id)] == [("0000", "a street, a"), ("0001", "a street, b")]
    assert heldout.maps(tmp_path, other.id) == []
    assert heldout.labels(tmp_path, run.id, "0001").shape == (32, 32)
    for name in ("0002", "../0001", ""):
        with pytest.raises(BadInput, match="holds out no map"):
            heldout.labels(tmp_path, run.id, name)
    (run.path / heldout.FOLDER / "pairs.jsonl").write_text("{")
    assert [one.caption for one in heldout.maps(tmp_path, run.id)] == ["", ""]
