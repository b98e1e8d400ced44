"""Scores the pictures that a run has drawn and keeps its scores.json."""

import functools
from pathlib import Path

from evaluation import encoders, prompts
from evaluation.pictures import read_pictures
from evaluation.scorebook import ScoreBook, read
from evaluation.subject import Judge
from training.errors import BadInput
from training.runs.run import Run

KINDS = ("dino", "clip")
TOY_ON_TOY = "Scored by the built-in model's own small judges; do not compare these figures with published ones."
TOY_ON_REAL = (
    "Scored by the toy world's small judges, which know no photographs. "
    "Download DINO and CLIP on the page This computer (or with `delora models get dino` and `delora models get clip`). "
    "They judge the runs started from then on, and this one after `delora score RUN --dino dino --clip clip`."
)


def default_judges(embedded: bool, data: Path) -> tuple[str, str]:
    """References of DINO and CLIP for a base model: the paper's for any real one if downloaded, else the built-in."""
    from training.base import catalog

    if not embedded and all(catalog.home(data, kind).is_dir() for kind in ("dino", "clip")):
        return encoders.PAPER["dino"], encoders.PAPER["clip"]
    return encoders.EMBEDDED, encoders.EMBEDDED


class RunScorer:
    """The judges of one run, with its real pictures embedded once.

    Args:
        embedded: whether the run's base is the embedded model.
        dino, clip: references as in `encoders.load`; None takes those that scored the run before, or `default_judges`.

    Raises:
        MissingModel, BadInput: see `encoders.load`.
    """

    def __init__(
        self, run: Run, embedded: bool, data: Path, *, dino: str | None = None, clip: str | None = None, device="cpu"
    ):
        self.run, self.spec = run, run.spec
        before = _readable(run)
        named = before.base.encoders if before else {}
        chosen = (
            [named[kind]["ref"] for kind in KINDS] if named.keys() >= set(KINDS) else default_judges(embedded, data)
        )
        dino, clip = dino or chosen[0], clip or chosen[1]
        toy = encoders.EMBEDDED in (dino, clip)
        self.sees = embedded or not toy  # the toy world's judges know nothing of what another base model draws
        self.note = "" if not toy else TOY_ON_TOY if embedded else TOY_ON_REAL
        self.judge = Judge(
            encoders.load("dino", dino, data, device),
            encoders.load("clip", clip, data, device),
            read_pictures(run.pictures()),
            functools.partial(prompts.contrast, class_word=self.spec.class_word, embedded=embedded),
            lambda: self._drawn(0),
        )

    def update(self) -> ScoreBook:
        """Score every drawn save that is not scored yet (step 0, the base model, first), and write scores.json."""
        book = self._book()
        for step in drawn_steps(self.run):
            if step > 0 and step not in book.saves:
                book = book.with_save(step, self.judge.score(self._drawn(step), self._prompts()))
        self.run.write_scores(book.to_dict(self.spec.name))
        return book

    def _book(self) -> ScoreBook:
        """The run's book, or a new one where there is none, it cannot be read, or other judges made it."""
        book = _readable(self.run)
        judges = {"dino": self.judge.dino.describe(), "clip": self.judge.clip.describe()}
        if book is not None and _same(book.base.encoders, judges):
            return book
        return ScoreBook(
            base=self.judge.score(self._drawn(0), self._prompts()),
            real=self.judge.self_similarity(),
            prompts=self.spec.sample.prompts,
            seeds=self.spec.sample.seeds,
            note=self.note,
            strangeness=self.judge.strangeness,
            sees=self.sees,
        )

    def _drawn(self, step: int) -> list:
        return read_pictures(self.run.samples(step))

    def _prompts(self) -> list[str]:
        """The prompt of each drawn picture with the class word alone, in the order of `Run.samples`."""
        return [self.spec.prompt(text, plain=True) for text in self.spec.sample.prompts for _ in self.spec.sample.seeds]


def drawn_steps(run: Run) -> list[int]:
    """The steps at which the run's prompts were drawn, ascending; 0 is the base model."""
    names = (path.name.removeprefix("step-") for path in (run.path / "samples").glob("step-*"))
    return sorted(int(name) for name in names if name.isdigit())


def _readable(run: Run) -> ScoreBook | None:
    """The run's scores; damaged ones are made again from the pictures, and count as none."""
    try:
        return read(run)
    except BadInput:
        return None


def _same(a: dict, b: dict) -> bool:
    """Whether two descriptions of judges mean the same weights and preprocessing, wherever they lie."""
    keys = ("sha256", "preprocessing")
    return a.keys() >= set(KINDS) <= b.keys() and all(a[kind][key] == b[kind][key] for kind in KINDS for key in keys)
