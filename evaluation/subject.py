"""Subject scores: what DINO and CLIP see in pictures, beside the subject's own pictures and the pictures' prompts.

DINO and CLIP-I are mean cosines over all pairs (generated picture, real picture), and CLIP-T is the cosine of a picture
with its prompt without the rare token, as in the paper. A small CLIP gives every pair a large common offset, and a
shuffled picture still has the colours of its place. So a prompt is also taken apart: `place` is its cosine less the
mean cosine with the same thing in other places, `thing` less that with other things in the same place
(`prompts.contrast`). `clean` is `cleanness.Cleanness`. The percents that people see are made in `evaluation.figures`.
"""

import functools
import statistics
from collections.abc import Callable
from math import sqrt

from evaluation.cleanness import Cleanness
from evaluation.encoders import Encoder
from evaluation.prompts import Contrast
from evaluation.scores import Scores
from evaluation.strangeness import STRANGE, strangeness


class Judge:
    """DINO and CLIP with one subject's real pictures, which are embedded once, as every prompt is.

    Args:
        real_pictures: the subject's own pictures (PIL), at least one.
        contrast: from a prompt to those that it is told from.
        base_pictures: the base model's pictures, which count as clean; asked for when the first picture is scored.

    Attributes:
        pictures: the real pictures.
        strangeness: see `evaluation.strangeness`, of the real pictures.
        base_pictures: as the argument; may be set until the first picture is scored.
    """

    def __init__(
        self,
        dino: Encoder,
        clip: Encoder,
        real_pictures: list,
        contrast: Callable[[str], Contrast],
        base_pictures: Callable[[], list] = list,
    ):
        self.dino, self.clip, self.contrast = dino, clip, contrast
        self.pictures, self.base_pictures = real_pictures, base_pictures
        seen = dino.see(real_pictures)
        self.strangeness = strangeness(dino, seen.layers)
        self._real = {"dino": seen.vectors, "clip": clip.embed_images(real_pictures)}  # (m, d)
        self._texts: dict[str, object] = {}

    @property
    def known(self) -> bool:
        """Whether the judges know pictures like the real ones."""
        return self.strangeness is None or self.strangeness <= STRANGE

    @functools.cached_property
    def cleanness(self) -> Cleanness:
        """The judge of clean pictures: the base model's and the subject's own are clean, if they are of one world."""
        base = self.base_pictures()
        return Cleanness(self.dino, self.clip, base + self.pictures if self.known or not base else base)

    def score(self, images: list, prompts: list[str]) -> Scores:
        """Score `images` (n PIL pictures) against the real pictures and their `prompts` (n, without token)."""
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} pictures came with {len(prompts)} prompts; each picture needs its own.")
        by_dino, by_clip = self.dino.see(images), self.clip.see(images)
        told = [self._told(picture, prompt) for picture, prompt in zip(by_clip.vectors, prompts, strict=True)]
        per_image = {
            "dino": mean_cosines(by_dino.vectors, self._real["dino"]),
            "clip_i": mean_cosines(by_clip.vectors, self._real["clip"]),
            **{name: [each[name] for each in told] for name in ("clip_t", "place", "thing")},
            "clean": self.cleanness.of(by_dino, by_clip),
        }
        return Scores(
            **{name: _mean(values) for name, values in per_image.items()},
            dino_stderr=standard_error(per_image["dino"]),
            pictures=len(images),
            per_image=per_image,
            encoders={"dino": self.dino.describe(), "clip": self.clip.describe()},
        )

    def self_similarity(self) -> dict[str, float] | None:
        """The real pictures against one another, pairs of different pictures only (Table 3, "Real images").

        Returns:
            `dino` and `clip_i`, or None with fewer than two real pictures.
        """
        if len(self._real["dino"]) < 2:
            return None
        return {"dino": _mean_of_pairs(self._real["dino"]), "clip_i": _mean_of_pairs(self._real["clip"])}

    def _told(self, picture, prompt: str) -> dict[str, float | None]:
        """Cosine of one picture's vector (d,) with its prompt: plain, and less its means with the prompts it is told
        from.
        """
        others = self.contrast(prompt)
        texts = [prompt, *others.elsewhere, *others.things]
        missing = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if missing:
            self._texts.update(zip(missing, self.clip.embed_texts(missing), strict=True))
        plain, *offsets = [float(self._texts[text].double() @ picture.double()) for text in texts]
        parts = {"place": offsets[: len(others.elsewhere)], "thing": offsets[len(others.elsewhere) :]}
        return {"clip_t": plain} | {
            name: plain - statistics.fmean(values) if values else None for name, values in parts.items()
        }


def mean_cosines(generated, real) -> list[float]:
    """For each row of `generated` (n, d) the mean cosine with all rows of `real` (m, d); rows are unit vectors."""
    return (generated.double() @ real.double().T).mean(dim=1).tolist()


def standard_error(values: list[float]) -> float:
    """Standard error of the mean; 0 for fewer than two values."""
    return statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def _mean_of_pairs(vectors) -> float:
    """Mean cosine over all pairs of different rows of unit vectors (m, d)."""
    count = len(vectors)
    cosines = vectors.double() @ vectors.double().T  # (m, m)
    return float((cosines.sum() - cosines.diagonal().sum()) / (count * (count - 1)))


def _mean(values: list[float | None]) -> float | None:
    """Mean of those that are there; None where none is."""
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None
