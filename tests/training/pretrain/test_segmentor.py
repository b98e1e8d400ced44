"""The segmentor's job: what the loss reads, what is saved, which classes can win, and how it is scored."""

import argparse
import copy
import json

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from torch.nn import functional as F  # noqa: E402

from training.maps import IGNORED  # noqa: E402
from training.pretrain import probe, segmentor  # noqa: E402
from training.pretrain.toyworld import scenes, world  # noqa: E402


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return segmentor.build(scale=0.25)


def options(folder, minutes):
    return argparse.Namespace(
        minutes=minutes, out=folder / "out", work=folder, seed=None, scale=0.25, batch=2, threads=1, workers=0,
        fp32=True, fresh=False, resume_from=None,
    )  # fmt: skip


def test_scores_at_pixels_are_those_of_the_enlarged_scores():
    torch.manual_seed(1)
    scores = torch.randn(2, 5, 8, 8)
    whole = F.interpolate(scores, size=(32, 32), mode="bilinear", align_corners=False).flatten(2)
    every = torch.arange(32 * 32).expand(2, -1)
    torch.testing.assert_close(segmentor.at_pixels(scores, every, 32, 32), whole, atol=1e-5, rtol=0)


def test_the_loss_at_points_is_the_loss_of_the_whole_picture_in_the_mean():
    torch.manual_seed(2)
    scores, labels = torch.randn(2, 5, 8, 8), torch.randint(5, (2, 32, 32))
    labels[:, :8] = IGNORED
    enlarged = F.interpolate(scores, size=(32, 32), mode="bilinear", align_corners=False)
    whole = F.cross_entropy(enlarged, labels, ignore_index=IGNORED)
    assert abs(segmentor.loss_at_points(scores, labels, 200_000) - whole) < 0.01


def test_a_rare_class_counts_more_by_the_root_of_its_share_and_at_most_four_times():
    labels = np.full((1, 100, 100), IGNORED, np.uint8)
    labels[0, :64], labels[0, 64:80, 0], labels[0, 80:100] = 2, 7, 12  # 6400, 16 and 2000 pixels
    shares = np.array([6400, 16, 2000]) / 8416
    weights = segmentor.class_weights(labels, (2, 7, 12)).numpy()
    np.testing.assert_allclose(weights, [(1 / 3 / shares[0]) ** 0.5, 4.0, (1 / 3 / shares[2]) ** 0.5], rtol=1e-5)
    scores, truth = torch.randn(1, 3, 100, 100), torch.zeros(1, 100, 100, dtype=torch.long)
    truth[:, :50] = 1
    told = segmentor.loss_at_points(scores, truth, 400_000, torch.from_numpy(weights))
    whole = F.cross_entropy(scores, truth, torch.from_numpy(weights))
    assert abs(told - whole) < 0.02


def test_a_class_that_the_world_does_not_have_never_wins(model):
    model = copy.deepcopy(model)
    with torch.no_grad():  # as unsure of all the others as a trained one is of a picture it cannot read
        model.decode_head.classifier.bias[list(scenes.world_labels())] -= 10
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    assert set(np.unique(segmentor.segment(model, images))) <= set(scenes.world_labels())


def test_batches_are_a_function_of_seed_and_step_with_scenes_among_them():
    data = segmentor.Batches(seed=4, size=6)
    images, labels = data[7]
    again, _ = data[7]
    other, _ = data[8]
    assert np.array_equal(images, again) and not np.array_equal(images, other)
    assert images.shape == (6, 128, 128, 3) and labels.shape == (6, 128, 128) and labels.max() < 150


def test_a_training_goes_on_where_it_stopped_and_its_folder_opens_in_stock_transformers(tmp_path):
    from transformers import AutoImageProcessor, UperNetForSemanticSegmentation

    figures = segmentor.train(options(tmp_path, minutes=0.02))
    first = json.loads((tmp_path / "out" / "training.json").read_text())
    segmentor.train(options(tmp_path, minutes=first["log"][-1]["seconds"] / 60 + 0.04))  # a step may take seconds
    second = json.loads((tmp_path / "out" / "training.json").read_text())
    assert set(figures) == {"miou", "pixels", "miou_several"}
    assert second["steps"] > first["steps"] > 0 and second["log"][: len(first["log"]) - 1] == first["log"][:-1]
    stock = UperNetForSemanticSegmentation.from_pretrained(tmp_path / "out").eval()
    assert stock.dtype == torch.float32 and stock.config.id2label[2] == "sky" and len(stock.config.id2label) == 150
    picture = world.validation(1)[0].image
    pixels = AutoImageProcessor.from_pretrained(tmp_path / "out", use_fast=False)(picture, return_tensors="pt")
    with torch.no_grad():
        labels = stock(**pixels).logits.argmax(1).numpy()
    assert np.array_equal(labels, segmentor.segment(segmentor.load(tmp_path / "out"), picture[None]))


def test_scores_of_maps_agree_with_counting_by_hand():
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 6, (4, 16, 16)), rng.integers(0, 6, (4, 16, 16))
    truth[truth == 5] = 255
    truth[truth == 3] = 2  # class 3 is predicted and never there
    counted = truth != 255
    ious = [
        (counted & (truth == c) & (predicted == c)).sum() / (counted & ((truth == c) | (predicted == c))).sum()
        for c in (0, 1, 2, 4)
    ]
    scores = probe.segmentation(predicted, truth)
    assert scores["miou"] == pytest.approx(np.mean(ious), abs=1e-4)
    assert scores["pixels"] == pytest.approx((truth == predicted)[counted].mean(), abs=1e-4)
