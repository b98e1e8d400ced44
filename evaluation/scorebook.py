"""A run's scores as they are kept in its scores.json: base model, real pictures, every save, the recommendation."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from pydantic import BaseModel

from evaluation.figures import FIGURES, Figures, figures
from evaluation.recommend import Recommendation, recommend
from evaluation.scores import Scores
from evaluation.strangeness import is_known
from training.errors import BadInput
from training.jsonfile import Figure
from training.runs.run import SCORE_AGAIN, Run
from training.runs.scorefile import VERSIONS, ScoreFile, Step

VERSION = VERSIONS[
    "dreambooth"
]  # 1: a judge that could not see whether a picture is clean, of a prompt saw the place alone


@dataclass(frozen=True)
class ScoreBook:
    """Everything scored so far in one run.

    Attributes:
        base: the base model with the class word alone, same prompts and seeds (step 0).
        real: the real pictures' self-similarity (`dino`, `clip_i`), None with a single picture.
        prompts: the prompts scored, with their placeholder.
        saves: step -> scores.
        note: what a reader must know about the judges, or empty.
        strangeness: of the real pictures to the judges, see `evaluation.strangeness`; None for judges of everything.
        sees: whether the judges know pictures like the base model's: if not, they can tell nothing at all.
    """

    base: Scores
    real: dict[str, float] | None
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    saves: dict[int, Scores] = field(default_factory=dict)
    note: str = ""
    strangeness: float | None = None
    sees: bool = True

    @property
    def known(self) -> bool:
        """Whether the judges know pictures like the subject's."""
        return is_known(self.strangeness) and self.sees

    def with_save(self, step: int, scores: Scores) -> "ScoreBook":
        """The book with one more save in it."""
        return replace(self, saves=dict(sorted({**self.saves, step: scores}.items())))

    def figures(self, step: int) -> Figures:
        """The three figures of a save; step 0 is the base model."""
        return figures(self.base if step == 0 else self.saves[step], self.base, self.real, self.known, self.sees)

    def recommend(self, subject: str, first_save: int = 0) -> Recommendation:
        """The rule of `evaluation.recommend` on this book."""
        known = {"known": self.known, "sees": self.sees}
        return recommend(self.saves, self.base, subject=subject, real=self.real, first_save=first_save, **known)

    def to_dict(self, subject: str) -> dict:
        """The document of scores.json: all scores, each save's figures in percent, the recommendation in words."""
        saves = {str(step): self._told(step, scores) for step, scores in self.saves.items()}
        return {
            "version": VERSION,
            "prompts": list(self.prompts),
            "seeds": list(self.seeds),
            "encoders": self.base.encoders,
            "note": self.note,
            "strangeness": self.strangeness,
            "sees": self.sees,
            "real": self.real,
            "base": self._told(0, self.base),
            "saves": saves,
            "recommendation": self.recommend(subject).to_dict(),
        }

    def _told(self, step: int, scores: Scores) -> dict:
        return {**scores.to_dict(), "figures": self.figures(step).to_dict()}

    @classmethod
    def from_dict(cls, document: dict) -> "ScoreBook":
        """The book in a scores.json; what this version does not know is left aside.

        Raises OtherJudges for one that another version wrote, and BadInput for one that is damaged.
        """
        if not is_current(document):
            raise OtherJudges(document.get("version"))
        try:
            found = _Document.model_validate(document)
            base = Scores.from_dict(found.base)
            for judge in base.encoders.values():
                _Judge.model_validate(judge)
            return cls(
                base=base,
                real=found.real and found.real.model_dump(),
                prompts=tuple(found.prompts),
                seeds=tuple(found.seeds),
                saves={int(step): Scores.from_dict(values) for step, values in sorted(found.saves.items(), key=_step)},
                note=found.note,
                strangeness=found.strangeness,
                sees=found.sees,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("scores.json is damaged: what it says cannot be.", SCORE_AGAIN) from error


class OtherJudges(BadInput):
    """Scores that another version of this program made, whose figures mean something else."""

    def __init__(self, version, today: int = VERSION):
        older = not isinstance(version, int) or version < today
        super().__init__(
            f"These scores were made by {'older' if older else 'newer'} judges and cannot be compared with today's.",
            "Make them again: delora score RUN." if older else "Read them with the newer version of this program.",
            field="scores",
        )


class Book(Protocol):
    """What each task's scores are, once read."""

    note: str

    def recommend(self, name: str, first_save: int = 0) -> Recommendation:
        """Which save to take. name: what the run is called, for the words."""

    def to_dict(self, name: str) -> dict:
        """The document of scores.json."""


def read(run: Run) -> Book | None:
    """The scores of a run, a book of its task; None before the first.

    Raises OtherJudges for one that another version wrote, BadInput for one that is damaged, and as `Run.scores`.
    """
    document = run.scores()
    if document is None:
        return None
    if not is_current(document):
        raise OtherJudges(document.get("version"), VERSIONS.get(_task(document), VERSION))
    return BOOKS[_task(document)](document)


def _map_book(document: dict) -> Book:
    from evaluation.maps.book import MapBook  # with numpy, which a list of runs does without

    return MapBook.from_dict(document)


BOOKS: dict[str, Callable[[dict], Book]] = {"dreambooth": ScoreBook.from_dict, "maps": _map_book}


def is_current(document: dict) -> bool:
    """Whether a scores.json was made by today's judges."""
    return document.get("version") == VERSIONS.get(_task(document))


def _task(document: dict) -> str:
    task = document.get("task", "dreambooth")
    return task if isinstance(task, str) else ""


def brief(document: dict | None) -> dict:
    """What a list says of a run's scores.json, as `Run.scores` gave it.

    Returns:
        recommended (the save, or None) with its likeness, follows and clean, or its miou, in percent, collapsed (see
        `Recommendation`), and older_judges: whether the scores were made by such and say nothing today.
    """
    none = {figure.key: None for figure in FIGURES} | {"miou": None}
    told = {"recommended": None, **none, "collapsed": None, "older_judges": False}
    if document is None:
        return told
    if not is_current(document):
        return {**told, "older_judges": True}
    found = ScoreFile.of(document)
    return told | found.figures | {"recommended": found.advice.step, "collapsed": found.advice.collapsed}


class _Real(BaseModel):
    dino: Figure
    clip_i: Figure


class _Judge(BaseModel):
    ref: str
    name: str
    preprocessing: str
    sha256: str


class _Document(BaseModel):
    """What a book is made of."""

    base: dict
    real: _Real | None
    prompts: list[str]
    seeds: list[int]
    saves: dict[Step, dict]
    note: str
    strangeness: Figure | None
    sees: bool


def _step(entry: tuple[str, dict]) -> int:
    return int(entry[0])
