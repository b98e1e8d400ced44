"""Scenes of the world: two or three objects in one place, which no generator is trained on, with exact maps.

`world.Picture` has one object. The segmentor learns from both, so that it can judge both; the sample set of maps is
made of scenes, so that the embedded model has something to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.maps import IGNORED
from training.pretrain.toyworld import world
from training.pretrain.toyworld.places import PLACES, Place, ade, paint
from training.pretrain.toyworld.sprites import classes

SIDES = {2: (0.38, 0.58), 3: (0.3, 0.46)}  # objects -> the longer side of each, in shares of the picture
ASIDE = 0.14  # how far an object lies from its place in the row, in shares of the room that its width leaves


@dataclass(frozen=True)
class Scene:
    """A picture (H, W, 3) uint8, its labels (H, W) uint8 (0 to 149 as in ADE20K, 255 for none), and a caption."""

    image: np.ndarray
    labels: np.ndarray
    caption: str
    words: tuple[str, ...]
    place: str


def labels_of(seg: np.ndarray) -> np.ndarray:
    """ADE20K ids (0 for none, 1 to 150) -> labels (0 to 149, 255 for none), both uint8."""
    return np.where(seg == 0, IGNORED, seg - np.uint8(1)).astype(np.uint8)


def world_labels() -> tuple[int, ...]:
    """Every label that a map of the world can hold, rising."""
    drawn = [np.unique(paint(place, 0)[1]) for place in PLACES]
    things = {ade(entry["ade"]) - 1 for entry in classes().values()}
    return tuple(sorted(things | set((np.concatenate(drawn) - 1).tolist())))


def single(rng: np.random.Generator) -> Scene:
    """A picture of the world as every model is trained on: one object."""
    picture = _world.draw(rng)
    return Scene(picture.image, labels_of(picture.seg), picture.caption, (picture.class_word,), picture.place)


def several(rng: np.random.Generator, objects: int | None = None, **backdrop) -> Scene:
    """A scene of `objects` (default: two or three) objects of different classes in a row, some a little before others.

    Only (class, place) pairs and glyphs of the training are drawn.
    """
    count = objects or int(rng.integers(2, 4))
    place = PLACES[rng.integers(len(PLACES))]
    allowed = [word for word in world.CLASSES if not world.pair_is_held_out(word, place.name)]
    words = [allowed[i] for i in rng.choice(len(allowed), count, replace=False)]
    image, seg = world.background(place, rng, **backdrop)
    seg, phrases = seg.copy(), []
    slots = rng.permutation(count)  # two objects: left and right; three: one between them
    for word, slot in zip(words, slots, strict=True):
        cutout, _, colour, style = world.dressed(word, rng)
        side, middle = world.SIZE_PX * rng.uniform(*SIDES[count]), slot / (count - 1)
        between = max(0.0, middle - ASIDE), min(1.0, middle + ASIDE)
        image, mask = world.paste(image, cutout, place, rng, side, at=between)
        seg[mask > 127] = ade(classes()[word]["ade"])
        phrases.append(_phrase(word, colour, style))
    text = _caption([phrases[i] for i in np.argsort(slots)], place)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return Scene(image, labels_of(seg), text, tuple(words[i] for i in np.argsort(slots)), place.name)


def _phrase(word: str, colour: str | None, style: str) -> str:
    thing = f"a {colour} {word}" if colour else f"a {word}"
    return f"a drawing of {thing}" if style == "drawing" else thing


def _caption(phrases: list[str], place: Place) -> str:
    """The objects from left to right: "a red car, a dog and a cup in the snow"."""
    return world.article(f"{', '.join(phrases[:-1])} and {phrases[-1]} {place.phrase}")


_world = world.World()
