"""What the DINO judge learns to know again: every sprite that is not held out, in several variants, in many places.

`python -m training.pretrain.toyworld.instances --workers 2` draws them ahead into a cache; DINO's training does it
where there is none.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.pretrain import jobs
from training.pretrain.toyworld import cache, world
from training.pretrain.toyworld.sprites import COLOURS, can_be_recoloured, classes, hue_shifted, recoloured, sprite

SEED = 3
VIEWS = 10  # pictures of each subject in the cache: a divisor of its chunks
SIBLINGS = 4  # half of a batch comes in fours of one family


@dataclass(frozen=True)
class Subject:
    """One thing to know again. `family` groups what is easily confused: a class, or the variants of one glyph."""

    family: str
    glyph: str
    style: str
    variant: str  # "own", a colour word, "turned", "squeezed" or "patched"


@functools.cache
def subjects() -> tuple[Subject, ...]:
    """All subjects of the training: every glyph that is not held out, in all its variants.

    The glyphs of one family share two colours, so that there are pairs of one class and colour but two instances.
    """
    word_of = {glyph: word for word, entry in classes().items() for glyph in entry["glyphs"]}
    out = []
    for glyph, style in world.instance_pool():
        family = word_of.get(glyph, glyph)
        variants = ["own", "squeezed", "patched"]
        if can_be_recoloured(glyph, style):
            shared = np.random.default_rng([SEED, *family.encode()]).permutation(COLOURS)[:2]
            variants += [*map(str, shared), "turned"]
        out += [Subject(family, glyph, style, variant) for variant in variants]
    return tuple(out)


@functools.cache
def shapes() -> np.ndarray:
    """The number of each subject's glyph and style: what all its variants share."""
    return np.unique([f"{subject.glyph} {subject.style}" for subject in subjects()], return_inverse=True)[1]


def cutout(subject: Subject, rng: np.random.Generator) -> Image.Image:
    """The RGBA sprite of a subject; `rng` decides how far it is turned, squeezed or where it is patched."""
    own = sprite(subject.glyph, subject.style)
    if subject.variant == "own":
        return own
    if subject.variant == "squeezed":
        width, height = own.size
        factor = rng.uniform(0.6, 0.8)
        return own.resize((round(width * factor), height) if rng.random() < 0.5 else (width, round(height * factor)))
    if subject.variant in COLOURS:
        return recoloured(subject.glyph, subject.style, subject.variant)
    turned = hue_shifted(subject.glyph, subject.style, rng.uniform(0.15, 0.85))
    if subject.variant == "turned":
        return turned
    y, x = np.mgrid[: own.height, : own.width]  # patched: the colours of one side of a line are turned
    angle, at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.15, 0.15)
    side = np.cos(angle) * (x / own.width - 0.5) + np.sin(angle) * (y / own.height - 0.5) > at
    return Image.composite(turned, own, Image.fromarray((side * 255).astype(np.uint8)))


def draw_subjects(seed: int, chunk: int, views: int = VIEWS):
    """One chunk of `cache.render`: `views` pictures of each of the next subjects, no masks."""
    first = chunk * cache.CHUNK // views
    images, facts = [], []
    for number, subject in enumerate(subjects()[first : first + cache.CHUNK // views], first):
        rng = np.random.default_rng([seed, number])
        images += world.sprite_views(rng, cutout(subject, rng), views)
        facts += [{"subject": number, "family": subject.family, "variant": subject.variant}] * views
    return images, None, facts


def open_subjects(workers: int = 2, work: Path = jobs.WORK, views: int = VIEWS) -> cache.Cache:
    """The cache of all subjects in `work/subjects`: `views` pictures of each, one subject after the other.

    Raises:
        ValueError: `views` does not divide a chunk, or the folder holds another number of them.
    """
    if cache.CHUNK % views:
        raise ValueError(f"--views must divide {cache.CHUNK}, and {views} does not. Try 10, 25 or 50.")
    folder, count = Path(work) / "subjects", len(subjects()) * views
    draw = functools.partial(draw_subjects, views=views)
    return cache.render(folder, count, draw, workers=workers, seed=SEED, masks=False)


def batch_of_subjects(families: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` different subjects: half of them SIBLINGS at a time from one family, the rest at random."""
    chosen: list[int] = []
    for index in rng.permutation(len(families)):
        if len(chosen) >= count // 2:
            break
        chosen += rng.permutation(families[index])[:SIBLINGS].tolist()
    others = rng.permutation(np.setdiff1d(np.concatenate(families), chosen))
    return np.array([*chosen, *others])[:count]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--views", type=int, default=VIEWS, help="pictures of each subject")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--work", type=Path, default=jobs.WORK)
    chosen = options.parse_args()
    open_subjects(chosen.workers, chosen.work, chosen.views)
