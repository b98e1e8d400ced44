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


def test_among_photographs_other_places_share_no_content_word_with_the_prompt():
    for prompt in prompts.benchmark("live"):
        found = prompts.contrast(fill(prompt, "dog"), "dog", embedded=False)
        assert len(found.elsewhere) >= 12 and all("dog" in other and "{" not in other for other in found.elsewhere)
        words = set(prompt.lower().split()) - {"a", "the", "in", "on", "with", "of", "and", "top", "to", "{subject}"}
        assert not [other for other in found.elsewhere if words & set(other.lower().split())]


def test_other_things_stand_in_the_same_place_with_their_own_article():
    found = prompts.contrast("an owl on the beach", "owl", embedded=True)
    assert "a dog on the beach" in found.things and "an apple on the beach" in found.things
    assert len(found.things) == len(prompts.classes()) - ("owl" in prompts.classes())
    photos = prompts.contrast("a dog on the beach", "dog", embedded=False).things
    assert "a car on the beach" in photos and "a dog on the beach" not in photos and len(photos) >= 15


def test_a_prompt_that_names_no_place_is_told_by_its_thing_alone():
    for text, embedded in (("a red car", True), ("a car", False), ("a photo of a car", False)):
        found = prompts.contrast(text, "car", embedded)
        assert found.elsewhere == () and len(found.things) > 10


def test_a_prompt_without_its_class_word_is_told_as_a_whole():
    found = prompts.contrast("a watch on the beach", "", embedded=False)
    assert found.things == () and len(found.elsewhere) >= 12
    assert not [text for text in found.elsewhere if "watch" in text or "beach" in text]
    assert prompts.contrast("a carpet in the snow", "car", embedded=True).things == ()  # a carpet is no car


def test_in_the_embedded_world_other_places_are_the_same_thing_elsewhere():
    known = prompts.places()
    found = prompts.contrast(f"a red car {known['snow']} at dusk", "car", embedded=True)
    expected = [f"a red car {phrase} at dusk" for name, phrase in known.items() if name != "snow"]
    assert list(found.elsewhere) == expected
