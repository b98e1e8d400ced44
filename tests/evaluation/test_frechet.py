"""The Frechet distance is the one of closed forms and of torchmetrics, and never goes without its count."""

import numpy as np
import pytest
import stocktorchmetrics
import torch

from evaluation.frechet import FEW_PICTURES, Frechet, distance, of, told


def test_a_set_has_no_distance_from_itself():
    for shape in ((400, 6), (5, 64)):  # more pictures than numbers of each, and fewer
        x = np.random.default_rng(0).normal(size=shape)
        assert abs(distance(x, x)) < 1e-9


def test_of_gaussians_it_is_the_closed_form():
    # diagonal Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2
    rng, n = np.random.default_rng(1), 200_000
    s1, s2, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 1.0, 0.5]), np.array([0.3, -0.2, 1.0])
    got = distance(rng.normal(size=(n, 3)) * s1, rng.normal(size=(n, 3)) * s2 + shift)
    assert abs(got - (np.square(shift).sum() + np.square(s1 - s2).sum())) < 0.03


@pytest.mark.parametrize("n, m, d", [(300, 200, 24), (8, 12, 32), (2, 5, 4)])
def test_torchmetrics_with_an_extractor_gives_the_same(n, m, d):
    metric = stocktorchmetrics.load().image.fid.FrechetInceptionDistance(feature=Shrinks(d))
    g, features = torch.Generator().manual_seed(n), {}
    for real, count in ((True, n), (False, m)):
        pictures = torch.rand(count, 3, 8, 8, generator=g).double()
        metric.update(pictures, real=real)
        features[real] = metric.inception(pictures).numpy()
    assert distance(features[False], features[True]) == pytest.approx(float(metric.compute()), rel=1e-5, abs=1e-5)


class Shrinks(torch.nn.Module):
    """An extractor: d fixed mixtures of a picture's pixels."""

    def __init__(self, d):
        super().__init__()
        self.num_features = d
        self.mix = torch.randn(3 * 8 * 8, d, generator=torch.Generator().manual_seed(7)).double()

    def forward(self, pictures):
        return pictures.flatten(1) @ self.mix


def test_the_count_is_in_the_words_and_few_pictures_are_indicative():
    assert Frechet(0.02693, 64, 64).words == "0.0269 (64 pictures, indicative)"
    many = Frechet(12.345, FEW_PICTURES, FEW_PICTURES)
    assert many.words == "12.3 (2000 pictures)" and not many.indicative
    assert Frechet(1.0, 5000, FEW_PICTURES - 1).indicative, "few real ones are few"
    assert told({"frechet": many.to_dict()}) == many.words and told({}) == ""


def test_a_single_picture_has_none():
    x = np.ones((3, 4))
    assert of(x[:1], x) is None and of(x, x[:1]) is None
    with pytest.raises(ValueError, match="two pictures"):
        distance(x, x[:1])
