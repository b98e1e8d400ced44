"""Sets of pictures whose worth is known beforehand: what the judges of subjects are tried with.

Good ones are real renders of a held-out subject in the places asked for, the base model's pictures (which look like no
subject) and what DeLoRA's preset draws. Bad ones are those renders and drawings spoiled on purpose, the subject's own
pictures in the wrong places, another of its kind, and what a training draws that has overshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evaluation import prompts, samplesubjects
from evaluation.damage import spoiled
from evaluation.figures import LIKENESS, Figure
from evaluation.pictures import read_pictures
from evaluation.samplesubjects import SampleSubject

if TYPE_CHECKING:
    from training.runs.run import Run

DAMAGES = {  # name in the table -> kind and degree of `evaluation.damage`
    "30 % noise": ("noise", 0.5),
    "60 % noise": ("noise", 1.0),
    "blurred by 4 px": ("blur", 0.5),
    "blurred by 8 px": ("blur", 1.0),
    "tiles shuffled, 8 x 8": ("tiles", 1.0),
    "grey": ("grey", 1.0),
}
DEGREES = (0.2, 0.4, 0.6, 0.8, 1.0)
EACH = 4  # pictures of a place


@dataclass(frozen=True)
class PictureSet:
    """Pictures of one subject, in the order of `asked`.

    Attributes:
        good: whether they ought to pass.
        spared: figures that they are not held to.
    """

    name: str
    pictures: list[Image.Image]
    good: bool
    spared: tuple[Figure, ...] = ()


def asked(subject: SampleSubject) -> list[str]:
    """The place asked for in each of a set's pictures: four that the subject's own do not show, four pictures each."""
    return [place for place in samplesubjects.unseen_places(subject) for _ in range(EACH)]


def texts(subject: SampleSubject) -> list[str]:
    """The prompt of each of a set's pictures, with the class word."""
    return [f"a {subject.class_word} {prompts.places()[place]}" for place in asked(subject)]


def renders(subject: SampleSubject, glyph: str | None = None, seed: int = 0) -> list[Image.Image]:
    """Real renders in the places asked for: of the subject, or of another glyph."""
    from training.pretrain.toyworld import world
    from training.pretrain.toyworld.places import PLACES
    from training.pretrain.toyworld.sprites import sprite

    places = {place.name: place for place in PLACES}
    names = list(world.SUBJECTS)
    rng = np.random.default_rng([world.VALIDATION_SEED, names.index(subject.name), seed])
    cutout = sprite(glyph or world.SUBJECTS[subject.name][1])
    drawn = (world.compose(cutout, places[name], rng, first_seed=20_000)[0] for name in asked(subject))
    return [Image.fromarray(picture) for picture in drawn]


def others_of_its_kind(subject: SampleSubject) -> list[Image.Image]:
    """Real renders of the other instances of the subject's kind, in turn: what a save draws that has learnt nothing."""
    from training.pretrain.toyworld.world import glyphs_of

    drawn = [renders(subject, glyph, 1 + i) for i, glyph in enumerate(glyphs_of(subject.class_word))]
    return [drawn[i % len(drawn)][i] for i in range(len(drawn[0]))]


def damaged(pictures: list[Image.Image], kind: str, degree: float) -> list[Image.Image]:
    """Every picture spoiled alike; "grey" is a fade into one middle grey."""
    rng = np.random.default_rng(7)
    if kind == "grey":
        return [
            Image.blend(picture.convert("RGB"), Image.new("RGB", picture.size, "grey"), degree) for picture in pictures
        ]
    return [spoiled(picture, kind, degree, rng) for picture in pictures]


def rendered_sets(subject: SampleSubject) -> list[PictureSet]:
    """The sets that need no training: real renders, and what is bad of them."""
    real, own = renders(subject), read_pictures(list(subject.pictures))
    sets = [PictureSet("real renders", real, True)]
    sets += [PictureSet(f"real renders, {name}", damaged(real, *how), False) for name, how in DAMAGES.items()]
    sets.append(
        PictureSet("its own pictures, whatever the prompt", [own[i % len(own)] for i in range(len(real))], False)
    )
    sets.append(PictureSet("others of its kind", others_of_its_kind(subject), False))
    return sets


def drawn_sets(base: list[Image.Image], run: Run, overshot: Run) -> list[PictureSet]:
    """The sets that a model drew: the base model's pictures, a run's last save, and the saves of one that overshot."""
    last = max(step for step in run.checkpoints() if run.samples(step))
    drawn = read_pictures(run.samples(last))
    sets = [PictureSet("base model, class word alone", base, True, (LIKENESS,))]
    sets.append(PictureSet("DeLoRA at its preset", drawn, True))
    sets += [PictureSet(f"DeLoRA at its preset, {name}", damaged(drawn, *how), False) for name, how in DAMAGES.items()]
    steps = [step for step in overshot.checkpoints() if overshot.samples(step)]
    sets += [
        PictureSet(f"LoRA at 8 times its rate, step {step}", read_pictures(overshot.samples(step)), False)
        for step in steps
    ]
    return sets
