"""What lists read of a run's scores.json: which save to take, its three figures, and whether training collapsed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from training.jsonfile import Count, Figure

VERSIONS = {"dreambooth": 2, "maps": 1}  # by task; a scores.json that names none is of a subject
Step = Annotated[str, Field(pattern=r"^[0-9]{1,12}$")]


class Advice(BaseModel):
    """What scores.json recommends.

    step: the save to take, or None. instead: where none is recommended, the one that lacks least; because: what it has
    over the others. collapsed: the step from which on no save is a clean picture, or None;
    last_good: the last good one before.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    step: Count | None = None
    instead: Count | None = None
    because: str = ""
    collapsed: Count | None = None
    last_good: Count | None = None


class _Figures(BaseModel):
    """A save's three figures in percent, see `evaluation.figures`."""

    model_config = ConfigDict(strict=True)

    likeness: Figure | None = None
    follows: Figure | None = None
    clean: Figure | None = None


class _Save(BaseModel):
    """headline: of runs of maps, the mIoU that is judged by, from 0 to 1."""

    model_config = ConfigDict(strict=True)

    figures: _Figures = _Figures()
    headline: Figure | None = None


class ScoreFile(BaseModel):
    """The file. Strict, so that its plain values are as good as these; what is not named here is let through."""

    model_config = ConfigDict(strict=True)

    recommendation: Advice | None = None
    saves: dict[Step, _Save] = {}

    @classmethod
    def of(cls, scores: dict[str, Any] | None) -> ScoreFile:
        """What `Run.scores` gave, which was checked."""
        return cls.model_validate(scores or {})

    @property
    def advice(self) -> Advice:
        """What is recommended; nothing before the first scores."""
        return self.recommendation or Advice()

    @property
    def figures(self) -> dict[str, float | None]:
        """Of the recommended save, by name, in percent; {} where none is recommended."""
        save = self.saves.get(str(self.advice.step))
        if save is None:
            return {}
        return {**save.figures.model_dump(), "miou": None if save.headline is None else 100 * save.headline}
