"""The prompt lists: the benchmark's, the toy world's, and grammar that the embedded model was trained on."""

import re

import pytest

from evaluation import prompts
from evaluation.subject import unrelated_to
from training.spec import fill


@pytest.mark.parametrize("kind", ["objects", "live"])
def test_the_benchmark_has_25_different_prompts_each_with_one_placeholder(kind):
    listed = prompts.benchmark(kind)
    assert len(set(listed)) == 25
    assert all(prompt.count("{subject}") == 1 and len(re.findall("[{}]", prompt)) == 2 for prompt in listed)


def test_objects_and_live_subjects_share_places_and_colours_but_not_clothes():
    objects, live = set(prompts.benchmark("objects")), set(prompts.benchmark("live"))
    assert len(objects & live) == 15
    assert "a {subject} with the Eiffel Tower in the background" in objects - live
    assert "a {subject} wearing a black top hat and a monocle" in live - objects


def test_there_is_no_third_list():
    with pytest.raises(ValueError, match="'objects' and for 'live'"):
        prompts.benchmark("people")


def test_embedded_prompts_are_captions_the_world_itself_says():
    import numpy as np

    from training.pretrain import world

    for name, phrase in prompts.places().items():
        place = next(p for p in world.PLACES if p.name == name)
        captions = {world.caption("owl", None, place, "3d", np.random.default_rng(seed)) for seed in range(200)}
        assert fill(f"a {{subject}} {phrase}", "owl") in captions


def test_places_shown_in_the_subjects_pictures_are_left_out():
    assert {"snow", "beach"} <= set(prompts.places())
    assert not {"snow", "beach"} & set(prompts.places(shown=("snow", "beach")))


@pytest.mark.parametrize("embedded", [True, False])
def test_every_test_prompt_has_enough_unrelated_ones_to_take_its_offset_from(embedded):
    pool = prompts.unrelated(embedded)
    assert all("{" not in text for text in pool)
    for word in ("dog", "car", "owl"):
        for prompt in prompts.in_places(tuple(prompts.places())) if embedded else prompts.benchmark("live"):
            assert len(unrelated_to(fill(prompt, word), pool)) >= 12
