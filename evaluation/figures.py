"""The three figures that a save is judged by: name, sentence, what is asked and formula of each, in this one place.

A save is good that looks like the subject, follows its prompts, and still is a clean picture. No figure can stand in
for another: pictures of any dog follow prompts and are clean, copies of the training pictures are clean and look alike,
and noise that still shows the right colours in the right places can look alike and follow. `evaluation.judge_gates`
measures that each is needed.
"""

from dataclasses import asdict, dataclass

from evaluation.scores import Scores


@dataclass(frozen=True)
class Figure:
    """One figure, in percent.

    Attributes:
        key: its name in scores.json.
        judge: whose eyes it is measured with.
        sentence: what it means; {kind} is the subject's class word.
        asked: the least percent that a recommended save has.
    """

    key: str
    name: str
    judge: str
    sentence: str
    asked: float

    @property
    def title(self) -> str:
        """Name and judge: "Likeness (DINO)"."""
        return f"{self.name} ({self.judge})"

    def explained(self, kind: str) -> str:
        """Title and sentence."""
        return f"{self.title}: {self.sentence.format(kind=kind)}"


LIKENESS = Figure(
    "likeness",
    "Likeness",
    "DINO",
    "0 % is any {kind} from the base model, 100 % is your own pictures compared with one another.",
    25.0,
)
FOLLOWS = Figure(
    "follows",
    "Follows the prompt",
    "CLIP",
    "the place and the thing that the prompt names, whichever is shown less; 100 % is as well as the base model.",
    75.0,
)
CLEAN = Figure(
    "clean",
    "Clean picture",
    "DINO and CLIP",
    "100 % is as clean as the base model's pictures, 0 % is drowned in noise, blurred away or cut into pieces.",
    80.0,
)
FIGURES = (LIKENESS, FOLLOWS, CLEAN)


@dataclass(frozen=True)
class Figures:
    """The figures of one save in percent; None where there is nothing to measure it with.

    Attributes:
        place, thing: the two halves of `follows`, the lesser of which it is; may lie above 100.
    """

    likeness: float | None
    follows: float | None
    clean: float | None
    place: float | None = None
    thing: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Ready for JSON."""
        return asdict(self)


def figures(
    scores: Scores, base: Scores, real: dict[str, float] | None, known: bool = True, sees: bool = True
) -> Figures:
    """The figures of a save.

    Args:
        base: the base model's scores with the class word alone, for the same prompts and seeds.
        real: the real pictures' similarity among themselves (`dino`, `clip_i`); None with a single picture.
        known: whether the judges know pictures like the subject's; if not, nothing can be compared with those.
        sees: whether they know pictures like the base model's; if not, they can tell nothing at all.
    """
    if not sees:
        return Figures(None, None, None)
    place, thing = _place(scores, base), _thing(scores, base, real)
    if not known:
        return Figures(None, None, clean(scores), place)
    halves = [half for half in (place, thing) if half is not None]
    follows = max(0.0, min(100.0, *halves)) if halves else None
    return Figures(likeness(scores.dino, base.dino, real and real["dino"]), follows, clean(scores), place, thing)


def in_words(percents: dict[str, float | None]) -> str:
    """The three figures by name, from a dictionary that has them: "likeness 71 %, follows the prompt 97 %, ..."."""
    known = ((figure.name.lower(), percents[figure.key]) for figure in FIGURES)
    return ", ".join(f"{name} {'not known' if value is None else f'{value:z.0f} %'}" for name, value in known)


def likeness(dino: float, base: float, real: float | None) -> float | None:
    """Percent of the way from the base model with the class word alone to the real pictures' own likeness.

    Returns:
        None where the way has no length (one real picture, or a base as like as the pictures are to one another).
    """
    if real is None or real <= base:
        return None
    return 100 * (dino - base) / (real - base)


def _place(scores: Scores, base: Scores) -> float | None:
    """How much of the base model's hold on the place is kept; None where no prompt names one or the base has none."""
    if scores.place is None or base.place is None or base.place <= 0:
        return None
    return 100 * scores.place / base.place


def _thing(scores: Scores, base: Scores, real: dict[str, float] | None) -> float | None:
    """How much of a thing is there: of the class word as the base model draws it, and of the subject itself.

    A new subject is less of its kind to CLIP than what the base draws (it names one in five of the toy world's
    held-out subjects), so the way from the base's pictures to the subject's own counts as well, the mean of what DINO
    and CLIP-I see of it: whatever a picture loses of its kind, it must gain in likeness. (Neither counts below nothing:
    a bubble tea is less of a cup to CLIP than most things are, and is all there.) None where there is no such way.
    """
    if scores.thing is None or base.thing is None or base.thing <= 0 or real is None:
        return None
    ways = (likeness(getattr(scores, key), getattr(base, key), real[key]) for key in ("dino", "clip_i"))
    gained = [max(0.0, way) for way in ways if way is not None]
    if not gained:
        return None
    return 100 * max(0.0, scores.thing / base.thing) + sum(gained) / len(gained)


def clean(scores: Scores) -> float:
    """Percent of the base model's cleanness."""
    return 100 * max(0.0, min(1.0, scores.clean))
