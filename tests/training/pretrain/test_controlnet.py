"""The ControlNet's job: how it begins, what its batches hold, where its loss looks, and what is saved."""

import argparse
import json

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")

import assets  # noqa: E402
from training.maps.colours import control  # noqa: E402
from training.pretrain import controlnet  # noqa: E402
from training.pretrain.toyworld import cache, world  # noqa: E402
from training.pretrain.unet import load_unet  # noqa: E402

BASE = assets.path("embedded", "pipeline")


def options(folder, minutes):
    return argparse.Namespace(
        minutes=minutes, out=folder / "out", work=folder, base=BASE, seed=None, batch=2, pictures=8, threads=1,
        workers=0, fp32=True, fresh=False, resume_from=None,
    )  # fmt: skip


def test_a_fresh_one_changes_nothing_and_halves_the_map_three_times():
    unet = load_unet(BASE)
    torch.manual_seed(0)
    model = controlnet.build(unet)
    noisy, hidden = torch.randn(2, 8, 16, 16), torch.randn(2, 7, 192)
    maps = control(np.random.default_rng(0).integers(0, 150, (2, 128, 128), np.uint8))
    with torch.no_grad():
        down, mid = model(noisy, 500, hidden, maps, return_dict=False)
        alone = unet(noisy, 500, hidden).sample
        steered = unet(
            noisy, 500, hidden, down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample
    assert alone.equal(steered)


def test_cells_that_an_outline_crosses_count_three_times():
    labels = np.zeros((1, 128, 128), np.uint8)
    labels[:, :, 60:] = 2  # the outline runs through the eighth column of cells (56 to 63)
    weights = controlnet.outline_weights(labels, 16)[0, 0]
    assert weights.shape == (16, 16) and weights.mean() == pytest.approx(1)
    assert (weights[:, 7] / weights[:, 0]).tolist() == pytest.approx([3.0] * 16)
    assert weights[:, 8].equal(weights[:, 0])


def test_the_learning_rate_rises_stays_and_falls():
    rates = [controlnet.learning_rate(share) / controlnet.PEAK_RATE for share in (0, 0.015, 0.1, 0.6, 0.8, 1)]
    assert rates == pytest.approx([0.02, 0.5, 1, 1, 0.5, 0.02])


def test_pictures_lie_beside_their_own_maps():
    images, labels, facts = controlnet.draw_mapped(3, 1)
    again = world.World().batch([3, 1], 2)
    assert len(images) == len(labels) == len(facts) == cache.CHUNK
    for i, picture in enumerate(again):
        assert np.array_equal(images[i], picture.image) and np.array_equal(labels[i], picture.seg - 1)
        assert facts[i]["class_word"] == picture.class_word


def test_a_training_goes_on_where_it_stopped_moves_nothing_but_the_controlnet_and_opens_in_stock_diffusers(
    tmp_path, monkeypatch
):
    from diffusers import ControlNetModel

    monkeypatch.setattr(controlnet, "ALONE_STEPS", 1)
    files = sorted(BASE.rglob("*.safetensors"))
    before = [file.read_bytes() for file in files]
    controlnet.train(options(tmp_path, minutes=0.03))
    first = json.loads((tmp_path / "out" / "training.json").read_text())
    controlnet.train(options(tmp_path, minutes=first["log"][-1]["seconds"] / 60 + 0.05))  # a step may take seconds
    second = json.loads((tmp_path / "out" / "training.json").read_text())
    assert second["steps"] > first["steps"] > 0
    assert before == [file.read_bytes() for file in files]
    stock = ControlNetModel.from_pretrained(tmp_path / "out")
    assert stock.dtype == torch.float32
    assert any(block.weight.abs().max() > 0 for block in stock.controlnet_down_blocks)
    size = (tmp_path / "out" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert size < 20_000_000
