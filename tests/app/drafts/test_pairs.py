"""Pairs in a draft: taken in under any names, read, told what is wrong with which file, answered, split off."""

import io
import json
import shutil
import zipfile

import mapfiles
import numpy as np
import pytest
from PIL import Image

import assets
from app.drafts import begin, draft, pairing, pairs
from evaluation.maps import segmentor
from training.base import controlnet
from training.errors import BadInput
from training.maps import colours, dataset, writing


@pytest.fixture
def mine(tmp_path):
    return draft.load(tmp_path / "data")


@pytest.fixture
def dropped(tmp_path):
    """A folder for what is dropped."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    return folder


@pytest.fixture
def judge(monkeypatch):
    """Every segmentor and ControlNet that is named counts as here."""
    monkeypatch.setattr(segmentor, "check", lambda ref, data=None: None)
    monkeypatch.setattr(controlnet, "inspect", lambda *args: None)


def pair(folder, name="beach", palette=True, seed=0):
    """A picture and its map in a folder."""
    mapfiles.picture(seed=seed).save(folder / f"{name}.jpg")
    writing.write(mapfiles.scene(), folder / f"{name}.png", "palette" if palette else "index")
    return [folder / f"{name}.jpg", folder / f"{name}.png"]


def drop(mine, paths, part="training"):
    return pairing.add(mine, [(path.name, path) for path in paths], part)


def test_pairs_that_were_dropped_are_there_after_a_reload_and_the_uploads_are_not(mine, dropped, tmp_path):
    files = pair(dropped)
    mine, refused = drop(mine, files)
    assert refused == [] and not any(path.exists() for path in files)
    [(part, found)] = draft.load(tmp_path / "data").seen.all
    assert part == "training" and found.usable and found.reading.way == "ADE20K palette"
    assert found.caption == "a photo of grass, sky, tree and person"
    assert {2, 4, 9, 12} == set(found.reading.shares())


def test_a_map_keeps_every_byte_and_a_picture_loses_the_place_where_it_was_taken(mine, dropped):
    picture, shown = pair(dropped)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "a camera"
    upright = Image.linear_gradient("L").resize((64, 48)).convert("RGB")  # dark above, bright below
    upright.rotate(180).save(picture, quality=100, exif=exif)
    before = shown.read_bytes()
    mine, _ = drop(mine, [picture, shown])
    [(_, found)] = mine.seen.all
    assert found.pair.map.read_bytes() == before and found.usable
    with Image.open(found.pair.picture) as kept:
        assert not kept.getexif() and b"camera" not in found.pair.picture.read_bytes()
        assert np.abs(np.asarray(kept).astype(int) - np.asarray(upright)).mean() < 20, "turned upright"


def test_a_zip_keeps_its_folders_and_what_is_for_validation_judges(mine, dropped):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for kind, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
            picture, shown = pair(dropped, name)
            made.write(picture, f"ADE/images/{kind}/{name}.jpg")
            Image.fromarray(np.where(mapfiles.scene() == 255, 0, mapfiles.scene() + 1)).save(shown)
            made.write(shown, f"ADE/annotations/{kind}/{name}.png")
        made.writestr("ADE/readme.doc", "no picture")
    (dropped / "ADE.zip").write_bytes(buffer.getvalue())
    mine, refused = drop(mine, [dropped / "ADE.zip"])
    seen = mine.seen
    assert refused == [] and [part for part, _ in seen.all] == ["training", "held-out"]
    assert [p.reading.way for _, p in seen.all] == ["0-150 index"] * 2
    assert len(seen.taught) == len(seen.judged) == 1


@pytest.mark.parametrize("pictures_first", [True, False])
def test_a_picture_and_a_map_of_one_name_both_stay(mine, dropped, pictures_first):
    for folder in ("images", "annotations"):
        (dropped / folder).mkdir()
    mapfiles.picture().save(dropped / "images" / "a.png")
    writing.write(mapfiles.scene(), dropped / "annotations" / "a.png", "palette")
    folders = ["images", "annotations"] if pictures_first else ["annotations", "images"]
    mine, _ = drop(mine, [dropped / folders[0] / "a.png"])
    mine, _ = drop(mine, [dropped / folders[1] / "a.png"])
    [(_, found)] = mine.seen.all
    assert found.usable and found.pair.map.parent.name == "annotations"


def test_a_mended_file_takes_the_place_of_the_faulty_one(mine, dropped):
    picture, shown = pair(dropped)
    Image.open(shown).resize((32, 24), Image.Resampling.NEAREST).save(shown)
    mine, _ = drop(mine, [picture, shown])
    assert mine.seen.all[0][1].problems[0].kind == "size"
    mine, _ = drop(mine, pair(dropped)[1:])
    assert [found.usable for _, found in mine.seen.all] == [True]


def test_a_name_is_never_a_path(mine, dropped, tmp_path):
    picture, shown = pair(dropped)
    names = ["../../../a.jpg", "..\\a.png", ".hidden.txt", "no.exe", "x" * 300 + ".txt", "/"]
    files = [picture, shown]
    for _ in names[2:]:
        files.append(dropped / f"{len(files)}")
        files[-1].write_text("a caption")
    mine, refused = pairing.add(mine, list(zip(names, files, strict=True)))
    inside = sorted(str(path.relative_to(mine.pairs_folder)) for path in mine.pairs_folder.rglob("*.*"))
    assert inside[:2] == ["training/a.jpg", "training/a.png"] and len(inside) == 4
    assert [words.split(" was")[0] for words in refused] == ["no.exe", "picture"]
    for name in ("../draft.json", "/etc/passwd"):
        with pytest.raises(BadInput):
            pairing.remove(mine, "training", [name])
    assert (mine.folder / "draft.json").exists()


def test_what_is_open_is_asked_and_the_answer_is_kept(mine, dropped, tmp_path):
    picture, shown = pair(dropped)
    labels = np.where(mapfiles.scene() == 255, 3, mapfiles.scene())
    Image.fromarray(labels).save(shown)
    mine, _ = drop(mine, [picture, shown])
    assert [p.reading.way for p in pairs.asks_numbers(mine.seen)] == ["0-150 index or 0-149 index"]
    pairing.answer(mine, grey="0-149")
    [(_, found)] = draft.load(tmp_path / "data").seen.all
    assert found.usable and set(found.reading.shares()) == {2, 3, 4, 9, 12}
    [(_, other)] = pairing.answer(mine, grey="0-150").seen.all
    assert set(other.reading.shares()) == {1, 2, 3, 8, 11}
    assert pairing.answer(mine, grey=None).seen.unusable == 1


def test_the_nearest_colour_is_taken_only_where_one_says_so(mine, dropped):
    picture, shown = pair(dropped)
    painted = colours.paint(mapfiles.scene())
    painted[20:22] += 1
    Image.fromarray(painted).save(shown)
    mine, _ = drop(mine, [picture, shown])
    assert [p.kind for p in mine.seen.all[0][1].problems] == ["unknown colours"] and not mine.seen.taught
    assert pairing.answer(mine, nearest=True).seen.all[0][1].usable


def test_a_caption_is_from_a_file_or_the_classes_or_from_a_person(mine, dropped, tmp_path):
    (dropped / "beach.txt").write_text("a beach at noon")
    mine, _ = drop(mine, [*pair(dropped), dropped / "beach.txt", *pair(dropped, "meadow", seed=1)])
    assert [p.caption for _, p in mine.seen.all] == ["a beach at noon", "a photo of grass, sky, tree and person"]
    pairing.caption(mine, "training", "meadow.jpg", "  a meadow\n in spring ")
    mine = draft.load(tmp_path / "data")
    assert [p.caption for _, p in mine.seen.all] == ["a beach at noon", "a meadow in spring"]
    assert pairing.caption(mine, "training", "meadow.jpg", "").seen.all[1][1].caption.startswith("a photo of")


def test_one_in_four_is_split_off_evenly_unless_a_number_is_said(mine, dropped):
    for i in range(8):
        mine, _ = drop(mine, pair(dropped, f"scene {i}", seed=i))
    named = [p.pair.picture.stem for p in mine.seen.judged]
    assert named == ["scene 3", "scene 7"] and len(mine.seen.taught) == 6
    assert len(draft.save(mine, settings={"held_out": "0"}).seen.judged) == 0
    assert [p.pair.picture.stem for p in draft.save(mine, settings={"held_out": "3"}).seen.judged] == [
        "scene 1",
        "scene 4",
        "scene 7",
    ]
    assert len(draft.save(mine, settings={"held_out": "many"}).seen.judged) == 2
    mine, _ = drop(mine, pair(dropped, "judge", seed=9), "held-out")
    assert [p.pair.picture.stem for p in mine.seen.judged] == ["judge"] and len(mine.seen.taught) == 8


def test_every_fault_is_told_with_its_file_and_no_path_of_this_computer(mine, dropped):
    alone = dropped / "alone.jpg"
    mapfiles.picture().save(alone)
    (dropped / "broken.jpg").write_bytes(alone.read_bytes()[:-1000])
    writing.write(mapfiles.scene(), dropped / "broken.png", "palette")
    (dropped / "metadata.jsonl").write_text(json.dumps({"file_name": "gone.jpg", "conditioning_image": "alone.jpg"}))
    mine, refused = drop(mine, sorted(dropped.iterdir()))
    seen = mine.seen
    told = [f"{name}: {problem}" for name, problem in seen.training.faults]
    told += [str(problem) for _, found in seen.all for problem in found.problems]
    assert refused == [] and any("no partner" in p.kind for _, p in seen.training.faults)
    assert any("broken.jpg is cut off" in words for words in told), told
    assert not any(str(mine.folder) in words for words in told)


def test_a_damaged_draft_gives_its_pairs_back_and_a_cleared_one_none(mine, dropped, tmp_path):
    mine, _ = drop(mine, pair(dropped))
    (mine.folder / "draft.json").write_text("{")
    back = draft.load(tmp_path / "data")
    assert back.task == "maps" and len(back.seen.all) == 1
    draft.clear(back)
    assert draft.load(tmp_path / "data").is_blank and not list(mine.folder.rglob("*.jpg"))


def test_the_sample_set_fills_the_draft(mine):
    mine = pairing.use_scenes(mine)
    seen = mine.seen
    assert (len(seen.taught), len(seen.judged), seen.unusable) == (64, 64, 0)
    assert mine.name and mine.task == "maps"
    first = sorted(assets.path("scenes", "images", "training").glob("*.jpg"))[0]
    assert seen.taught[0].pair.picture.read_bytes() == first.read_bytes()


def test_too_many_files_are_left_out_with_a_word(mine, dropped, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_FILES", 2)
    mine, refused = drop(mine, [*pair(dropped), *pair(dropped, "more")])
    assert len(mine.seen.all) == 1 and [words.split(" was")[0] for words in refused] == ["more.jpg", "more.png"]
    shutil.rmtree(dropped)


def test_start_makes_a_run_of_the_pairs_and_run_again_gives_them_back(judge, mine, dropped, tmp_path):
    for i in range(8):
        mine, _ = drop(mine, pair(dropped, f"scene {i}", seed=i))
    mine = draft.save(mine, task="maps", name="Beaches", effort="quick", settings={"protocol": "hint-encoder"})
    mine = pairing.caption(mine, "training", "scene 0.jpg", "a beach")
    data = tmp_path / "data"
    assert begin.problems(data, mine) == []
    run = begin.begin(data, mine)
    assert (run.spec.task, run.spec.protocol, run.spec.held_out) == ("maps", "hint-encoder", 2)
    learned, held = (dataset.read(run.path, part) for part in (dataset.TRAINING, dataset.HELD_OUT))
    assert [example.name for example in held] == ["scene 3.jpg", "scene 7.jpg"] and len(learned) == 6
    assert learned[0].caption == "a beach" and Image.open(learned[0].picture).size == (128, 128)
    assert draft.load(data).is_blank and not list(mine.folder.rglob("*.jpg"))
    again = draft.from_run(data, run)
    assert (again.task, again.name, again.settings["protocol"]) == ("maps", "Beaches", "hint-encoder")
    seen = again.seen
    assert (len(seen.taught), len(seen.judged), seen.unusable) == (6, 2, 0)
    assert seen.taught[0].caption == "a beach" and seen.taught[0].reading.way == "0-149 index"
    assert begin.spec_of(data, again) == run.spec.model_copy(update={"parent": run.id})


def test_what_a_draft_of_pairs_lacks_is_said(judge, mine, dropped, tmp_path):
    def told(now):
        return [(problem.field, problem.words) for problem in begin.problems(tmp_path / "data", now)]

    mine = draft.save(mine, task="maps", name="Beaches")
    assert told(mine)[0][0] == "pairs" and "no pairs yet" in told(mine)[0][1]
    picture, shown = pair(dropped)
    Image.fromarray(np.where(mapfiles.scene() == 255, 3, mapfiles.scene())).save(shown)
    mine, _ = drop(mine, [picture, shown])
    assert told(mine) == [("pairs", "Say what the numbers of 1 grey map mean.")]
    mine = pairing.answer(mine, grey="0-149")
    assert [field for field, _ in told(mine)] == ["held_out"] and "judged" in told(mine)[0][1]
    assert [field for field, _ in told(draft.save(mine, settings={"held_out": "one"}))] == ["held_out"]
    assert [field for field, _ in told(draft.save(mine, settings={"held_out": "1"}))] == ["pairs"]


def test_a_model_that_is_not_here_is_told_at_its_field(mine, dropped, tmp_path):
    for i in range(8):
        mine, _ = drop(mine, pair(dropped, f"scene {i}", seed=i))
    unknown = {"segmentor": "/nowhere/judge", "controlnet": "/nowhere/net"}
    mine = draft.save(mine, task="maps", name="Beaches", settings=unknown)
    told = {problem.field: problem.words for problem in begin.problems(tmp_path / "data", mine)}
    assert told.keys() == {"segmentor", "controlnet"}
    assert "There is no segmentor '/nowhere/judge'" in told["segmentor"] and "ControlNet" in told["controlnet"]
    hint = draft.save(mine, settings={"protocol": "hint-encoder"})
    assert [problem.field for problem in begin.problems(tmp_path / "data", hint)] == ["segmentor"]
