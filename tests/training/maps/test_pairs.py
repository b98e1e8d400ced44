"""Pictures and maps find each other by folders and names, faults are named with their file, and one cut serves both."""

import contextlib
import json
import os
import stat
import zipfile
from pathlib import Path

import mapfiles
import numpy as np
import pytest
from PIL import Image

from training.errors import BadInput, StudioError
from training.maps import archive, captions, geometry, intake, pairs, reading, writing
from training.maps.reading import Answers


def put(root, *names, labels=None):
    """Files by name: maps for .png with a mark or in a map's folder, pictures else."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if any(mark in name for mark in ("annotations/", "_seg", "_map", ".annotation", "labels/", "map.png")):
            writing.write(mapfiles.scene() if labels is None else labels, path, "index")
        else:
            mapfiles.picture().save(path)
    return root


def names(found):
    return [(pair.picture.name, pair.map.name) for pair in found.pairs]


@pytest.mark.parametrize(
    "files, wanted",
    [
        (
            ["images/training/a.jpg", "annotations/training/a.png", "images/validation/b.jpg",
             "annotations/validation/b.png"],
            [("a.jpg", "a.png"), ("b.jpg", "b.png")],
        ),
        (["ADE/images/street/a.jpg", "ADE/images/street/a_seg.png"], [("a.jpg", "a_seg.png")]),
        (["beach.png", "beach_map.png", "wood.jpg", "wood_map.png"],
         [("beach.png", "beach_map.png"), ("wood.jpg", "wood_map.png")]),
        (["ADE_val_00000001.jpg", "ADE_val_00000001.annotation.png"],
         [("ADE_val_00000001.jpg", "ADE_val_00000001.annotation.png")]),
        (["images/a.png", "labels/a_seg.png"], [("a.png", "a_seg.png")]),
        (["photos/x/a.jpg", "annotations/a.png"], [("a.jpg", "a.png")]),
    ],
)  # fmt: skip
def test_layouts_that_people_have(tmp_path, files, wanted):
    found = pairs.find(put(tmp_path, *files))
    assert (names(found), found.faults) == (wanted, [])


def test_a_jpeg_and_a_png_of_one_name_are_picture_and_map(tmp_path):
    mapfiles.picture().save(tmp_path / "beach.jpg")
    writing.write(mapfiles.scene(), tmp_path / "beach.png", "index")
    assert names(pairs.find(tmp_path)) == [("beach.jpg", "beach.png")]


def test_a_picture_whose_own_name_ends_like_a_map_stays_a_picture(tmp_path):
    put(tmp_path, "images/old_map.jpg")
    (tmp_path / "annotations").mkdir()
    writing.write(mapfiles.scene(), tmp_path / "annotations" / "old_map.png", "index")
    assert names(pairs.find(tmp_path)) == [("old_map.jpg", "old_map.png")]


def test_files_without_a_partner_or_with_two_are_named(tmp_path):
    put(tmp_path, "images/a.jpg", "images/b.jpg", "images/b.png", "annotations/b.png", "annotations/c.png")
    found = pairs.find(tmp_path)
    told = {path.name: str(problem) for path, problem in found.faults}
    assert found.pairs == [] and set(told) == {"a.jpg", "b.jpg", "c.png"}
    assert "no map has its name" in told["a.jpg"] and "no picture has its name" in told["c.png"]
    assert "b.jpg, b.png" in told["b.jpg"]


def test_a_folder_without_pictures_is_said_to_be_one(tmp_path):
    with pytest.raises(BadInput, match="holds no pictures"):
        pairs.find(tmp_path)
    with pytest.raises(BadInput, match="is no folder"):
        pairs.find(tmp_path / "gone")


# Captions


def test_captions_come_from_metadata_then_text_then_the_largest_classes(tmp_path):
    put(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg", *(f"annotations/{n}.png" for n in "abc"))
    (tmp_path / "images" / "metadata.jsonl").write_text(json.dumps({"file_name": "a.jpg", "text": "a  windy field"}))
    (tmp_path / "images" / "b.txt").write_text("someone\nin a field\n")
    checked = intake.check(pairs.find(tmp_path).pairs)
    # The scene holds 32 x 5 px of a person and 19 x 9 of a tree.
    assert [each.caption for each in checked] == [
        "a windy field",
        "someone in a field",
        "a photo of grass, sky, tree and person",
    ]


def test_diffusers_metadata_names_pairs(tmp_path):
    put(tmp_path, "one.png", "other_map.png")
    row = {"file_name": "one.png", "conditioning_image": "other_map.png", "text": "words"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    found = pairs.find(tmp_path)
    assert (names(found), found.faults, found.pairs[0].caption) == ([("one.png", "other_map.png")], [], "words")


@pytest.mark.parametrize(
    "line, words",
    [
        ("{", "metadata.jsonl, line 1, is no JSON"),
        ("[]", "line 1, is no JSON object"),
        ('{"text": "x"}', "names no picture"),
        ('{"file_name": "../../secret.png"}', "lies outside"),
        ('{"file_name": "a\\u0000.png"}', "lies outside"),
        ('{"file_name": "\\ud800.png"}', "line 1, is no JSON"),
        ("[" * 100_000, "line 1, is no JSON"),
        ('{"file_name": ' + "[" * 100_000, "line 1, is no JSON"),
        (json.dumps({"file_name": "m" * 300, "map": "none.png"}), "is not there"),
    ],
)
def test_a_damaged_metadata_file_is_named_with_its_line(tmp_path, line, words):
    put(tmp_path, "images/a.jpg", "annotations/a.png")
    (tmp_path / "metadata.jsonl").write_text(line)
    found = pairs.find(tmp_path)
    assert len(found.pairs) == 1 and words in str(found.faults[0][1])


def test_a_caption_of_a_map_without_classes_is_a_photo():
    assert captions.from_classes({}) == "a photo"
    assert captions.from_classes({2: 0.9}) == "a photo of sky"


# Pairs looked at and cut


def test_a_map_of_another_size_than_its_picture_is_a_fault_with_both_sizes(tmp_path):
    put(tmp_path, "images/a.jpg", "annotations/a.png", labels=mapfiles.scene(24, 32))
    (checked,) = intake.check(pairs.find(tmp_path).pairs)
    assert not checked.usable and "32 x 24" in str(checked.problems[0]) and "64 x 48" in str(checked.problems[0])
    with pytest.raises(BadInput, match="a.jpg: Its map is 32 x 24"):
        intake.prepare([checked], tmp_path / "dataset", 32)
    assert not (tmp_path / "dataset").exists()


def test_the_cut_copies_of_picture_and_map_lie_on_each_other(tmp_path):
    # The picture shows its labels as grey, so that what training reads can be compared pixel by pixel.
    labels = np.kron(mapfiles.scene(24, 40), np.ones((4, 4), dtype=np.uint8))  # 96 x 160: halved exactly
    (tmp_path / "images").mkdir()
    Image.fromarray(labels).convert("RGB").save(tmp_path / "images" / "a.png")
    put(tmp_path, "annotations/a.png", labels=labels)
    (path,) = intake.prepare(intake.check(pairs.find(tmp_path).pairs), tmp_path / "dataset", 48)
    cut = reading.labels_of(path.with_name("0000.map.png"))
    assert cut.shape == (48, 48)
    np.testing.assert_array_equal(cut, labels[::2, 32:128:2])  # the middle square, no label that was not there
    shown = np.asarray(Image.open(path).convert("L")).astype(int)
    assert (shown == cut).mean() > 0.9  # all but the rows beside an edge
    row = json.loads((tmp_path / "dataset" / "pairs.jsonl").read_text())
    assert row["way"] == "0-149 index" and row["picture"] == "a.png"


def test_answers_reach_the_copies(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    Image.fromarray(np.full((4, 4), 3, dtype=np.uint8)).save(tmp_path / "annotations" / "a.png")
    found = pairs.find(tmp_path).pairs
    assert not intake.check(found)[0].usable
    answers = Answers(grey="0-150")
    (path,) = intake.prepare(intake.check(found, answers), tmp_path / "dataset", 4, answers)
    assert (reading.labels_of(path.with_name("0000.map.png")) == 2).all()


def test_nothing_is_squashed():
    where = geometry.frame((683, 512), 128)
    assert (where.scaled, where.left, where.top) == ((171, 128), 22, 0)
    assert geometry.frame((100, 400), 200, position=1.0).top == 600
    # A square stays a square: 40 x 40 px of a 400 x 200 picture are 20 x 20 of the 100 px cut.
    labels = np.zeros((200, 400), dtype=np.uint8)
    labels[80:120, 180:220] = 7
    cut = geometry.cut_labels(labels, geometry.frame((400, 200), 100))
    ys, xs = np.nonzero(cut)
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (20, 20)


@pytest.mark.parametrize("old, new", [(768, 512), (1024, 683), (50, 128), (97, 31)])
def test_labels_are_scaled_as_pillow_does_it(old, new):
    labels = np.random.default_rng(0).integers(0, 150, (old, 11), dtype=np.uint8)
    truth = np.asarray(Image.fromarray(labels).resize((11, new), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(geometry.scale_labels(labels, (11, new)), truth)


# Zips


def zipped(path, entries):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path


def test_a_zip_of_pairs_is_unpacked_without_what_is_beside_the_point(tmp_path):
    put(tmp_path / "given", "images/a.jpg", "annotations/a.png")
    entries = {name: (tmp_path / "given" / name).read_bytes() for name in ("images/a.jpg", "annotations/a.png")}
    entries |= {"__MACOSX/images/._a.jpg": b"x", ".DS_Store": b"x", "images/run.sh": b"x", "images/a.txt": b"words"}
    folder = archive.unpack(zipped(tmp_path / "pairs.zip", entries), tmp_path / "out")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"images/a.jpg", "annotations/a.png", "images/a.txt"}
    assert names(pairs.find(folder)) == [("a.jpg", "a.png")]


@pytest.mark.parametrize(
    "name, words",
    [
        ("../out.png", "leads outside"),
        ("/etc/out.png", "leads outside"),
        ("..\\out.png", "leads outside"),
        ("C:/out.png", "leads outside"),
        ("A.png", "is there twice"),
    ],
)
def test_names_that_reach_outside_or_are_there_twice_are_refused(tmp_path, name, words):
    path = zipped(tmp_path / "pairs.zip", {"a.png": b"x", name: b"x"})
    with pytest.raises(BadInput, match=f"pairs.zip: .*{words}"):
        archive.unpack(path, tmp_path / "to" / "folder")
    assert not list(tmp_path.rglob("*.png")) and not list(tmp_path.rglob("*.part"))


def test_links_bombs_and_damaged_zips_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(BadInput, match="is a link"):
        archive.unpack(tmp_path / "link.zip", tmp_path / "out")

    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(BadInput, match="no.zip is no zip"):
        archive.unpack(tmp_path / "no.zip", tmp_path / "out")

    damaged = zipped(tmp_path / "damaged.zip", {"a.png": b"the picture's own bytes"})
    damaged.write_bytes(damaged.read_bytes().replace(b"picture's", b"Picture's"))
    with pytest.raises(BadInput, match="damaged.zip: a.png is damaged"):
        archive.unpack(damaged, tmp_path / "out")

    many = zipped(tmp_path / "many.zip", {f"{i}.png": b"x" for i in range(5)})
    for limit, value, words in (("MOST_FILES", 4, "holds 5 files"), ("MOST_GB", 0, "unpacks to"),
                                ("LARGEST_FILE_MB", 0, "larger than 0 MB")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(archive, limit, value)
            with pytest.raises(BadInput, match=words):
                archive.unpack(many, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_other_bytes_is_unpacked_or_refused(tmp_path, packed):
    """Each decompressor has its own error, and the list of entries has others."""
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", packed) as made:
        made.writestr("größe.png", bytes(range(256)) * 8)
        made.writestr("a.txt", b"words")
    content, spoilt = whole.read_bytes(), tmp_path / "spoilt.zip"
    for i in range(0, len(content), 3):
        spoilt.write_bytes(content[:i] + bytes([content[i] ^ 0xFF]) + content[i + 1 :])
        with contextlib.suppress(BadInput):
            archive.unpack(spoilt, tmp_path / "out")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("what", ["a pipe", "a device", "a folder", "nothing"])
def test_what_is_no_file_is_no_zip_and_keeps_nobody_waiting(tmp_path, what):
    path = {"a device": Path("/dev/zero"), "a folder": tmp_path}.get(what, tmp_path / "pairs.zip")
    if what == "a pipe":
        os.mkfifo(path)
    with pytest.raises(StudioError, match=path.name):
        archive.unpack(path, tmp_path / "to" / "out")


def test_the_real_pairs_are_found_and_read(tmp_path):
    folder = mapfiles.ade20k()
    found = pairs.find(folder)
    assert ("ADE_val_00000001.jpg", "ADE_val_00000001.annotation.png") in names(found)
    chosen = [pair for pair in found.pairs if pair.picture.suffix == ".jpg"]
    checked = intake.check(chosen)
    assert len(checked) == 2 and all(each.usable and each.problems == () for each in checked)
    written = intake.prepare(checked, tmp_path / "dataset", 128)
    assert len(written) == 2 and checked[0].caption.startswith("a photo of sky, building")
