"""`delora maps`: what it prints is exactly the promised JSON, and nothing that was there is written over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mapfiles
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from training.maps import colours, writing

ROOT = Path(__file__).resolve().parents[2]


def delora(*arguments):
    """Run `delora maps`; its exit code, stdout and stderr."""
    return CliRunner().invoke(cli, ["maps", *map(str, arguments)])


def document(*arguments):
    done = delora(*arguments, "--json")
    assert done.exit_code == 0, (done.stderr, done.exception)
    return json.loads(done.stdout)


def refused(done, *words):
    assert done.exit_code == 2 and done.stderr.count("delora:") == 1, (done.stderr, done.exception)
    for word in words:
        assert word in done.stderr


@pytest.fixture
def index(tmp_path):
    """An index map of a small scene as another program writes it."""
    Image.fromarray(mapfiles.scene()).save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


# inspect


def test_inspect_states_the_reading_and_each_class_with_its_share(index):
    (found,) = document("inspect", index)
    assert set(found) == {"file", "reading", "classes", "ignored", "problems"}
    assert (found["file"], found["reading"], found["problems"]) == (str(index), "0-149 index", [])
    labels = mapfiles.scene()
    assert [row["name"] for row in found["classes"]] == ["grass", "sky", "tree", "person"]
    for row in found["classes"]:
        assert set(row) == {"index", "name", "share"}
        assert row["share"] == pytest.approx((labels == row["index"]).mean())
    assert found["ignored"] == pytest.approx((labels == 255).mean())


def test_inspect_goes_through_folders_and_names_each_fault_with_its_file(index, tmp_path):
    mapfiles.picture().save(tmp_path / "photo.jpg")
    (tmp_path / "notes.txt").write_text("no map")
    Image.fromarray(colours.OTHERS["COCO"][None, :9]).save(tmp_path / "coco.png")
    found = {row["file"].rpartition("/")[2]: row for row in document("inspect", tmp_path)}
    assert set(found) == {"scene.png", "photo.jpg", "coco.png"}
    assert found["coco.png"]["reading"] == "COCO" and "COCO" in found["coco.png"]["problems"][0]
    assert found["photo.jpg"]["classes"] == [] and "no map" in found["photo.jpg"]["problems"][0]
    words = delora("inspect", tmp_path).stdout
    assert "scene.png: 0-149 index" in words and "photo.jpg: no map" in words


def test_inspect_asks_with_the_option_that_answers(tmp_path):
    Image.fromarray(np.array([[1, 3]], dtype=np.uint8)).save(tmp_path / "two.png")
    (asked,) = document("inspect", tmp_path / "two.png")
    assert asked["reading"] == "0-150 index or 0-149 index" and "Option: --numbers" in asked["problems"][0]
    (told,) = document("inspect", tmp_path / "two.png", "--numbers", "0-150")
    assert [row["name"] for row in told["classes"]] == ["wall", "sky"] and told["problems"] == []


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    refused(delora("inspect", tmp_path / "gone.png"), "gone.png is not there")
    refused(delora("inspect", tmp_path), "holds no maps")


# convert


def test_convert_goes_to_the_palette_and_back_exactly(index):
    palette = document("convert", index, "--to", "palette")["path"]
    assert palette == str(index.with_name("scene-palette.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(palette)), colours.paint(mapfiles.scene()))
    back = document("convert", palette, "--to", "index", "--out", index.with_name("back.png"))
    assert back["reading"] == "ADE20K palette"
    np.testing.assert_array_equal(np.asarray(Image.open(back["path"])), mapfiles.scene())


def test_all_150_classes_survive_but_for_the_shared_colour(tmp_path):
    labels = mapfiles.every_class()
    Image.fromarray(labels).save(tmp_path / "all.png")
    palette = document("convert", tmp_path / "all.png", "--to", "palette")["path"]
    for options, of_both in (((), 6), (("--shared", "road"), 6), (("--shared", "skyscraper"), 48)):
        out = tmp_path / f"back{len(options)}{of_both}.png"
        made = document("convert", palette, "--to", "index", "--out", out, *options)
        expected = np.where((labels == 6) | (labels == 48), of_both, labels)
        np.testing.assert_array_equal(np.asarray(Image.open(out)), expected)
        assert bool(made["problems"]) == (not options)


def test_nothing_is_overwritten_and_the_map_stays_as_it_was(index):
    before = index.read_bytes()
    refused(delora("convert", index, "--to", "index", "--out", index), "exists already")
    assert index.read_bytes() == before


def test_convert_takes_one_map_and_no_folder(index):
    refused(delora("convert", index.parent, "--to", "palette"), f"{index.parent} is a folder.", "Give one map.")
    assert list(index.parent.iterdir()) == [index]


def test_what_pillow_says_to_programmers_is_not_said_to_a_person(tmp_path):
    """A palette whose transparency stands in bytes, which Pillow warns of when it is turned into colours."""
    scene = Image.fromarray(mapfiles.scene())
    scene.putpalette([value for value in range(256) for _ in range(3)])
    scene.save(tmp_path / "map.png", transparency=bytes([0, 128, *[255] * 254]))
    command = [sys.executable, "-c", "from app.cli import main; main()", "maps", "inspect", tmp_path / "map.png"]
    said = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert said.returncode == 0 and "Warning" not in said.stderr, said.stderr


def test_convert_refuses_what_it_would_have_to_guess(index, tmp_path):
    painted = colours.paint(mapfiles.scene())
    painted[5, 5] = (1, 2, 3)
    Image.fromarray(painted).save(tmp_path / "odd.png")
    done = delora("convert", tmp_path / "odd.png", "--to", "index")
    refused(done, "odd.png: 1 colour in 0.033 %", "would change 0.033 %", "Option: --nearest")
    assert not (tmp_path / "odd-index.png").exists()
    assert document("convert", tmp_path / "odd.png", "--to", "index", "--nearest")["problems"] == []


# evaluate


def test_evaluate_prints_the_scores_as_promised(tmp_path):
    for name, labels in (("p", mapfiles.every_class(ignored=False)), ("t", mapfiles.every_class())):
        (tmp_path / name).mkdir()
        writing.write(labels, tmp_path / name / "a.png", "palette")
    scores = document("evaluate", tmp_path / "p", tmp_path / "t")
    assert list(scores) == ["miou", "miou_present", "pixel_accuracy", "maps", "classes"]
    assert (scores["miou"], scores["miou_present"], scores["pixel_accuracy"], scores["maps"]) == (1, 1, 1, 1)
    assert scores["classes"][0] == {"index": 0, "name": "wall", "iou": 1.0} and len(scores["classes"]) == 149
    done = delora("evaluate", tmp_path / "p", tmp_path / "t")
    assert "mIoU over classes present 1.0000" in done.stdout.splitlines()[0]
    assert "fewer than 500" in done.stderr


def test_evaluate_says_which_folder_is_wrong(tmp_path):
    refused(delora("evaluate", tmp_path / "p", tmp_path), "p is no folder")
