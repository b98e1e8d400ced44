"""The draft: it survives everything, takes in only clean pictures, and two tabs do not undo each other."""

import json
import os
import shutil
import threading

import pytest
import tinypipeline
from badpictures import colourful, write_bad, write_phone
from PIL import Image

from app.drafts import begin, draft, store
from app.drafts.pictures import LONGEST_PX, shown_name
from training import presets
from training.errors import BadInput, RunFailed
from training.runs import rundir
from training.subject import intake


@pytest.fixture
def mine(tmp_path):
    return draft.load(tmp_path / "data")


@pytest.fixture
def uploads(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


def good(uploads, count=1, size=(256, 192), first=0):
    """Sharp pictures, each its own, as (client's name, upload)."""
    found = []
    for i in range(first, first + count):
        colourful(size, seed=i).save(uploads / f"{i}.png")
        found.append((f"dog {i}.png", uploads / f"{i}.png"))
    return found


def files_of(mine):
    return sorted(path.name for path in mine.folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_draft_survives_reloads_and_restarts_and_belongs_to_its_user(mine, uploads, tmp_path):
    mine, _ = draft.add_pictures(mine, good(uploads, 2))
    mine = draft.save(mine, name="Biscuit", class_word="dog", settings={"adapter.rank": "08", "flip": True})
    again = draft.load(tmp_path / "data")
    assert again == mine and again.settings == {"adapter.rank": "08", "flip": True} and len(again.pictures) == 2
    other = draft.load(tmp_path / "data", "anna")
    assert other.is_blank and other.key != mine.key and other.folder != mine.folder
    draft.save(other, name="Anna's")
    assert draft.load(tmp_path / "data").name == "Biscuit"


def test_a_bad_picture_is_refused_in_a_sentence_and_does_not_stop_the_good_ones(mine, uploads):
    bad = write_bad(uploads)
    (uploads / "whole.jpg").unlink()
    files = [*good(uploads), *((f"my {name}", uploads / name) for name in bad), *good(uploads, 1, first=1)]
    mine, refused = draft.add_pictures(mine, files)
    assert [picture.name for picture in mine.pictures] == ["dog 0.png", "dog 1.png"]
    assert len(refused) == len(bad)
    for sentence, (name, words) in zip(refused, bad.items(), strict=True):
        assert sentence.startswith(f"my {name} ") and words in sentence
        assert str(uploads) not in sentence
    assert list(uploads.iterdir()) == [], "uploads stay nowhere"
    assert len(files_of(mine)) == 1 + 2 * 4  # the draft, and for each picture its copy and three thumbnails


def test_a_file_that_is_too_large_is_refused(mine, uploads, monkeypatch):
    monkeypatch.setattr("training.subject.pictures.LARGEST_FILE_MB", 0.0001)
    mine, refused = draft.add_pictures(mine, good(uploads))
    assert "pictures up to 0.0001 MB are read" in refused[0] and not mine.pictures


def test_a_phones_picture_is_kept_upright_without_the_place_where_it_was_taken(mine, uploads):
    write_phone(uploads / "phone.png", (600, 900))
    mine, _ = draft.add_pictures(mine, [("phone.png", uploads / "phone.png")])
    [picture] = mine.pictures
    assert picture.kind == "good" or picture.kind == "blurred"
    assert "turned upright" in picture.words
    path = mine.picture_file(picture)
    with Image.open(path) as copy:
        assert copy.size == (600, 900) and copy.mode == "RGB" and not copy.getexif() and not copy.info
        assert copy.getpixel((5, 5)) == (255, 0, 0) and copy.getpixel((5, 895)) == (0, 0, 255)
    for file in mine.folder.rglob("*.png"):
        assert b"eXIf" not in file.read_bytes()
    assert not (uploads / "phone.png").exists()


def test_large_and_deep_pictures_are_made_smaller(mine, uploads):
    import numpy as np

    Image.fromarray(np.full((40, 60), 40_000, dtype=np.uint16)).save(uploads / "scan.png")
    colourful((3000, 1500)).save(uploads / "large.png")
    mine, refused = draft.add_pictures(mine, [(name, uploads / name) for name in ("scan.png", "large.png")])
    assert refused == [] and "reduced from 16 bits to 8" in mine.pictures[0].words
    with Image.open(mine.picture_file(mine.pictures[1])) as copy:
        assert copy.size == (LONGEST_PX, LONGEST_PX // 2)


def test_a_name_is_shown_and_never_a_path(mine, uploads):
    names = ["../../../etc/passwd.png", "C:\\Users\\me\\dog.png", "a\0b\n<b>.png", "x" * 300 + ".png", "", "/"]
    mine, _ = draft.add_pictures(mine, [(n, p) for n, (_, p) in zip(names, good(uploads, 6), strict=True)])
    shown = [picture.name for picture in mine.pictures]
    assert shown[:3] == ["passwd.png", "dog.png", "ab<b>.png"] and shown[4:] == ["picture", "picture"]
    assert len(shown[3]) == 80 and shown_name("é" * 80) == "é" * 80
    inside = [path for path in mine.folder.parent.parent.parent.rglob("*.png") if path.is_file()]
    assert all(path.parent.parent == mine.folder for path in inside)


def test_a_hundred_pictures_are_the_most(mine, uploads, monkeypatch):
    monkeypatch.setattr(intake, "MOST_PICTURES", 3)
    mine, refused = draft.add_pictures(mine, good(uploads, 2))
    mine, refused = draft.add_pictures(mine, good(uploads, 3, first=2))
    assert len(mine.pictures) == 3 and [words.split(" was")[0] for words in refused] == ["dog 3.png", "dog 4.png"]
    assert list(uploads.iterdir()) == []


def test_the_thumbnail_shows_the_square_that_will_be_used(mine, uploads):
    wide = Image.new("RGB", (900, 300), "red")
    wide.paste("green", (300, 0, 600, 300))
    wide.paste("blue", (600, 0, 900, 300))
    wide.save(uploads / "wide.png")
    mine, _ = draft.add_pictures(mine, [("wide.png", uploads / "wide.png")])
    seen = {}
    for crop in (0.5, 0, 1):
        mine = draft.set_crop(mine, mine.pictures[0].id, crop)
        path = draft.thumbnail(mine, mine.pictures[0])
        with Image.open(path) as image:
            assert image.size == (192, 192)
            seen[path.name] = image.getpixel((96, 96))
    assert list(seen.values()) == [(0, 128, 0), (255, 0, 0), (0, 0, 255)], "and each has a name of its own"
    assert draft.thumbnails_folder(mine.data) == path.parent
    with pytest.raises(BadInput):
        draft.set_crop(mine, mine.pictures[0].id, 0.3)


def test_pictures_are_judged_together_and_again_when_one_goes(mine, uploads):
    copies = good(uploads)
    colourful((256, 192), seed=0).save(uploads / "copy.jpg", quality=80)
    mine, _ = draft.add_pictures(mine, [*copies, ("copy.jpg", uploads / "copy.jpg"), *good(uploads, 1, (80, 64), 5)])
    assert [picture.kind for picture in mine.pictures] == ["good", "duplicate", "small"]
    assert mine.pictures[1].same_as == 0 and "Same as no. 1" in mine.pictures[1].words
    mine = draft.remove_picture(mine, mine.pictures[0].id)
    assert [picture.kind for picture in mine.pictures] == ["good", "small"]
    assert len(files_of(mine)) == 1 + 2 * 4
    assert draft.remove_picture(mine, "not there") == mine


def test_another_base_model_or_resolution_judges_anew(mine, uploads, sd15_folder):
    mine, _ = draft.add_pictures(mine, good(uploads, 1, (100, 80)))
    assert mine.pictures[0].kind == "small" and "128 are wanted" in mine.pictures[0].words
    mine = draft.save(mine, base=str(sd15_folder))
    assert mine.pictures[0].kind == "good"
    mine = draft.save(mine, settings={"resolution": "96"})
    assert "96 are wanted" in mine.pictures[0].words
    mine = draft.save(mine, base="embedded", settings={"resolution": None})
    assert "128 are wanted" in draft.save(mine, base="/nowhere").pictures[0].words, "as for the base model before"


def test_before_any_base_model_was_found_no_picture_is_too_small(mine, uploads):
    mine, _ = draft.add_pictures(draft.save(mine, base="/nowhere"), good(uploads, 1, (100, 80)))
    assert mine.pictures[0].kind == "good"
    assert "128 are wanted" in draft.save(mine, base="embedded").pictures[0].words


def test_a_picture_says_which_way_it_is_longer(mine, uploads):
    sizes = {"wide": (256, 192), "tall": (192, 256), "square": (256, 255)}
    for name, size in sizes.items():
        colourful(size, seed=len(name)).save(uploads / f"{name}.png")
    mine, _ = draft.add_pictures(mine, [(name, uploads / f"{name}.png") for name in sizes])
    assert [picture.shape for picture in mine.pictures] == list(sizes)


def test_near_equal_backgrounds_are_told_and_forgotten_with_their_pictures(mine, uploads):
    for i in range(4):
        wall = Image.new("RGB", (160, 160), (180, 160, 120))
        wall.paste(colourful((70, 70), seed=i), (45, 45))
        wall.save(uploads / f"{i}.png")
    mine, _ = draft.add_pictures(mine, [(f"{i}.png", uploads / f"{i}.png") for i in range(4)])
    assert "nearly the same background" in mine.background
    for picture in mine.pictures[2:]:
        mine = draft.remove_picture(mine, picture.id)
    assert mine.background == ""


def test_two_tabs_change_only_what_they_were_asked_to(mine, uploads):
    other_tab = draft.load(mine.data)
    draft.add_pictures(mine, good(uploads, 2))
    draft.save(mine, name="Biscuit", settings={"steps": "50"})
    now = draft.save(other_tab, class_word="dog", settings={"adapter.rank": "4"})
    assert (now.name, now.class_word, len(now.pictures)) == ("Biscuit", "dog", 2)
    assert now.settings == {"steps": "50", "adapter.rank": "4"}
    now, _ = draft.add_pictures(other_tab, good(uploads, 1, first=7))
    assert len(now.pictures) == 3
    assert draft.save(other_tab, name="Rex", settings={"steps": None}).settings == {"adapter.rank": "4"}


def test_pictures_dropped_in_two_tabs_at_once_are_all_kept(mine, uploads):
    batches = [good(uploads, 3, first=10 * i) for i in range(4)]
    threads = [threading.Thread(target=draft.add_pictures, args=(mine, batch)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = draft.load(mine.data)
    assert sorted(picture.name for picture in now.pictures) == sorted(name for batch in batches for name, _ in batch)
    assert all(now.picture_file(picture).is_file() for picture in now.pictures)


def test_a_damaged_draft_is_put_aside_and_its_pictures_come_back(mine, uploads):
    draft.add_pictures(mine, good(uploads, 2))
    (mine.folder / "draft.json").write_text('{"key": "abc", "pict')
    again = draft.load(mine.data)
    assert len(again.pictures) == len(again.usable) == 2 and again.pictures[0].kind == "good"
    assert list(mine.folder.glob("draft.json.damaged-*"))


def test_a_file_in_the_place_of_all_drafts_is_put_aside(mine, uploads):
    drafts = mine.folder.parent
    shutil.rmtree(drafts)
    drafts.write_text("kept")
    now, _ = draft.add_pictures(draft.load(mine.data), good(uploads, 2))
    assert len(now.usable) == 2 and [path.read_text() for path in drafts.parent.glob("draft.damaged-*")] == ["kept"]


@pytest.mark.parametrize("instead", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_a_drafts_lock_that_is_no_file_is_put_aside(mine, instead):
    (mine.folder / ".lock").unlink()
    instead(mine.folder / ".lock")
    assert draft.load(mine.data) == mine


def test_a_full_disk_is_told_and_the_draft_stays(mine, uploads, monkeypatch):
    mine, _ = draft.add_pictures(mine, good(uploads))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    files = good(uploads, 1, first=3)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RunFailed, match="disk is full"):
        draft.add_pictures(mine, files)
    assert draft.load(mine.data) == mine and list(uploads.iterdir()) == []


def test_clearing_keeps_base_model_effort_and_method_alone(mine, uploads):
    mine, _ = draft.add_pictures(mine, good(uploads))
    mine = draft.save(mine, name="Biscuit", base="sd15", effort="quick", method="lora", settings={"steps": "9"})
    empty = draft.clear(mine)
    assert empty.is_blank and (empty.base, empty.effort, empty.method) == ("sd15", "quick", "lora")
    assert empty.key != mine.key and files_of(empty) == ["draft.json"]


def test_the_sample_fills_the_form_and_can_be_begun(mine):
    mine = draft.use_sample(draft.save(mine, effort="quick"), "rescue-dog")
    assert (mine.name, mine.class_word, mine.token, mine.effort) == ("Rescue dog", "dog", "sks", "quick")
    assert len(mine.pictures) == 5 and {picture.kind for picture in mine.pictures} == {"good"}
    assert begin.problems(mine.data, mine) == []
    with pytest.raises(BadInput, match="There is no sample subject"):
        draft.use_sample(mine, "../rescue-dog")


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("delora", {"steps": 120, "sample": {"prompts": ("a {subject} here", "a {subject}"), "negative": "hats"}}),
        ("delora", {"adapter": {"weight_norm": "frobenius", "lambda_": 0.5, "lambda_pattern": {"to_k": 0.2}}}),
        ("delora", {"adapter": {"weight_norm": "frobenius", "lambda_": 4.0}}),
        ("lora", {"adapter": {"rank": 4, "alpha": None, "rank_pattern": {"attn2.to_k": 2}}, "max_grad_norm": None}),
        ("oft", {"flip": True, "learning_rate": 1.5e-5, "targets": ("to_q",), "resolution": 64, "seed": 7}),
        ("ether-plus-high-rank", {"instance_prompt": "my sks cat, sitting", "sample": {"seeds": (3,)}}),
    ],
)
def test_run_again_has_all_settings_and_pictures_of_the_run(mine, uploads, method, changes):
    spec = presets.make_spec("embedded", method, "balanced", name="Mia / é", class_word="cat", **changes)
    run = rundir.create(mine.data, spec, tinypipeline.photos(uploads, 3, 128))
    mine = draft.from_run(mine.data, run)
    assert begin.spec_of(mine.data, mine) == spec.model_copy(update={"parent": run.id})
    assert mine.effort == ("quick" if spec.steps == 120 else "balanced")
    kept = [mine.picture_file(picture) for picture in mine.pictures]
    assert [picture.name for picture in mine.pictures] == [f"Mia / é, picture {i}" for i in (1, 2, 3)]
    for copy, picture in zip(kept, run.pictures(), strict=True):
        assert Image.open(copy).tobytes() == Image.open(picture).convert("RGB").tobytes()
    assert len(run.pictures()) == 3, "the run keeps its own"


def test_train_longer_goes_on_from_the_last_save_for_twice_the_steps(mine, uploads):
    spec = presets.make_spec("embedded", "delora", "balanced", name="Mia", class_word="cat", steps=200)
    run = rundir.create(mine.data, spec, tinypipeline.photos(uploads, 3, 128))
    with pytest.raises(BadInput, match="no save to go on from"):
        draft.from_run(mine.data, run, longer=True)
    for step in (60, 180):
        run.checkpoint(step).mkdir(parents=True)
    longer = begin.spec_of(mine.data, draft.from_run(mine.data, run, longer=True))
    assert (longer.parent, longer.start_step, longer.steps) == (run.id, 180, 400)


def test_what_a_killed_process_left_is_removed_after_a_while(mine, uploads):
    for name, age in ((".old.part", 2 * store.LEFT_SECONDS), (".new.part", 0)):
        (mine.folder / name).mkdir()
        then = (mine.folder / name).stat().st_mtime - age
        os.utime(mine.folder / name, (then, then))
    draft.save(mine, name="Rex")
    assert [path.name for path in mine.folder.glob(".*.part")] == [".new.part"]
    assert json.loads((mine.folder / "draft.json").read_text())["name"] == "Rex"


FOREIGN = ("letter.txt", "1.png", "deadbeef.png", "0123456789ab.jpg", "0123456789ab-holiday.png", "2024-12.png", ".x")


def test_only_pictures_of_drafts_are_removed_from_its_folders(mine, uploads):
    mine, _ = draft.add_pictures(mine, good(uploads))
    for part in ("pictures", "thumbnails"):
        for name in FOREIGN:
            (mine.folder / part / name).write_text("mine")
    kept = mine.picture_file(mine.pictures[0])
    draft.clear(mine)
    assert not kept.exists()
    for part in ("pictures", "thumbnails"):
        assert sorted(path.name for path in (mine.folder / part).iterdir()) == sorted(FOREIGN)


@pytest.mark.parametrize("part", ["pictures", "thumbnails", "begun", "."])
def test_a_link_in_a_drafts_place_is_put_aside_and_nothing_behind_it_is_touched(tmp_path, uploads, part, caplog):
    data, own = tmp_path / "data", tmp_path / "Pictures"
    for name in ("letter.txt", "0123456789ab.png", "0123456789ab-50.png", *(f"{i:016x}" for i in range(60))):
        own.mkdir(exist_ok=True)
        (own / name).write_text("mine")
    before = sorted(path.name for path in own.iterdir())
    place = store.folder_of(data) / part
    place.parent.mkdir(parents=True)
    place.symlink_to(own)
    mine = draft.save(draft.use_sample(draft.load(data), "rescue-dog"), effort="quick")
    begin.begin(data, mine)
    assert sorted(path.name for path in own.iterdir()) == before and {p.read_text() for p in own.iterdir()} == {"mine"}
    (aside,) = place.parent.glob(f"{place.name}.damaged-*")
    assert aside.is_symlink() and str(aside) in caplog.text and place.is_dir() and not place.is_symlink()
