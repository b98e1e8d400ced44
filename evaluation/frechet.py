"""The Frechet distance of two sets of pictures in an encoder's features, and how much it can be trusted.

torchmetrics' `FrechetInceptionDistance` with that encoder as its extractor gives the same number; torchmetrics cannot
be imported beside a torchvision that cannot (`training.base.guard`), and this can. Papers' FID is of Inception's
features: figures of two encoders do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

FEW_PICTURES = 2000  # below it the distance is too long by more than what tells two good models apart


class Frechet(NamedTuple):
    """A distance. pictures, real: how many were drawn, and how many real ones they were compared with."""

    value: float
    pictures: int
    real: int

    @property
    def indicative(self) -> bool:
        """Whether there are too few pictures to compare it with other sets' distances."""
        return min(self.pictures, self.real) < FEW_PICTURES

    @property
    def words(self) -> str:
        """The figure with its count, e.g. `0.027 (64 pictures, indicative)`."""
        return f"{self.value:.3g} ({self.pictures} pictures{', indicative' if self.indicative else ''})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**self._asdict(), "indicative": self.indicative}


def told(scores: Mapping[str, Any]) -> str:
    """The distance in the scores of a save, as scores.json has them, in words; "" where none was measured."""
    found = scores.get("frechet")
    return Frechet(*(found[name] for name in Frechet._fields)).words if found else ""


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of features (n, d) and (m, d) taken as Gaussians (Heusel et al. 2017).

    |mean_a - mean_b|^2 + tr(A) + tr(B) - 2 tr((A B)^1/2) of the covariances A = P'P and B = Q'Q, where the last trace
    is the sum of the singular values of P Q': no root of a matrix that has none where n < d.

    Raises ValueError for a set of fewer than two.
    """
    import numpy as np

    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Frechet distance needs two pictures of each kind, not {len(a)} and {len(b)}")
    apart = np.square(a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)).sum()
    p, q = _factor(a), _factor(b)
    shared = np.linalg.svd(p @ q.T, compute_uv=False).sum()
    return float(apart + np.square(p).sum() + np.square(q).sum() - 2 * shared)


def of(drawn: np.ndarray, real: np.ndarray) -> Frechet | None:
    """The distance of drawn pictures' features from real ones', None where there are too few for any."""
    if min(len(drawn), len(real)) < 2:
        return None
    return Frechet(distance(drawn, real), len(drawn), len(real))


def _factor(x: np.ndarray) -> np.ndarray:
    """P with P'P the covariance of features (n, d): (min(n, d), d)."""
    import numpy as np

    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    return np.linalg.qr(centred, mode="r") / np.sqrt(len(x) - 1)
