"""The gates of maps: a ControlNet that has learnt nothing changes no picture, and the table says what it measured."""

import numpy as np
import pytest

pytest.importorskip("diffusers")

import assets  # noqa: E402
from evaluation import map_gates  # noqa: E402
from evaluation.embedded_card import maps_table  # noqa: E402
from training.pretrain import controlnet  # noqa: E402
from training.pretrain.toyworld import scenes, world  # noqa: E402
from training.pretrain.unet import load_unet  # noqa: E402


def figures(**mious):
    return {name: {"miou_present": miou, "pixel_accuracy": 0.9} for name, miou in mious.items()} | {"maps": 200}


def test_a_controlnet_that_has_learnt_nothing_draws_what_the_pipeline_draws_alone(tmp_path):
    controlnet.build(load_unet(assets.path("embedded", "pipeline"))).save_pretrained(tmp_path)
    alone, controlled = map_gates.open_pipelines(tmp_path)
    maps = map_gates.validation(2)
    base = map_gates.draw(alone, maps, control=False, steps=2)
    steered = map_gates.draw(controlled, maps, control=True, steps=2)
    assert base.shape == (2, world.SIZE_PX, world.SIZE_PX, 3) and np.array_equal(base, steered)
    assert map_gates.sheet(maps, base, steered, columns=2).size == (8 * world.SIZE_PX, world.SIZE_PX)


def test_each_gate_is_passed_or_short_by_its_own_figure():
    def marks(real, controlled, base):
        rows = maps_table(figures(real=real, controlled=controlled, base=base)).splitlines()[2:5]
        return [row.split("|")[-2].strip() for row in rows]

    assert marks(0.90, 0.80, 0.50) == ["passed", "passed", "passed"]
    assert marks(0.74, 0.70, 0.40) == ["**short**", "passed", "passed"]
    assert marks(0.90, 0.70, 0.40) == ["passed", "**short**", "passed"]
    assert marks(0.90, 0.80, 0.60) == ["passed", "passed", "**short**"]


def test_the_maps_of_both_sets_lie_on_their_pictures():
    for maps in (map_gates.validation(8), map_gates.sample_set(8)):
        assert maps.labels.shape == maps.real.shape[:3] and len(maps.captions) == 8
        assert set(np.unique(maps.labels)) <= set(scenes.world_labels())
