"""Which save to take: the earliest one that is as good as the best one within what 16 pictures can tell.

A plain maximum over 16 pictures follows noise. The rule: among the saves whose CLIP-T is at least 95 % of the base
model's, find the best DINO; take the earliest save within one standard error of it.
"""

from dataclasses import dataclass

from evaluation.subject import Scores, likeness

OBEYS = 0.95


@dataclass(frozen=True)
class Recommendation:
    """The save to take and why.

    Attributes:
        step: the recommended step, or None where no save qualifies.
        reason: the sentences the page and the command line show.
        ties: later qualifying saves within the same standard error, in order.
        instead: where no save obeys enough to be recommended, the one that ignores least of the prompt.
    """

    step: int | None
    reason: str
    ties: tuple[int, ...] = ()
    instead: int | None = None

    def to_dict(self) -> dict:
        """Ready for JSON."""
        return {"step": self.step, "reason": self.reason, "ties": list(self.ties), "instead": self.instead}


def recommend(
    scores: dict[int, Scores], base: Scores, *, subject: str, real_dino: float | None = None, first_save: int = 0
) -> Recommendation:
    """Apply the rule to the saves' scores.

    Args:
        scores: step -> scores of that save (step 0, the base model, does not take part).
        base: the base model's scores with the class word alone.
        subject: the subject's name for the words.
        real_dino: the real pictures' self-similarity, for the percent.
        first_save: the step at which the first scores will come, for the words while waiting.
    """
    saves = {step: scores[step] for step in sorted(scores) if step > 0}
    if not saves:
        return Recommendation(None, f"No recommendation yet; the first scores come at step {first_save}.")
    alike = {step: s for step, s in saves.items() if s.dino - base.dino > s.dino_stderr}
    if not alike:
        return Recommendation(
            None,
            f"No save looks more like {subject} than the base model does. "
            "Try thorough, another kind word, or clearer pictures.",
        )
    obeying = {step: s for step, s in alike.items() if _share(s, base) >= OBEYS}
    if not obeying:
        least = max(alike, key=lambda step: _share(alike[step], base))
        return Recommendation(
            None,
            f"Every save that looks like {subject} ignores part of the prompt. Step {least} ignores least.",
            instead=least,
        )
    best = max(obeying.values(), key=lambda s: s.dino)
    within = [step for step, s in obeying.items() if s.dino >= best.dino - best.dino_stderr]
    step, ties = within[0], tuple(within[1:])
    return Recommendation(step, _words(step, ties, saves[step], base, subject, real_dino), ties)


def _share(scores: Scores, base: Scores) -> float:
    """What is kept of the base's CLIP-T; all of it where that is not positive, since such a base follows no prompt."""
    return min(scores.clip_t / base.clip_t, 1.0) if base.clip_t > 0 else 1.0


def _words(
    step: int, ties: tuple[int, ...], scores: Scores, base: Scores, subject: str, real_dino: float | None
) -> str:
    percent = likeness(scores.dino, base.dino, real_dino)
    if percent is None:
        figure = f"DINO {scores.dino:.3f} ± {scores.dino_stderr:.3f}"
    else:
        spread = 100 * scores.dino_stderr / (real_dino - base.dino)
        figure = f"{percent:.0f} ± {spread:.0f} %"
    words = (
        f"Recommended: step {step}. The earliest save that looks as much like {subject} as the best one, "
        f"within the spread of {scores.pictures} test pictures ({figure}), and still follows the prompt "
        f"({100 * _share(scores, base):.0f} %; we ask for {100 * OBEYS:.0f} %). "
    )
    if ties:
        named = ", ".join(str(tie) for tie in ties)
        words += f"Within that spread, step{'s' if len(ties) > 1 else ''} {named} did as well. "
    return words + "It is a measurement, not taste: take another if you like its pictures better."
