"""Which save to take, and whether training has destroyed what it had: both from the three figures.

A plain maximum over 16 pictures follows noise. The rule: among the saves that are clean pictures and follow the prompt
(`evaluation.figures` says how much is asked), find the best DINO; take the earliest save within one standard error of
it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from evaluation.figures import CLEAN, FOLLOWS, LIKENESS, Figures, figures
from evaluation.scores import Scores

UNKNOWN = (
    "The judges know nothing of pictures like these: they learned from the built-in model's toy world alone. So no "
    "save is recommended, and only whether the pictures are still clean is told."
)
BLIND = (
    "The judges know nothing of pictures like these: they learned from the built-in model's toy world alone. So they "
    "tell nothing of the saves, and none is recommended."
)


@dataclass(frozen=True)
class Recommendation:
    """The save to take and why.

    Attributes:
        step: the recommended step, or None where no save qualifies.
        reason: the sentences the page and the command line show.
        ties: later qualifying saves within the same standard error, in order.
        instead: where no save is recommended, the one that lacks least.
        because: what `instead` has over the other saves, in few words.
        collapsed: the step from which on no save is a clean picture any more, or None while the newest one is.
        last_good: the last save before that which was clean and followed the prompt, if there is one.
        warning: the sentences for a collapse, or empty.
    """

    step: int | None
    reason: str
    ties: tuple[int, ...] = ()
    instead: int | None = None
    because: str = ""
    collapsed: int | None = None
    last_good: int | None = None
    warning: str = ""

    def to_dict(self) -> dict:
        """Ready for JSON."""
        return {**asdict(self), "ties": list(self.ties)}


@dataclass(frozen=True)
class _Save:
    """A save's step, scores and figures."""

    step: int
    scores: Scores
    figures: Figures

    @property
    def is_clean(self) -> bool:
        return self.figures.clean is None or self.figures.clean >= CLEAN.asked

    @property
    def obeys(self) -> bool:
        """Follows the prompt; a save without a figure for it is not held to one."""
        return self.figures.follows is None or self.figures.follows >= FOLLOWS.asked

    def is_alike(self, base: Scores) -> bool:
        """Looks more like the subject than the base does, by more than the spread; and so much as is asked."""
        enough = self.figures.likeness is None or self.figures.likeness >= LIKENESS.asked
        return enough and self.scores.dino - base.dino > self.scores.dino_stderr


def recommend(
    scores: dict[int, Scores],
    base: Scores,
    *,
    subject: str,
    real: dict[str, float] | None = None,
    known: bool = True,
    sees: bool = True,
    first_save: int = 0,
) -> Recommendation:
    """Apply the rule to the saves' scores.

    Args:
        scores: step -> scores of that save (step 0, the base model, does not take part).
        base: the base model's scores with the class word alone.
        subject: the subject's name for the words.
        real: the real pictures' similarity among themselves (`dino`, `clip_i`), for the percents.
        known, sees: whether the judges know pictures like the subject's, and like the base model's.
        first_save: the step at which the first scores will come, for the words while waiting.
    """
    told = {step: figures(made, base, real, known, sees) for step, made in scores.items()}
    saves = [_Save(step, scores[step], told[step]) for step in sorted(scores) if step > 0]
    if not saves:
        return Recommendation(None, f"No recommendation yet; the first scores come at step {first_save}.")
    if not sees:
        return Recommendation(None, BLIND)
    end = _collapse(saves)
    clean = [save for save in saves if save.is_clean]
    if not clean:
        best = max(saves, key=lambda save: save.figures.clean)
        reason = (
            f"No save is a clean picture ({CLEAN.name.lower()} {best.figures.clean:.0f} % at best; we ask for "
            f"{CLEAN.asked:.0f} %). Train again with a lower learning rate."
        )
        return Recommendation(None, reason, instead=best.step, because="cleanest", **end)
    if not known:
        return Recommendation(None, UNKNOWN, instead=clean[-1].step, because="last clean save", **end)
    alike = [save for save in clean if save.is_alike(base)]
    if not alike:
        reason = (
            f"No {'clean ' if len(clean) < len(saves) else ''}save looks clearly more like {subject} than the base "
            "model does. Try thorough, another kind word, or clearer pictures."
        )
        return Recommendation(None, reason, **end)
    obeying = [save for save in alike if save.obeys]
    if not obeying:
        least = max(alike, key=lambda save: save.figures.follows)
        reason = f"Every save that looks like {subject} ignores part of the prompt. Step {least.step} ignores least."
        return Recommendation(None, reason, instead=least.step, because="ignores least of the prompt", **end)
    best = max((save.scores for save in obeying), key=lambda s: s.dino)
    first, *others = [save for save in obeying if save.scores.dino >= best.dino - best.dino_stderr]
    ties = tuple(save.step for save in others)
    return Recommendation(first.step, _words(first, ties, base, subject, real), ties, **end)


def _collapse(saves: list[_Save]) -> dict:
    """`collapsed`, `last_good` and `warning` where the newest saves are no clean pictures any more."""
    first = None
    for save in reversed(saves):
        if save.is_clean:
            break
        first = save
    if first is None:
        return {}
    good = [save.step for save in saves if save.step < first.step and save.is_clean and save.obeys]
    told = (
        f"Training has destroyed the pictures: since step {first.step} they are not clean any more "
        f"({CLEAN.name.lower()} {saves[-1].figures.clean:.0f} %; we ask for {CLEAN.asked:.0f} %). "
    )
    told += f"It was last good at step {good[-1]}." if good else "No save before was good: use a lower learning rate."
    return {"collapsed": first.step, "last_good": good[-1] if good else None, "warning": told}


def _words(save: _Save, ties: tuple[int, ...], base: Scores, subject: str, real: dict[str, float] | None) -> str:
    scores, told = save.scores, save.figures
    if told.likeness is None:
        alike = f"DINO {scores.dino:.3f} ± {scores.dino_stderr:.3f}"
    else:
        alike = f"{told.likeness:.0f} ± {100 * scores.dino_stderr / (real['dino'] - base.dino):.0f} %"
    follows = "" if told.follows is None else f"still follows the prompt ({_asked(told.follows, FOLLOWS.asked)}) and "
    words = (
        f"Recommended: step {save.step}. The earliest save that looks as much like {subject} as the best one, within "
        f"the spread of {scores.pictures} test pictures ({alike}), {follows}is a clean picture "
        f"({_asked(told.clean, CLEAN.asked)}). "
    )
    if ties:
        named = ", ".join(str(tie) for tie in ties)
        words += f"Within that spread, step{'s' if len(ties) > 1 else ''} {named} did as well. "
    return words + "It is a measurement, not taste: take another if you like its pictures better."


def _asked(percent: float, asked: float) -> str:
    return f"{percent:.0f} %; we ask for {asked:.0f} %"
