"""Scenes of several objects and their maps: exact, of the world's classes only, and the sample set made of them."""

import json

import numpy as np
import pytest
from PIL import Image

import assets
from training.pretrain.toyworld import pairs, scenes, world
from training.pretrain.toyworld.places import PLACES, ade, paint
from training.pretrain.toyworld.sprites import classes


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(world.VALIDATION_SEED + 9)
    return [scenes.several(rng) for _ in range(60)]


def test_labels_are_the_ids_of_ade20k_less_one_and_none_is_255():
    ids = np.array([[0, 1, 7, 150]], np.uint8)
    assert scenes.labels_of(ids).tolist() == [[255, 0, 6, 149]]


def test_every_object_of_a_scene_is_in_its_caption_and_nearly_all_in_its_map(drawn):
    visible = 0
    for scene in drawn:
        assert 2 <= len(scene.words) == len(set(scene.words)) <= 3
        for word in scene.words:
            assert f"{word}" in scene.caption
            visible += (scene.labels == ade(classes()[word]["ade"]) - 1).sum() > 60
    assert visible >= 0.97 * sum(len(scene.words) for scene in drawn)


def test_scenes_keep_what_is_held_out_out(drawn):
    for scene in drawn:
        assert not any(world.pair_is_held_out(word, scene.place) for word in scene.words)


def test_a_map_holds_only_the_worlds_labels(drawn):
    known = set(scenes.world_labels())
    canvases = [paint(place, seed)[1] - 1 for place in PLACES for seed in range(4)]
    assert set(np.unique(np.stack([scene.labels for scene in drawn]))) <= known
    assert set(np.unique(np.stack(canvases))) <= known


def test_pictures_outside_the_objects_are_their_place(drawn):
    # The sky of a night is dark and the sky of a meadow is light: the map lies on the picture it belongs to.
    sky = ade("sky") - 1
    for scene in drawn:
        if scene.place in ("night", "grass"):
            light = scene.image[scene.labels == sky].mean()
            assert (light > 110) == (scene.place == "grass"), (scene.caption, light)


def test_the_sample_set_on_disk_is_what_the_command_draws():
    home = assets.path("scenes")
    for split in pairs.SPLITS:
        rows = [json.loads(line) for line in (home / "images" / split / "metadata.jsonl").read_text().splitlines()]
        assert len(rows) == pairs.PAIRS == len(list((home / "annotations" / split).glob("*.png")))
        for row, scene in zip(rows, pairs.draw(split, 6), strict=False):
            image = np.asarray(Image.open(home / "images" / split / row["file_name"]).convert("RGB"))
            ids = np.asarray(Image.open(home / "annotations" / split / row["file_name"].replace(".jpg", ".png")))
            assert row["text"] == scene.caption
            assert ids.dtype == np.uint8 and np.array_equal(scenes.labels_of(ids), scene.labels)
            assert np.abs(image.astype(int) - scene.image).mean() < 3
    captions = [{s.caption for s in pairs.draw(split)} for split in pairs.SPLITS]
    assert not captions[0] & captions[1]
    assert sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) < 3_000_000
