"""Subject scores: how much generated pictures look like the subject, and how well they follow their prompts.

DINO and CLIP-I are mean cosines over all pairs (generated picture, real picture), as in the paper. CLIP-T is the cosine
of a picture with its prompt without the rare token. A small CLIP gives every pair a large common offset, so the share
against the base model is taken after subtracting each picture's mean cosine with other prompts (`prompts.others`); the
plain figure stands beside it.
"""

import functools
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from math import sqrt

from evaluation.encoders import Encoder
from training.jsonfile import Figure


@dataclass(frozen=True)
class Scores:
    """What one set of pictures scored.

    Attributes:
        dino, clip_i: mean cosine over all pairs (generated, real); None where there are no real pictures.
        clip_t: mean centred cosine of picture and prompt.
        clip_t_plain: the same without centring.
        clip_t_share: how much of the base model's clip_t is kept, at most 1 (a judge that sees less of its kind in a
            subject gives more to the rest of the prompt); None where no base was given or its clip_t is not positive.
        dino_stderr: standard error of `dino` over the pictures.
        per_image: `dino`, `clip_i`, `clip_t`, `clip_t_plain`, each a list with one number a picture.
        encoders: name, preprocessing and weight hash of `dino` and `clip`.
    """

    dino: Figure
    clip_i: Figure
    clip_t: Figure
    clip_t_plain: Figure
    clip_t_share: Figure | None
    dino_stderr: Figure
    pictures: int
    per_image: dict[str, list[float]] = field(repr=False)
    encoders: dict[str, dict[str, str]] = field(repr=False)

    def to_dict(self) -> dict:
        """Plain numbers and lists, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Scores":
        """The reverse of `to_dict`; entries that are not scores (a step, say) are left aside.

        Raises ValueError where one is missing or cannot be.
        """
        return _checked().validate_python({f.name: values.get(f.name) for f in fields(cls)})


@functools.cache
def _checked():
    from pydantic import TypeAdapter

    return TypeAdapter(Scores)


@dataclass(frozen=True)
class Accuracy:
    """Zero-shot naming by CLIP: the share of pictures named right, and what each was called."""

    share: float
    named: tuple[str, ...]


class Judge:
    """DINO and CLIP with one subject's real pictures, which are embedded once, as every prompt is.

    Args:
        real_pictures: the subject's own pictures (PIL), at least one.
        others: from a prompt to those that its CLIP-T is centred with.
    """

    def __init__(self, dino: Encoder, clip: Encoder, real_pictures: list, others: Callable[[str], list[str]]):
        self.dino, self.clip, self.others = dino, clip, others
        self._real = {"dino": dino.embed_images(real_pictures), "clip": clip.embed_images(real_pictures)}  # (m, d)
        self._texts: dict[str, object] = {}

    def score(self, images: list, prompts: list[str], base: Scores | None = None) -> Scores:
        """Score `images` (n PIL pictures) against the real pictures and against their `prompts` (n, without token).

        Args:
            base: the base model's scores, for `clip_t_share`.
        """
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} pictures came with {len(prompts)} prompts; each picture needs its own.")
        seen_by_clip = self.clip.embed_images(images)  # (n, d)
        per_image = {
            "dino": mean_cosines(self.dino.embed_images(images), self._real["dino"]),
            "clip_i": mean_cosines(seen_by_clip, self._real["clip"]),
            "clip_t": [],
            "clip_t_plain": [],
        }
        for picture, prompt in zip(seen_by_clip, prompts, strict=True):
            plain, centred = self._text_cosines(picture, prompt)
            per_image["clip_t_plain"].append(plain)
            per_image["clip_t"].append(centred)
        means = {name: statistics.fmean(values) for name, values in per_image.items()}
        share = min(means["clip_t"] / base.clip_t, 1.0) if base is not None and base.clip_t > 0 else None
        return Scores(
            **means,
            clip_t_share=share,
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

    def _text_cosines(self, picture, prompt: str) -> tuple[float, float]:
        """Cosine of one picture's vector (d,) with its prompt: plain, and less its mean with the other prompts."""
        texts = [prompt, *self.others(prompt)]
        missing = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if missing:
            self._texts.update(zip(missing, self.clip.embed_texts(missing), strict=True))
        plain, *offsets = [float(self._texts[text].double() @ picture.double()) for text in texts]
        return plain, plain - (statistics.fmean(offsets) if offsets else 0.0)


def mean_cosines(generated, real) -> list[float]:
    """For each row of `generated` (n, d) the mean cosine with all rows of `real` (m, d); rows are unit vectors."""
    return (generated.double() @ real.double().T).mean(dim=1).tolist()


def standard_error(values: list[float]) -> float:
    """Standard error of the mean; 0 for fewer than two values."""
    return statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def likeness(dino: float, base: float, real: float | None) -> float | None:
    """Percent on the page's scale: 0 is the base model with the class word alone, 100 the real pictures' own likeness.

    Returns:
        None where the scale has no length (one real picture, or a base as like as the pictures are to one another).
    """
    if real is None or real <= base:
        return None
    return 100 * (dino - base) / (real - base)


def zero_shot(clip: Encoder, images: list, labels: dict[str, list[str]], truth: list[str]) -> Accuracy:
    """Which of `labels` does CLIP see in each picture?

    Args:
        labels: a label's name -> the texts that say it; their unit vectors are averaged.
        truth: the right label of each picture.
    """
    import torch

    texts = [text for options in labels.values() for text in options]
    vectors = clip.embed_texts(texts).split([len(options) for options in labels.values()])
    means = torch.nn.functional.normalize(torch.stack([v.mean(dim=0) for v in vectors]), dim=-1)  # (labels, d)
    names = list(labels)
    named = tuple(names[i] for i in (clip.embed_images(images) @ means.T).argmax(dim=1).tolist())
    return Accuracy(sum(a == b for a, b in zip(named, truth, strict=True)) / len(named), named)


def _mean_of_pairs(vectors) -> float:
    """Mean cosine over all pairs of different rows of unit vectors (m, d)."""
    count = len(vectors)
    cosines = vectors.double() @ vectors.double().T  # (m, m)
    return float((cosines.sum() - cosines.diagonal().sum()) / (count * (count - 1)))
