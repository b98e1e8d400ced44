"""Runs that follow edges: plain pictures in, their edges shown in training and drawing, and what scores then say."""

import json

import mapfiles
import numpy as np
import pytest
import tinymaps
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from app.work.job import run_job
from evaluation import tasks
from evaluation.maps import segmentor
from evaluation.tasks.task import Given
from training import presets
from training.base import controlnet
from training.errors import BadInput
from training.maps import dataset, edges, reading
from training.maps.steering import drawing, taking
from training.maps.steering.protocols import FrozenControlNet
from training.runs import rundir


@pytest.fixture(scope="module")
def models(tiny_base, tmp_path_factory):
    return tinymaps.models(tmp_path_factory.mktemp("models"), tiny_base)


def pictures(folder, count=6):
    """Pictures with something to find edges in, each its own, and no maps."""
    folder.mkdir(parents=True)
    for i in range(count):
        mapfiles.picture((8, 6), i).resize((64, 48), Image.Resampling.NEAREST).save(folder / f"{i}.jpg", quality=95)
    return folder


def gathered(folder, base, models, **changes):
    values = tinymaps.values(base, models, control_kind="canny", flip=True, **changes)
    spec = presets.make_spec("embedded", "delora", "quick", **values)
    (folder / "taken").mkdir(parents=True)
    given = Given([pictures(folder / "pictures")], count=2, data=folder)
    return tasks.of(spec).gather(given, spec, tinymaps.SIZE_PX, folder / "taken")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder, models):
    data = tmp_path_factory.mktemp("data")
    taken = gathered(data / "given", tiny_folder, models)
    run = rundir.create(data, taken.spec, taken.data)
    assert run_job(run.path) == "done", run.state().message
    return run


def test_plain_pictures_get_their_maps_from_the_segmentor(tmp_path, tiny_folder, models):
    taken = gathered(tmp_path, tiny_folder, models)
    assert "6 pictures came without maps" in taken.notes[0] and taken.spec.held_out == 2
    judge = segmentor.load(models["segmentor"])
    pairs = [json.loads(line) for line in (taken.data["held-out"] / "pairs.jsonl").read_text().splitlines()]
    for i, row in enumerate(pairs):
        whole = judge.segment([Image.open(tmp_path / "pictures" / row["picture"])])[0]
        kept = reading.labels_of(taken.data["held-out"] / f"{i:04d}.map.png")
        assert set(np.unique(kept)) <= set(np.unique(whole)) and row["text"].startswith("a photo")


def test_what_is_trained_on_are_the_edges_of_the_pictures_turned_with_them(finished, tiny_base):
    objective = taking.take_in(finished, tiny_base, finished.path.parent.parent, None)
    found = [edges.canny(Image.open(path)) for path in finished.pictures()]
    for step in range(4):
        drawn, _ = objective.draw(step, 3)
        shown = objective.pictures(drawn)  # (3, 3, H, W)
        for picture, index, turned in zip(shown, drawn.picture, drawn.mirrored, strict=True):
            expected = found[index][:, ::-1] if turned else found[index]
            assert np.array_equal(picture.permute(1, 2, 0).numpy() * 255, expected) and expected.any()


def test_a_save_draws_the_edges_of_the_held_out_pictures(finished, tiny_base, models):
    net = controlnet.load(models["controlnet"], tiny_base, finished.path)
    held = dataset.read(finished.path, dataset.HELD_OUT)
    wishes = [drawing.Wish(edges.canny(Image.open(e.picture)), e.caption, seed) for e in held for seed in (0, 1)]
    expected = drawing.draw(tiny_base, FrozenControlNet(net.module), wishes, steps=2, guidance=3.0)
    for path, image in zip(finished.samples(0), expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(image))
    assert "Pictures follow canny, not maps" in finished.scores()["note"]
    assert "0000.png" in tasks.of(finished.spec).use_words(finished)[1]


def test_a_picture_is_drawn_by_its_edges_and_a_ready_control_as_it_is(finished, tmp_path):
    def generate(file, *more):
        arguments = ["generate", "a photo", "--run", finished.id, "--step", "2", "--map", file, "--count", "1"]
        arguments += ["--steps", "1", "--data", finished.path.parent.parent, "--out", tmp_path, "--json", *more]
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    picture, ready = finished.path / "held-out" / "0000.png", tmp_path / "ready.png"
    Image.fromarray(edges.canny(Image.open(picture))).save(ready)
    drawn = []
    for done in (generate(picture), generate(ready, "--control-kind", "picture"), generate(ready)):
        assert done.exit_code == 0, done.output + done.stderr
        told = json.loads(done.stdout)
        drawn.append((told["control_kind"], np.asarray(Image.open(told["pictures"][0]).convert("RGB"))))
    assert [kind for kind, _ in drawn] == ["canny", "picture", "canny"]
    assert np.array_equal(drawn[0][1], drawn[1][1]) and not np.array_equal(drawn[0][1], drawn[2][1])
    refused = generate(finished.path / "held-out" / "0000.map.png", "--control-kind", "segmentation")
    assert refused.exit_code == 2 and "follows canny, not segmentation" in refused.stderr


@pytest.mark.parametrize("ref", ["embedded", "controlnet-seg"])
def test_a_controlnet_of_maps_is_refused_for_edges(tiny_base, tiny_folder, models, tmp_path, ref):
    spec = gathered(tmp_path, tiny_folder, models).spec.model_copy(update={"controlnet": ref})
    with pytest.raises(BadInput, match=f"{ref} follows semantic maps and not canny") as caught:
        tasks.of(spec).check(spec, tiny_base, tmp_path)
    assert caught.value.field == "controlnet" and "hint-encoder" in caught.value.remedy
