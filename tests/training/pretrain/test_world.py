"""The toy world keeps its promises: honest words, exact maps, and nothing held out ever shown."""

import json

import numpy as np
import pytest

import assets
from training.pretrain.toyworld import world
from training.pretrain.toyworld.places import PLACES, ade
from training.pretrain.toyworld.sprites import COLOURS, can_be_recoloured, classes, recoloured, sprite


@pytest.fixture(scope="module")
def pictures():
    return world.World().batch(world.VALIDATION_SEED + 5, 120)


def test_a_world_is_a_seed(pictures):
    again = world.World().batch(world.VALIDATION_SEED + 5, 3)
    for one, other in zip(pictures, again, strict=False):
        assert one.caption == other.caption
        assert np.array_equal(one.image, other.image) and np.array_equal(one.seg, other.seg)


def test_at_least_sixty_classes_and_ten_places_each_named_once():
    assert len(set(world.CLASSES)) >= 60 and len({p.name for p in PLACES}) >= 10
    phrases = [phrase for place in PLACES for phrase in place.phrases]
    assert len(phrases) == len(set(phrases))


def test_every_map_names_the_object_under_its_mask_and_only_ade_classes(pictures):
    for picture in pictures:
        inside = picture.mask > 127
        assert inside.mean() > 0.03, picture.caption
        assert set(np.unique(picture.seg[inside])) == {ade(classes()[picture.class_word]["ade"])}
        assert picture.seg.min() >= 1 and picture.seg.max() <= 150


def test_captions_say_only_known_words_and_never_a_rare_token(pictures):
    known = set(world.CAPTION_WORDS)
    for picture in pictures:
        words = set(picture.caption.split())
        assert words <= known, words - known
        assert not words & set(world.RARE_TOKENS)
        assert picture.class_word.split()[0] in words
        assert (picture.colour in words) if picture.colour else not words & set(COLOURS)


def test_held_out_subjects_and_pairs_are_never_drawn():
    for picture in world.World().batch(3, 600):
        assert picture.glyph not in world.HELD_OUT
        assert not world.pair_is_held_out(picture.class_word, picture.place)
    assert not set(g for g, _ in world.instance_pool()) & world.HELD_OUT
    pairs = len(world.CLASSES) * len(PLACES)
    assert 0.03 < len(world.World("held-out").choices) / pairs < 0.08


def test_a_held_out_class_keeps_two_other_instances():
    for word, glyph in world.SUBJECTS.values():
        glyphs = classes()[word]["glyphs"]
        assert glyph in glyphs and len([g for g in glyphs if g not in world.HELD_OUT]) >= 2


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_word_is_true_of_the_sprite(colour):
    # The mean hue of the coloured pixels, by an independent conversion, lies nearest to the named colour's usual hue.
    import colorsys

    usual = {"red": 0, "orange": 28, "yellow": 55, "green": 120, "blue": 215, "purple": 272, "pink": 325}
    assert can_be_recoloured("1f697", "3d")
    rgba = np.asarray(recoloured("1f697", "3d", colour)).reshape(-1, 4)
    visible = rgba[rgba[:, 3] > 200][::7] / 255
    hsv = np.array([colorsys.rgb_to_hsv(*pixel[:3]) for pixel in visible])
    angles = hsv[hsv[:, 1] > 0.35, 0] * 2 * np.pi
    hue = np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())) % 360
    away = {name: abs((hue - h + 180) % 360 - 180) for name, h in usual.items()}
    assert min(away, key=away.get) == colour, (hue, away)


def test_subject_folders_hold_what_the_world_says():
    for name, (word, glyph) in world.SUBJECTS.items():
        facts = json.loads(assets.path("subjects", name, "subject.json").read_text())
        assert (facts["class_word"], facts["glyph"]) == (word, glyph)
        assert len(list(assets.path("subjects", name).glob("*.png"))) == len(set(facts["places"])) >= 4
    assert len(list(assets.path("subjects_photo").iterdir())) >= 8


def test_both_styles_have_sprites():
    for entry in classes().values():
        for glyph in entry["glyphs"]:
            assert sprite(glyph, "3d") is not None
