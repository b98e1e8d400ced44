"""mIoU and pixel accuracy are the field's: equal to torchmetrics', over all maps at once, with 255 left out."""

import mapfiles
import numpy as np
import pytest
import stocktorchmetrics
import torch

from evaluation.maps.agreement import Agreement, confusion
from training.errors import BadInput


def random_maps(n=6, classes=150, right=0.6, seed=0, shape=(24, 32)):
    """Pairs of labels: the truth with ignored pixels, and predictions that are right at a share of them."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        truth = rng.integers(0, classes, shape).astype(np.uint8)
        predicted = np.where(rng.random(shape) < right, truth, rng.integers(0, classes, shape)).astype(np.uint8)
        truth[rng.random(shape) < 0.1] = 255
        yield predicted, truth


def counted(maps, **options):
    made = Agreement()
    for i, (predicted, truth) in enumerate(maps):
        made.add(f"{i:03d}", predicted, truth, **options)
    return made


def by_hand(maps):
    """miou, miou_present and pixel accuracy, class by class, in the plainest way."""
    predicted, truth = (np.concatenate([pair[i].ravel() for pair in maps]) for i in (0, 1))
    predicted, truth = predicted[truth != 255], truth[truth != 255]
    ious, present = [], []
    for i in range(150):
        union = ((predicted == i) | (truth == i)).sum()
        if union:
            iou = ((predicted == i) & (truth == i)).sum() / union
            ious.append(iou)
            present += [iou] if (truth == i).any() else []
    return np.mean(ious), np.mean(present), (predicted == truth).mean()


@pytest.mark.parametrize("classes, shape", [(150, (48, 64)), (150, (12, 10)), (7, (24, 32))])
def test_equal_to_torchmetrics(classes, shape):
    torchmetrics = stocktorchmetrics.load()
    maps = list(random_maps(classes=classes, shape=shape))
    metrics = {
        "miou": torchmetrics.JaccardIndex(task="multiclass", num_classes=150, ignore_index=255),
        "pixel_accuracy": torchmetrics.Accuracy(task="multiclass", num_classes=150, ignore_index=255, average="micro"),
    }
    for predicted, truth in maps:
        given = [torch.from_numpy(labels.astype(np.int64))[None] for labels in (predicted, truth)]
        for metric in metrics.values():
            metric.update(*given)
    scores = counted(maps).scores()
    for name, metric in metrics.items():
        assert getattr(scores, name) == pytest.approx(float(metric.compute()), abs=1e-6), name


@pytest.mark.parametrize("classes, shape", [(150, (12, 10)), (7, (24, 32))])
def test_equal_to_counting_by_hand(classes, shape):
    maps = list(random_maps(classes=classes, shape=shape))
    scores = counted(maps).scores()
    assert (scores.miou, scores.miou_present, scores.pixel_accuracy) == pytest.approx(by_hand(maps))
    assert scores.maps == len(maps)
    assert scores.miou == pytest.approx(np.mean([c.iou for c in scores.classes]))
    assert {c.index: c.name for c in scores.classes}[6] == "road"


def test_all_maps_are_counted_together_and_not_map_by_map():
    # Map one: all wall, all right. Map two: one pixel of wall, taken for sky. Together wall's IoU is 99 / 100.
    wall, sky = np.zeros((9, 11), np.uint8), np.full((1, 1), 2, np.uint8)
    scores = counted([(wall, wall), (sky, np.zeros((1, 1), np.uint8))]).scores()
    assert [c.iou for c in scores.classes] == pytest.approx([0.99, 0.0])
    assert (scores.miou, scores.miou_present, scores.pixel_accuracy) == pytest.approx((0.495, 0.99, 0.99))


def test_an_unlabelled_prediction_is_wrong_and_an_unlabelled_truth_is_left_out():
    truth, predicted = np.array([[3, 3, 255]], np.uint8), np.array([[3, 255, 5]], np.uint8)
    scores = counted([(predicted, truth)]).scores()
    assert (scores.miou, scores.pixel_accuracy) == (0.5, 0.5)
    assert confusion(predicted, truth).sum() == 2


def test_a_map_compared_with_itself_is_1_and_shifted_by_one_is_nearly_0():
    labels = mapfiles.every_class()
    assert counted([(labels, labels)]).scores().miou == 1
    shifted = np.where(labels == 255, 255, (labels.astype(int) + 1) % 150).astype(np.uint8)
    assert counted([(shifted, labels)]).scores().miou == 0


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match="shape"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(BadInput, match="nothing to compare"):
        counted([(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))]).scores()


# Intervals


def test_the_interval_holds_the_figure_and_narrows_with_the_root_of_the_maps():
    few, many = (counted(random_maps(n, classes=5)) for n in (10, 160))
    widths = []
    for made in (few, many):
        low, high = made.interval("miou")
        assert low <= made.scores().miou <= high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    truth = by_hand(list(random_maps(400, classes=4, shape=(6, 6), seed=99)))[0]
    hits = 0
    for seed in range(60):
        low, high = counted(random_maps(30, classes=4, shape=(6, 6), seed=seed)).interval("miou")
        hits += low <= truth <= high
    assert hits >= 50  # 57 of 60 are expected; fewer than 50 in less than one of 1,000 cases


def test_methods_are_compared_on_the_same_maps_map_by_map():
    # Maps differ a lot, the two methods by a steady little: only a paired comparison can tell.
    rng = np.random.default_rng(0)
    better, worse = Agreement(), Agreement()
    for i in range(40):
        truth = rng.integers(0, 4, (20, 20)).astype(np.uint8)
        wrong = rng.random((20, 20)) < rng.uniform(0.1, 0.8)
        little_more = wrong | (rng.random((20, 20)) < 0.02)
        for made, mask in ((better, wrong), (worse, little_more)):
            made.add(str(i), np.where(mask, (truth + 1) % 4, truth).astype(np.uint8), truth)
    gain, low, high = better.gain(worse)
    assert gain == pytest.approx(better.scores().miou_present - worse.scores().miou_present)
    assert 0 < low <= gain <= high
    assert better.interval()[0] < worse.scores().miou_present  # unpaired, they could be the same


def test_other_maps_or_seeds_are_not_compared():
    maps = list(random_maps(2))
    one, other = counted(maps), counted(maps, seed=1)
    with pytest.raises(ValueError, match="same maps and seeds"):
        one.gain(other)


def test_the_order_in_which_maps_were_counted_does_not_matter():
    maps = list(random_maps(5))
    one, other = counted(maps), Agreement()
    for i in (3, 1, 4, 0, 2):
        other.add(f"{i:03d}", *maps[i])
    assert one.gain(other) == (0, 0, 0)


def test_seeds_of_one_map_are_drawn_together():
    maps = list(random_maps(10, classes=5))
    once, thrice = counted(maps), Agreement()
    for i, pair in enumerate(maps):
        for seed in range(3):
            thrice.add(f"{i:03d}", *pair, seed=seed)
    assert thrice.interval("miou") == pytest.approx(once.interval("miou"))
    with pytest.raises(ValueError, match="counted before"):
        thrice.add("000", *maps[0], seed=2)
