"""What a set of pictures scored: plain numbers, as `evaluation.subject` measures them and scores.json keeps them."""

import functools
from dataclasses import asdict, dataclass, field, fields

from training.jsonfile import Figure


@dataclass(frozen=True)
class Scores:
    """What one set of pictures scored.

    Attributes:
        dino, clip_i: mean cosine over all pairs (generated, real).
        clip_t: mean cosine of picture and prompt.
        place: the same less the mean cosine with the same thing elsewhere; None where no prompt names a place.
        thing: the same less the mean cosine with other things in that place; None where no prompt names its thing.
        clean: 1 as clean as the base model's pictures, 0 as spoiled as can be.
        dino_stderr: standard error of `dino` over the pictures.
        per_image: `dino`, `clip_i`, `clip_t`, `place`, `thing`, `clean`, each a list with one entry a picture.
        encoders: name, preprocessing and weight hash of `dino` and `clip`.
    """

    dino: Figure
    clip_i: Figure
    clip_t: Figure
    place: Figure | None
    thing: Figure | None
    clean: Figure
    dino_stderr: Figure
    pictures: int
    per_image: dict[str, list[float | None]] = field(repr=False)
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
