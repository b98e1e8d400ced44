"""`delora train --task maps` and the commands that go on with such a run, on tiny models."""

import json
import shutil

import mapfiles
import numpy as np
import pytest
import tinymaps
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from training.runs.rundir import list_runs

SMALL = ["--steps", "2", "--save-every", "2", "--sample-steps", "1", "--sample-seed", "0", "--rank", "2"]
SMALL += ["--threads", "1", "--mixed-precision", "no", "--batch-size", "2"]


def delora(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def models(tiny_base, tmp_path_factory):
    return tinymaps.models(tmp_path_factory.mktemp("models"), tiny_base)


def train(data, pairs, base, models, *more):
    named = ["--base", base, "--controlnet", models["controlnet"], "--segmentor", models["segmentor"]]
    return delora("train", pairs, "--task", "maps", "--data", data, "--name", "Scenes", *named, *SMALL, *more, "--json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder, models):
    """A data folder with one finished run, and what the command said."""
    data = tmp_path_factory.mktemp("data")
    done = train(data, tinymaps.pairs(data / "pairs", 8), tiny_folder, models, "--sheet")
    assert done.exit_code == 0, done.output + done.stderr
    return data, json.loads(done.stdout), done.stderr


def test_pairs_become_a_scored_exported_run_and_the_held_out_ones_are_named(trained):
    data, document, notes = trained
    assert "2 of 8 pairs take no part in training and judge the saves: scene-3.png, scene-7.png" in notes
    (run,) = list_runs(data)
    assert run.spec.held_out == 2 and len(run.pictures()) == 6
    assert document["scores"]["headline"] > 0 and len(document["scores"]["gain"]) == 3
    assert document["base"]["classes"] and document["real"]["maps"] == 2 and document["trigger"] == ""
    assert Image.open(document["sheet"]).width > 3 * 128
    assert {file["kind"] for file in document["files"]} >= {"native", "kohya"}


def test_it_is_listed_shown_scored_again_and_reported(trained, tmp_path):
    data, document, _ = trained
    listed = delora("runs", "list", "--data", data)
    assert listed.exit_code == 0 and "Scenes" in listed.stdout
    shown = delora("runs", "show", document["run"], "--data", data)
    assert shown.exit_code == 0 and "real pictures" in shown.stdout and "over the base" in shown.stdout
    assert "write ''" not in shown.stdout
    again = delora("score", document["run"], "--data", data)
    assert again.exit_code == 0 and "pixel accuracy" in again.stdout
    refused = delora("score", document["run"], "--benchmark", "objects", "--data", data)
    assert refused.exit_code == 2 and "subject" in refused.stderr
    report = delora("runs", "report", document["run"], "--out", tmp_path / "r.html", "--data", data)
    assert report.exit_code == 0, report.output + report.stderr
    assert "mIoU" in (tmp_path / "r.html").read_text()


def test_a_map_is_drawn_as_the_run_was_taught(trained, tmp_path, models):
    data, document, _ = trained
    run = next(iter(list_runs(data)))
    mapped = run.path / "held-out" / "0000.map.png"
    arguments = ["--run", run.id, "--map", mapped, "--count", "1", "--steps", "1", "--data", data]
    arguments += ["--guidance", run.spec.sample.guidance]
    done = delora("generate", *arguments, "--out", tmp_path, "--step", "2", "--json")
    assert done.exit_code == 0, done.output + done.stderr
    told = json.loads(done.stdout)
    assert told["control"] == "controlnet" and told["control_scale"] == 1.0 and told["run"] == run.id
    caption = json.loads((run.path / "held-out" / "pairs.jsonl").read_text().splitlines()[0])["text"]
    assert told["prompts"] == [caption], "a map without a prompt is drawn with its own caption"
    drawn, sampled, base = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (told["pictures"][0], run.samples(2)[0], run.samples(0)[0])
    )
    assert np.abs(drawn - sampled).max() <= 2 < np.abs(drawn - base).max(), "alone it is rounded otherwise than of two"


def test_pairs_to_judge_by_come_from_a_folder_or_from_their_own_names(tmp_path, tiny_folder, models):
    pairs = tinymaps.pairs(tmp_path / "set" / "training", 3)
    tinymaps.pairs(tmp_path / "set" / "validation", 2, first=3)
    done = train(tmp_path / "a", pairs.parent, tiny_folder, models)
    assert done.exit_code == 0, done.output + done.stderr
    apart = tinymaps.pairs(tmp_path / "apart", 4, first=10)
    shutil.rmtree(pairs.parent / "validation")
    done = train(tmp_path / "b", pairs, tiny_folder, models, "--held-out", apart, "--held-out-count", "1")
    assert done.exit_code == 0, done.output + done.stderr
    names = [
        [json.loads(line)["picture"] for line in (run.path / "held-out" / "pairs.jsonl").read_text().splitlines()]
        for data in "ab"
        for run in list_runs(tmp_path / data)
    ]
    assert names == [["scene-3.png", "scene-4.png"], ["scene-13.png"]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--class-word", "dog"], "class_word is a setting of runs of the task dreambooth"),
        (["--dino", "embedded"], "--dino judges other runs"),
        (["--held-out-count", "8"], "too few to train with and hold 8 out"),
        (["--segmentor", "/nowhere"], "There is no segmentor"),
        (["--controlnet", "/nowhere"], "There is no ControlNet"),
        (["--held-out", "/nowhere"], "is no folder"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence_and_no_run_is_made(tmp_path, tiny_folder, models, more, words):
    done = train(tmp_path / "data", tinymaps.pairs(tmp_path / "pairs", 8), tiny_folder, models, *more)
    assert done.exit_code in (2, 3) and words in done.stderr and "Traceback" not in done.output
    assert list_runs(tmp_path / "data") == []


def test_a_pair_that_cannot_be_used_is_left_out_and_named(tmp_path, tiny_folder, models):
    pairs = tinymaps.pairs(tmp_path / "pairs", 8)
    mapfiles.picture((30, 20)).save(pairs / "images" / "scene-1.png")
    (pairs / "annotations" / "scene-2.png").unlink()
    done = train(tmp_path / "data", pairs, tiny_folder, models)
    assert done.exit_code == 0, done.output + done.stderr
    assert "Left out, 2 in all" in done.stderr and "scene-1.png" in done.stderr and "scene-2.png" in done.stderr


def test_a_subject_takes_no_pairs_to_judge_by(tmp_path, tiny_folder):
    import tinypipeline

    photos = tinypipeline.photos(tmp_path / "photos")
    arguments = ["--base", tiny_folder, "--class-word", "dog", "--held-out", tmp_path, "--data", tmp_path / "data"]
    done = delora("train", *photos, *arguments)
    assert done.exit_code == 2 and "--held-out" in done.stderr
