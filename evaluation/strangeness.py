"""Do the judges know pictures of this kind at all? Asked of a subject's pictures before its scores mean anything.

The paper's judges learned from photographs of everything. The built-in ones learned from the toy world's renders alone,
and give a photograph a figure as readily as a render. What tells the two apart is how far a picture lies from a sample
of that world: the Mahalanobis distance of DINO's mean patch token after two thirds of its blocks. Measured (root mean
square a dimension, the mean over a subject's five pictures): the 18 held-out subjects' renders, and eight of them made
to look like photographs, at most 0.97; ten subjects of real photographs at least 1.12.

    python -m evaluation.strangeness    # after the built-in DINO was trained again: measures that sample anew
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import assets
from evaluation.encoders import EMBEDDED, Encoder

if TYPE_CHECKING:
    from torch import Tensor

STRANGE = 1.04  # halfway between the strangest subject of the toy world and the least strange photographs
SAMPLE = 400  # renders of the world
SHRINK = 0.1  # of the covariance towards its diagonal's mean
TWO_THIRDS, PATCHES = 1, 1  # where in `Seen.layers`
FILE = ("embedded", "scorers", "dino", "world.safetensors")


def strangeness(dino: Encoder, layers: Tensor) -> float | None:
    """How far n pictures lie from what DINO has learnt: their `Seen.layers`; about 1 is the edge of its world.

    Returns:
        None for a judge whose world has no such edge: any but the built-in one.
    """
    if dino.ref != EMBEDDED:
        return None
    mean, precision = _world(dino)
    away = layers[:, TWO_THIRDS, PATCHES].double() - mean  # (n, w)
    squares = ((away @ precision) * away).mean(dim=1)  # (n,)
    return float(squares.sqrt().mean())


@functools.lru_cache(maxsize=1)
def _world(dino: Encoder) -> tuple[Tensor, Tensor]:
    """Mean (w,) and precision (w, w) as kept beside the judge; measured where another judge's are kept or none."""
    from safetensors import safe_open

    file = assets.path(*FILE)
    if file.is_file():
        with safe_open(file, "pt") as kept:
            if kept.metadata().get("dino") == dino.fingerprint:
                return kept.get_tensor("mean").double(), kept.get_tensor("precision").double()
    return measure(dino)


def measure(dino: Encoder) -> tuple[Tensor, Tensor]:
    """Mean (w,) and precision (w, w) of a sample of renders that no training saw, some seconds' work."""
    import torch
    from PIL import Image

    from training.pretrain.toyworld.world import VALIDATION_SEED, World

    renders = [Image.fromarray(picture.image) for picture in World().batch(VALIDATION_SEED + 5, SAMPLE)]
    x = dino.see(renders).layers[:, TWO_THIRDS, PATCHES].double()
    covariance = torch.cov(x.T)
    level = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    return x.mean(dim=0), torch.linalg.inv((1 - SHRINK) * covariance + SHRINK * level)


def keep() -> None:
    """Measure the built-in DINO's world and write it beside the judge."""
    from safetensors.torch import save_file

    from evaluation import encoders

    dino = encoders.load("dino")
    mean, precision = (tensor.float().contiguous() for tensor in measure(dino))
    save_file({"mean": mean, "precision": precision}, assets.path(*FILE), {"dino": dino.fingerprint})


if __name__ == "__main__":
    keep()
