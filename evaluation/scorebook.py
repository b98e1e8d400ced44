"""A run's scores as they are kept in its scores.json: base model, real pictures, every save, the recommendation."""

from dataclasses import dataclass, field, replace

from evaluation.recommend import Recommendation, recommend
from evaluation.subject import Scores, likeness

VERSION = 1


@dataclass(frozen=True)
class ScoreBook:
    """Everything scored so far in one run.

    Attributes:
        base: the base model with the class word alone, same prompts and seeds (step 0).
        real: the real pictures' self-similarity (`dino`, `clip_i`), None with a single picture.
        prompts: the prompts scored, with their placeholder.
        saves: step -> scores.
        note: what a reader must know about the judges, or empty.
    """

    base: Scores
    real: dict[str, float] | None
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    saves: dict[int, Scores] = field(default_factory=dict)
    note: str = ""

    def with_save(self, step: int, scores: Scores) -> "ScoreBook":
        """The book with one more save in it."""
        return replace(self, saves=dict(sorted({**self.saves, step: scores}.items())))

    def likeness(self, step: int) -> float | None:
        """Likeness of a save in percent (step 0 is the base, 0 %); None where there is no scale."""
        scores = self.base if step == 0 else self.saves[step]
        return likeness(scores.dino, self.base.dino, self.real and self.real["dino"])

    def recommend(self, subject: str, first_save: int = 0) -> Recommendation:
        """The rule of `evaluation.recommend` on this book."""
        real = self.real and self.real["dino"]
        return recommend(self.saves, self.base, subject=subject, real_dino=real, first_save=first_save)

    def to_dict(self, subject: str) -> dict:
        """The document of scores.json: all scores, each save's likeness, the recommendation in words."""
        saves = {str(step): {**s.to_dict(), "likeness": self.likeness(step)} for step, s in self.saves.items()}
        return {
            "version": VERSION,
            "prompts": list(self.prompts),
            "seeds": list(self.seeds),
            "encoders": self.base.encoders,
            "note": self.note,
            "real": self.real,
            "base": self.base.to_dict(),
            "saves": saves,
            "recommendation": self.recommend(subject).to_dict(),
        }

    @classmethod
    def from_dict(cls, document: dict) -> "ScoreBook":
        """The book in a scores.json. Raises ValueError for one that another version wrote."""
        if document.get("version") != VERSION:
            raise ValueError(f"scores.json: version {document.get('version')} is not {VERSION}. Score the run again.")
        return cls(
            base=Scores.from_dict(document["base"]),
            real=document["real"],
            prompts=tuple(document["prompts"]),
            seeds=tuple(document["seeds"]),
            saves={int(step): Scores.from_dict(values) for step, values in document["saves"].items()},
            note=document["note"],
        )
