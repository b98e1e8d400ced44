"""Which save of a run of maps is recommended, from maps whose right pixels are counted out by hand."""

import pytest

from evaluation.maps import advice
from evaluation.maps.agreement import Areas, Count

MAPS, PIXELS = 40, 100


def areas(right, spread=0):
    """Maps of one class, of whose pixels `right` % are found; every other map has `spread` % more, the rest less."""
    counts = []
    for i in range(MAPS):
        found = right + (spread if i % 2 else -spread)
        counts.append(Count(str(i), 0, {2: (found, found, PIXELS), 9: (0, PIXELS - found, 0)}))
    return Areas.of(counts)


BASE = areas(50)


def test_the_best_save_is_recommended_with_its_gain():
    told = advice.recommend({10: areas(60), 20: areas(72), 30: areas(66)}, BASE)
    assert (told.step, told.ties, told.collapsed) == (20, (), None)
    assert "mIoU 72.0 %" in told.reason and "+22.0 points" in told.reason


def test_saves_that_the_maps_cannot_tell_from_the_best_are_named():
    near = Areas.of([Count(c.map, c.seed, c.classes) for c in areas(70, spread=25).counts()])
    told = advice.recommend({10: near, 20: areas(71)}, BASE)
    assert (told.step, told.ties) == (20, (10,)) and "Step 10 cannot be told from it" in told.reason


@pytest.mark.parametrize("right", [50, 40, 30])
def test_a_save_not_above_the_base_is_not_recommended(right):
    told = advice.recommend({10: areas(20), 20: areas(right)}, BASE)
    assert told.step is None and told.instead == 20 and "No save follows its maps better" in told.reason


def test_a_gain_that_chance_explains_is_none():
    above = areas(51, spread=30)
    gain, low, high = above.gain(BASE)
    assert low < 0 < gain < high, "above the base on these maps, and not beyond chance"
    assert advice.recommend({10: above}, BASE).step is None


def test_training_that_made_it_worse_says_since_when():
    told = advice.recommend({10: areas(70), 20: areas(40), 30: areas(10)}, BASE)
    assert (told.step, told.collapsed, told.last_good) == (10, 20, 10)
    assert "since step 20" in told.warning and "last good at step 10" in told.warning
    alone = advice.recommend({10: areas(30)}, BASE)
    assert (alone.collapsed, alone.last_good) == (10, None) and "lower learning rate" in alone.warning


def test_before_the_first_save_it_says_when_scores_come():
    told = advice.recommend({}, BASE, first_save=60)
    assert told.step is None and "step 60" in told.reason
