"""The prompt lists: the benchmark's, the toy world's, and grammar that the embedded model was trained on."""

import re

import pytest

from evaluation import prompts
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

    from training.pretrain.toyworld import world

    for name, phrase in prompts.places().items():
        place = next(p for p in world.PLACES if p.name == name)
        captions = {world.caption("owl", None, place, "3d", np.random.default_rng(seed)) for seed in range(200)}
        assert fill(f"a {{subject}} {phrase}", "owl") in captions


def test_places_shown_in_the_subjects_pictures_are_left_out():
    assert {"snow", "beach"} <= set(prompts.places())
    assert not {"snow", "beach"} & set(prompts.places(shown=("snow", "beach")))


def test_other_prompts_for_photographs_share_no_content_word_with_the_prompt():
    for prompt in prompts.benchmark("live"):
        text = fill(prompt, "dog")
        others = prompts.others(text, embedded=False)
        assert len(others) >= 12 and all("{" not in other for other in others)
        words = set(text.lower().split()) - {"a", "the", "in", "on", "with", "of", "and", "top", "to"}
        assert not [other for other in others if words & set(other.lower().split()) - {"an", "at", "front"}]


def test_in_the_embedded_world_the_other_prompts_are_the_same_thing_elsewhere():
    known = prompts.places()
    others = prompts.others(f"a red car {known['snow']} at dusk", embedded=True)
    assert others == [f"a red car {phrase} at dusk" for name, phrase in known.items() if name != "snow"]
    assert prompts.others("a red car", embedded=True) == [f"a red car {phrase}" for phrase in known.values()]
