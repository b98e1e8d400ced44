"""ADE20K's 150 classes: names, synonyms, colours, and their numbers in the full set.

Names, order and numbers are those of MIT's scene parsing benchmark (objectInfo150, color150, mapFromADE).
"""

from __future__ import annotations

import json
from typing import NamedTuple

import assets

ROAD, SKYSCRAPER = 6, 48  # the two that share one colour


class SceneClass(NamedTuple):
    """One class. index: 0-149. colour: R, G, B. full: its numbers in the full ADE20K set, one or several."""

    index: int
    name: str
    synonyms: tuple[str, ...]
    colour: tuple[int, int, int]
    full: tuple[int, ...]


def _load() -> tuple[SceneClass, ...]:
    rows = json.loads(assets.path("ade20k", "classes.json").read_text("utf-8"))
    return tuple(
        SceneClass(i, row["name"], tuple(row["synonyms"]), tuple(row["colour"]), tuple(row["full"]))
        for i, row in enumerate(rows)
    )


CLASSES = _load()
NAMES = tuple(scene.name for scene in CLASSES)


def search(words: str) -> list[SceneClass]:
    """The classes that a name typed by a person may mean: names before synonyms, beginnings before the rest."""
    words = " ".join(words.lower().split())

    def rank(scene: SceneClass) -> int | None:
        for first, names in ((0, (scene.name,)), (2, scene.synonyms)):
            if any(name.startswith(words) for name in names):
                return first
            if any(words in name for name in names):
                return first + 1
        return None

    found = [(place, scene) for scene in CLASSES if (place := rank(scene)) is not None]
    return [scene for _, scene in sorted(found, key=lambda pair: pair[0])]
