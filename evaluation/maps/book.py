"""The scores of a run of maps as they are kept in its scores.json: base, real pictures, every save, recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from evaluation.frechet import FEW_PICTURES, Frechet
from evaluation.maps import advice
from evaluation.maps.agreement import FEW_MAPS, Areas, Count
from evaluation.recommend import Recommendation
from training.errors import BadInput
from training.jsonfile import Count as Number
from training.jsonfile import Figure
from training.maps import SEGMENTATION
from training.runs.run import SCORE_AGAIN
from training.runs.scorefile import VERSIONS, Step

TASK = "maps"
VERSION = VERSIONS[TASK]
NO_FRECHET = "No Fréchet distance was measured: name a CLIP with --clip, or download one (`delora models get clip`)."


@dataclass(frozen=True)
class MapBook:
    """Everything scored so far in one run.

    Attributes:
        segmentor: the judge, as `Segmentor.describe` tells it, with its `ref`. Figures of two judges do not compare.
        real: of the held-out pictures themselves, the ceiling. base: without the adapter (step 0).
        protocol: what brought the maps in; figures of two protocols do not compare.
        saves: step -> what was counted of its pictures.
        extractor: whose features the Frechet distances are of, as `Encoder.describe` tells it; None for no distances.
        frechet: step -> distance of its pictures from the held-out ones; 0 is the base.
    """

    segmentor: dict[str, str]
    real: Areas
    base: Areas
    protocol: str
    seeds: tuple[int, ...]
    saves: dict[int, Areas] = field(default_factory=dict)
    note: str = ""
    extractor: dict[str, str] | None = None
    frechet: dict[int, Frechet] = field(default_factory=dict)

    def with_save(self, step: int, areas: Areas) -> MapBook:
        """The book with one more save in it."""
        return replace(self, saves=dict(sorted({**self.saves, step: areas}.items())))

    @property
    def figure(self) -> str:
        """Which mIoU is judged by: "miou_present" with few maps, "miou" else."""
        return self.base.scores().headline

    def recommend(self, name: str = "", first_save: int = 0) -> Recommendation:
        """The rule of `evaluation.maps.advice` on this book."""
        return advice.recommend(self.saves, self.base, first_save)

    def to_dict(self, name: str = "") -> dict[str, Any]:
        """The document of scores.json: figures from 0 to 1 with 95 % intervals, and the recommendation in words."""
        maps = len({count.map for count in self.base.counts()})
        return {
            "version": VERSION,
            "task": TASK,
            "segmentor": self.segmentor,
            "extractor": self.extractor,
            "protocol": self.protocol,
            "maps": maps,
            "seeds": list(self.seeds),
            "figure": self.figure,
            "note": self.note,
            "real": self._told(self.real),
            "base": self._told(self.base, 0),
            "saves": {
                str(step): {**self._told(areas, step), "gain": list(areas.gain(self.base, self.figure))}
                for step, areas in self.saves.items()
            },
            "recommendation": self.recommend().to_dict(),
        }

    def _told(self, areas: Areas, step: int | None = None) -> dict[str, Any]:
        scores = areas.scores()
        far = {"frechet": self.frechet[step].to_dict()} if step in self.frechet else {}
        return {
            **scores.to_dict(),
            **far,
            "headline": getattr(scores, self.figure),
            "interval": list(areas.interval(self.figure)),
            "counts": [[count.map, count.seed, count.classes] for count in areas.counts()],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> MapBook:
        """The book in a scores.json of this version. Raises BadInput where it is damaged."""
        try:
            found = _Document.model_validate(document)
            told = {0: found.base} | {int(step): save for step, save in found.saves.items()}
            book = cls(
                segmentor=found.segmentor,
                real=found.real.areas(),
                base=found.base.areas(),
                protocol=found.protocol,
                seeds=tuple(found.seeds),
                saves={step: save.areas() for step, save in sorted((int(s), save) for s, save in found.saves.items())},
                note=found.note,
                extractor=found.extractor,
                frechet={step: Frechet(**one.frechet.model_dump()) for step, one in told.items() if one.frechet},
            )
            for areas in (book.real, book.base, *book.saves.values()):
                areas.scores()
            for areas in book.saves.values():
                areas.gain(book.base)
        except (ValueError, IndexError, BadInput) as error:
            raise BadInput("scores.json is damaged: what it says cannot be.", SCORE_AGAIN) from error
        return book


class _Frechet(BaseModel):
    value: Figure
    pictures: Number
    real: Number


class _Told(BaseModel):
    """One set of pictures: all else is counted again from this."""

    counts: list[tuple[str, int, dict[int, tuple[int, int, int]]]]
    frechet: _Frechet | None = None

    def areas(self) -> Areas:
        return Areas.of([Count(*count) for count in self.counts])


class _Document(BaseModel):
    """What a book is made of; what is not named here is let through."""

    model_config = ConfigDict(extra="ignore")

    segmentor: dict[str, str]
    protocol: str
    seeds: list[int]
    note: str
    real: _Told
    base: _Told
    saves: dict[Step, _Told]
    extractor: dict[str, str] | None = None


def note(segmentor: str, maps: int, extractor: str | None = None, kind: str = SEGMENTATION) -> str:
    """What a reader must know about these figures.

    extractor: the encoder of the Frechet distances, None for none. kind: what the pictures follow.
    """
    words = f"Judged by the segmentor {segmentor}: figures of another one, or of the other protocol, do not compare."
    if maps < FEW_MAPS:
        words += f" With {maps} maps (fewer than {FEW_MAPS}) mIoU is the mean over the classes present."
    if kind != SEGMENTATION:
        words += f" Pictures follow {kind}, not maps: mIoU says whether classes are where the real pictures have them."
    if extractor is None:
        return f"{words} {NO_FRECHET}"
    return (
        f"{words} Fréchet distances are in the features of CLIP ({extractor}), not of Inception as papers' FID; "
        f"with fewer than {FEW_PICTURES:,} pictures they are indicative."
    )
