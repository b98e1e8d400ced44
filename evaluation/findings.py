"""What a comparison found, in one sentence made from the figures of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from evaluation.figures import Figures
from evaluation.recommend import Recommendation
from evaluation.scorebook import ScoreBook

NOTHING = "Nothing is found yet: no save of any column is scored."


@dataclass(frozen=True)
class Told:
    """What is known of one column. ended: whether no more saves come. broken: the step at which its numbers broke down.

    book: None before its first scores, and where they cannot be read.
    """

    name: str
    subject: str
    book: ScoreBook | None
    ended: bool = True
    broken: int | None = None

    @cached_property
    def advice(self) -> Recommendation | None:
        """The rule's answer, None before the first save is scored."""
        return self.book.recommend(self.subject) if self.book and self.book.saves else None

    @property
    def best(self) -> Figures | None:
        """The figures of its recommended save, None where there is none."""
        return self.book.figures(self.advice.step) if self.advice and self.advice.step else None

    @property
    def newest(self) -> int:
        """Its newest scored step, 0 before the first."""
        return max(self.book.saves, default=0) if self.book else 0


class _Best(NamedTuple):
    name: str
    step: int
    dino: float
    spread: float
    words: str


def sentence(columns: Sequence[Told]) -> str:
    """The column that comes nearest to the subject, those within the spread of it, and those that were destroyed."""
    scored = [column for column in columns if column.advice]
    parts = [_nearest(scored), _destroyed(columns, scored)] if scored else []
    told = "; ".join(filter(None, parts))
    if not told:
        return NOTHING
    if all(column.ended for column in columns):
        return f"{told[0].upper()}{told[1:]}."
    return f"So far, {told}."


def _nearest(scored: Sequence[Told]) -> str:
    """ "DeLoRA ×1 comes nearest to Jeep (likeness 86 ± 4 % at step 200)"."""
    if not any(column.book.known for column in scored):
        return "the judges know nothing of pictures like these, so no likeness is compared"
    found = sorted((_best(column) for column in scored if column.advice.step), key=lambda best: -best.dino)
    if not found:
        return "no column has a save to recommend"
    first, *others = found
    told = f"{first.name} comes nearest to {scored[0].subject} ({first.words})"
    near = [f"{best.name} ({best.words})" for best in others if best.dino >= first.dino - first.spread]
    return f"{told}, with {listed(near)} within its spread" if near else told


def _best(column: Told) -> _Best:
    book, step = column.book, column.advice.step
    scores = book.saves[step]
    percent, whole = book.figures(step).likeness, book.real
    if percent is None:
        words = f"DINO {scores.dino:.3f} ± {scores.dino_stderr:.3f} at step {step}"
    else:
        spread = 100 * scores.dino_stderr / (whole["dino"] - book.base.dino)
        words = f"likeness {percent:.0f} ± {spread:.0f} % at step {step}"
    return _Best(column.name, step, scores.dino, scores.dino_stderr, words)


def _destroyed(columns: Sequence[Told], scored: Sequence[Told]) -> str:
    """Whose pictures are no longer clean and since when, whose numbers broke down, and how far the others came."""
    broken = [f"the numbers of {column.name} broke down at step {column.broken}" for column in columns if column.broken]
    seeing = [column for column in scored if column.book.sees and not column.broken]
    lost = [f"{c.name} (since step {c.advice.collapsed})" for c in seeing if c.advice.collapsed is not None]
    kept = [column for column in seeing if column.advice.collapsed is None]
    parts = [*broken]
    if lost:
        parts.append(f"{listed(lost)} no longer {'draws' if len(lost) == 1 else 'draw'} clean pictures")
    if kept:
        steps = {column.newest for column in kept}
        at = f"at step {steps.pop()}" if len(steps) == 1 else "at their newest saves"
        who = f"all {len(kept)} columns" if len(kept) == len(columns) > 2 else listed([column.name for column in kept])
        does, draws = ("does", "draws") if len(kept) == 1 else ("do", "draw")
        parts.append(f"{who} still {does} {at}" if lost else f"{who} still {draws} clean pictures {at}")
    return ", ".join(parts)


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
