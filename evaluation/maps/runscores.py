"""Scores the pictures that a run of maps has drawn, by segmenting them, and keeps its scores.json.

Beside it stands how far they are, as a set, from the held-out pictures: the Frechet distance in CLIP's features.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation import encoders, frechet, scorebook
from evaluation.maps import book as books
from evaluation.maps import segmentor as segmentors
from evaluation.maps.agreement import Agreement, Areas
from evaluation.maps.book import MapBook
from evaluation.pictures import read_pictures
from evaluation.runscores import drawn_steps
from training.base import catalog
from training.errors import BadInput
from training.maps import dataset, reading
from training.runs.run import Run

if TYPE_CHECKING:
    import numpy as np

WEIGHED = ("fingerprint", "preprocessing")  # what makes two segmentors one judge, wherever they lie
SEEN = ("sha256", "preprocessing")  # and two encoders


def usual_extractor(embedded: bool, data: Path) -> str | None:
    """The CLIP of the Frechet distances for a base model: the built-in one for the built-in model, whose world it
    knows, else the downloaded one, None where it is not here."""
    if embedded:
        return encoders.EMBEDDED
    return encoders.PAPER["clip"] if catalog.home(data, "clip").is_dir() else None


class MapScorer:
    """The judge of one run of maps, with its held-out pairs.

    Args:
        embedded: whether the run's base is the embedded model.
        segmentor: as in `evaluation.maps.segmentor.load`; None takes the one that scored the run before, or the spec's.
        clip: whose features the Frechet distances are of, as in `encoders.load`; None takes the one before, or
            `usual_extractor`.

    Raises:
        MissingModel, BadInput: a judge is not here or none; the run's held-out pairs are gone.
    """

    def __init__(
        self,
        run: Run,
        embedded: bool,
        data: Path,
        *,
        segmentor: str | None = None,
        clip: str | None = None,
        device: str = "cpu",
    ):
        self.run, self.spec = run, run.spec
        before = _readable(run)
        self.ref = segmentor or (before.segmentor.get("ref") if before else None) or self.spec.segmentor
        clip = clip or (before.extractor or {}).get("ref") if before else clip
        clip = clip or usual_extractor(embedded, data)
        self.extractor = encoders.load("clip", clip, data, device) if clip else None
        self.segmentor = segmentors.load(self.ref, data, device)
        self.held = dataset.read(run.path, dataset.HELD_OUT)[: self.spec.held_out]
        self.truth = [reading.labels_of(example.map) for example in self.held]

    def update(self) -> MapBook:
        """Score every drawn save that is not scored yet (step 0 first), and write scores.json."""
        book = self._book()
        for step in drawn_steps(self.run):
            if step > 0 and step not in book.saves:
                book = book.with_save(step, self._drawn(step))
        book = self._with_frechet(book)
        self.run.write_scores(book.to_dict())
        return book

    def _book(self) -> MapBook:
        """The run's book, or a new one where there is none, it cannot be read, or another judge made it."""
        judge = {**self.segmentor.describe(), "ref": self.ref}
        book = _readable(self.run)
        if book is not None and all(book.segmentor.get(key) == judge[key] for key in WEIGHED):
            return book
        real = read_pictures([example.picture for example in self.held])
        return MapBook(
            segmentor=judge,
            real=self._compared(real, seeds=1),
            base=self._drawn(0),
            protocol=self.spec.protocol,
            seeds=self.spec.sample.seeds,
        )

    def _with_frechet(self, book: MapBook) -> MapBook:
        """The book with the distance of every drawn step, those of another encoder measured again."""
        extractor = self.extractor and self.extractor.describe()
        name = extractor and extractor["name"]
        book = replace(book, note=books.note(self.segmentor.name, len(self.held), name, self.spec.control_kind))
        if extractor is None:
            return replace(book, extractor=None, frechet={})
        same = book.extractor is not None and all(book.extractor.get(key) == extractor[key] for key in SEEN)
        far = dict(book.frechet) if same else {}
        if missing := [step for step in (0, *book.saves) if step not in far]:
            real = self._seen([example.picture for example in self.held])
            found = {step: frechet.of(self._seen(self.run.samples(step)), real) for step in missing}
            far |= {step: one for step, one in found.items() if one}
        return replace(book, extractor=extractor, frechet=far)

    def _seen(self, paths: list[Path]) -> np.ndarray:
        """The encoder's vectors of pictures, (n, d)."""
        return self.extractor.embed_images(read_pictures(paths)).numpy()

    def _drawn(self, step: int) -> Areas:
        return self._compared(read_pictures(self.run.samples(step)), len(self.spec.sample.seeds))

    def _compared(self, images: list, seeds: int) -> Areas:
        """Pictures of each map, seed by seed, segmented and compared with it."""
        if len(images) != seeds * len(self.held):
            raise BadInput(
                f"Run {self.run.id} has {len(images)} pictures where {seeds * len(self.held)} were drawn.",
                "Put them back from a copy of the folder, or make a new run.",
                "samples",
            )
        agreement = Agreement()
        for i, labels in enumerate(self.segmentor.segment(images)):
            number, seed = divmod(i, seeds)
            agreement.add(f"{number:04d}", labels, self.truth[number], seed)
        return agreement


def _readable(run: Run) -> MapBook | None:
    """The run's scores; damaged ones are made again from the pictures, and count as none."""
    try:
        return scorebook.read(run)
    except BadInput:
        return None
