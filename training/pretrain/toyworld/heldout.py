"""Pictures of the held-out subjects: what a user would photograph, five of each, and eight subjects as if by a phone.

    python -m training.pretrain.toyworld.heldout

Each subject's pictures show it in five different places, at different scales, in different light, some mirrored. The
places are written down: the evaluation asks for others.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

import assets
from training.pretrain.toyworld import world
from training.pretrain.toyworld.places import PLACES
from training.pretrain.toyworld.sprites import sprite

PICTURES = 5
PHOTO_LIKE = ("poodle", "black-cat", "parrot", "jeep", "boot", "purse", "speedboat", "bubble-tea")


def draw_subject(name: str) -> tuple[list[Image.Image], list[str]]:
    """The pictures of one subject and the names of the places they show; the same on every machine."""
    _, glyph = world.SUBJECTS[name]
    rng = np.random.default_rng([*name.encode(), 7])
    places = [PLACES[i] for i in rng.permutation(len(PLACES))[:PICTURES]]
    backdrop = {"count": 4, "first_seed": 10_000}  # canvases that no training picture has
    drawn = [world.compose(sprite(glyph), place, rng, scale=(0.5, 0.85), **backdrop)[0] for place in places]
    return [Image.fromarray(image) for image in drawn], [place.name for place in places]


def as_photo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A phone's rendering of a picture: soft focus, a colour cast, sensor noise. (JPEG comes when it is saved.)"""
    image = image.resize((384, 384), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(rng.uniform(1.0, 2.2)))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.8, 1.1))
    pixels = np.asarray(image, np.float32) * rng.uniform(0.86, 1.12, 3).astype(np.float32)
    pixels += rng.normal(0, rng.uniform(5, 11), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write(subjects: Path, photos: Path) -> None:
    """Writes both folders anew."""
    for folder in (subjects, photos):
        shutil.rmtree(folder, ignore_errors=True)
    for name, (word, glyph) in world.SUBJECTS.items():
        images, places = draw_subject(name)
        facts = {"name": name, "class_word": word, "glyph": glyph, "places": places}
        rng = np.random.default_rng([*name.encode(), 11])
        for folder in (subjects, photos) if name in PHOTO_LIKE else (subjects,):
            (folder / name).mkdir(parents=True)
            (folder / name / "subject.json").write_text(json.dumps(facts, indent=1) + "\n")
        for i, image in enumerate(images):
            image.save(subjects / name / f"{i:02}.png", optimize=True)
            if name in PHOTO_LIKE:
                as_photo(image, rng).save(photos / name / f"{i:02}.jpg", quality=int(rng.integers(60, 85)))


if __name__ == "__main__":
    write(assets.path("subjects"), assets.path("subjects_photo"))
