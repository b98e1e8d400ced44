"""mIoU and pixel accuracy of predicted labels, as the field counts them: one confusion matrix over all maps.

A class's IoU is the pixels that both have over the pixels that either has, summed up over all maps. mIoU is the mean
over the classes that either has anywhere (mmseg's rule, and torchmetrics' `MulticlassJaccardIndex` with
ignore_index=255). With few maps most of the 150 classes are in none, and one pixel of a class that is nowhere in the
truth counts as a whole class at 0; so `miou_present`, the mean over the classes that the truth has, stands beside it.
Pixels that are 255 in the truth take no part; 255 in a prediction is a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.errors import BadInput
from training.maps import IGNORED
from training.maps.classes import NAMES

CLASSES = len(NAMES)
FEW_MAPS = 500  # below it a table shows miou_present, and says so
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles


def confusion(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels by true class (rows) and predicted class, (150, 151); the last column is predictions of no class.

    Raises ValueError for labels of unlike shapes.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted labels have shape {predicted.shape}, true ones {truth.shape}")
    known = truth != IGNORED
    rows = truth[known].astype(np.int64)
    columns = np.minimum(predicted[known].astype(np.int64), CLASSES)
    flat = np.bincount(rows * (CLASSES + 1) + columns, minlength=CLASSES * (CLASSES + 1))
    return flat.reshape(CLASSES, CLASSES + 1)


class Count(NamedTuple):
    """One map's pixels. classes: class -> how many are right, are predicted, and are true."""

    map: str
    seed: int
    classes: dict[int, tuple[int, int, int]]


@dataclass(frozen=True)
class ClassScore:
    """One class: its IoU, and the pixels that the truth has of it."""

    index: int
    name: str
    iou: float
    pixels: int


@dataclass(frozen=True)
class Scores:
    """How well predictions agree with the truth.

    miou: over the classes that the truth or a prediction has. miou_present: over those that the truth has.
    pixel_accuracy: right pixels of all labelled ones. maps: how many were compared. classes: those of `miou`.
    """

    miou: float
    miou_present: float
    pixel_accuracy: float
    maps: int
    classes: tuple[ClassScore, ...]

    @property
    def headline(self) -> str:
        """Which figure to show first: "miou_present" with few maps, "miou" else."""
        return "miou_present" if self.maps < FEW_MAPS else "miou"

    def to_dict(self) -> dict:
        """Plain numbers and lists, ready for JSON."""
        classes = [{"index": c.index, "name": c.name, "iou": c.iou} for c in self.classes]
        figures = ("miou", "miou_present", "pixel_accuracy", "maps")
        return {**{name: getattr(self, name) for name in figures}, "classes": classes}


class Areas:
    """The pixels of each class in many maps, as much of their comparison as scores are made of."""

    def __init__(self):
        self._areas: dict[tuple[str, int], np.ndarray] = {}  # (map, seed) -> (3, 150)

    def counts(self) -> list[Count]:
        """Every map with its pixels of each class that it or its prediction has, as plain numbers."""
        found = []
        for (name, seed), areas in self._areas.items():
            classes = np.flatnonzero(areas.any(0)).tolist()
            found.append(Count(name, seed, {i: tuple(areas[:, i].tolist()) for i in classes}))
        return found

    @classmethod
    def of(cls, counts: Sequence[Count]) -> Areas:
        """The reverse of `counts`. Raises ValueError for a map that comes twice."""
        made = cls()
        for name, seed, classes in counts:
            if (name, seed) in made._areas:
                raise ValueError(f"map {name}, seed {seed}, comes twice")
            made._areas[name, seed] = areas = np.zeros((3, CLASSES), dtype=np.int64)
            for i, pixels in classes.items():
                areas[:, i] = pixels
        return made

    def scores(self) -> Scores:
        """The scores of all maps together. Raises BadInput where no pixel of them is labelled."""
        both, guessed, true = sum(self._areas.values(), np.zeros((3, CLASSES), dtype=np.int64))
        if not true.any():
            raise BadInput("There is nothing to compare: no pixel of the true maps has a class.", "Give other maps.")
        union = guessed + true - both
        iou = both / np.maximum(union, 1)
        classes = [ClassScore(i, NAMES[i], float(iou[i]), int(true[i])) for i in np.flatnonzero(union).tolist()]
        accuracy = both.sum() / true.sum()
        return Scores(
            float(iou[union > 0].mean()), float(iou[true > 0].mean()), float(accuracy), len(self._areas), tuple(classes)
        )

    def interval(self, figure: str = "miou_present", seed: int = 0) -> tuple[float, float]:
        """95 % bootstrap interval of a figure ("miou", "miou_present" or "pixel_accuracy") over maps.

        All pictures of a map are drawn together: two seeds of one map are not two maps.
        """
        areas = self._by_map()
        drawn = _FIGURES[figure](_resampled(areas, _draws(len(areas), seed)))
        return tuple(np.percentile(drawn, INTERVAL).tolist())

    def gain(self, other: Areas, figure: str = "miou_present", seed: int = 0) -> tuple[float, float, float]:
        """By how much a figure is above `other`'s, and the 95 % bootstrap interval of that, on the same maps.

        Raises ValueError where the two were not made of the same maps and seeds.
        """
        if self._areas.keys() != other._areas.keys():
            raise ValueError("the two were not made of the same maps and seeds")
        mine, theirs = self._by_map(), other._by_map(list(self._names()))
        draws = _draws(len(mine), seed)
        of = _FIGURES[figure]
        drawn = of(_resampled(mine, draws)) - of(_resampled(theirs, draws))
        low, high = np.percentile(drawn, INTERVAL).tolist()
        return float(of(mine.sum(0)[None])[0] - of(theirs.sum(0)[None])[0]), low, high

    def _names(self) -> dict[str, None]:
        return dict.fromkeys(name for name, _ in self._areas)

    def _by_map(self, names: list[str] | None = None) -> np.ndarray:
        """Areas of each map, its seeds summed up: (maps, 3, 150)."""
        summed = {name: np.zeros((3, CLASSES), dtype=np.int64) for name in names or self._names()}
        for (name, _), areas in self._areas.items():
            summed[name] += areas
        return np.stack(list(summed.values()))


class Agreement(Areas):
    """Counts of many maps, made one by one. matrix: their confusion together, (150, 151)."""

    def __init__(self):
        super().__init__()
        self.matrix = np.zeros((CLASSES, CLASSES + 1), dtype=np.int64)

    def add(self, name: str, predicted: np.ndarray, truth: np.ndarray, seed: int = 0) -> None:
        """Count one prediction of the map `name`. seed: which of several pictures of that map it was made of.

        Raises ValueError for labels of unlike shapes, or for one that was counted before.
        """
        if (name, seed) in self._areas:
            raise ValueError(f"map {name}, seed {seed}, was counted before")
        counts = confusion(predicted, truth)
        self.matrix += counts
        self._areas[name, seed] = np.stack([*_areas(counts)])


def _areas(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of each class that are right, that are predicted, and that are true, (150,) each."""
    return counts.diagonal(), counts[:, :CLASSES].sum(0), counts.sum(1)


def _draws(maps: int, seed: int) -> np.ndarray:
    """How often each map is in each resample, (RESAMPLES, maps)."""
    return np.random.default_rng(seed).multinomial(maps, np.full(maps, 1 / maps), size=RESAMPLES)


def _resampled(areas: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Areas (maps, 3, 150) summed up over each resample: (RESAMPLES, 3, 150)."""
    flat = areas.reshape(len(areas), -1).astype(np.float64)
    return (draws.astype(np.float64) @ flat).reshape(len(draws), *areas.shape[1:])


def _mean_iou(areas: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Mean IoU of areas (b, 3, 150) over the classes `among` (b, 150): (b,)."""
    both, guessed, true = areas.swapaxes(0, 1)
    iou = both / np.maximum(guessed + true - both, 1)
    return (iou * among).sum(1) / np.maximum(among.sum(1), 1)


_FIGURES = {
    "miou": lambda areas: _mean_iou(areas, areas[:, 1] + areas[:, 2] > 0),
    "miou_present": lambda areas: _mean_iou(areas, areas[:, 2] > 0),
    "pixel_accuracy": lambda areas: areas[:, 0].sum(1) / np.maximum(areas[:, 2].sum(1), 1),
}
