"""Pictures spoiled on purpose, by kind and degree: what the judge of clean pictures learns from, and is tried with.

A kind is a function `(picture (h, w, 3) uint8, degree in 0..1, generator) -> picture (h, w, 3) float`. Degree 0 leaves
the picture as it is; degree 1 is the worst: 60 % noise, a blur of a sixteenth of the side, every tile moved, one even
colour, colours four times as loud.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

NOISE, BLUR, LOUDER = 0.6, 1 / 16, 3.0
TILES = 8  # a side


def noise(picture: np.ndarray, degree: float, rng: np.random.Generator) -> np.ndarray:
    """Mixed with pixels of random colours."""
    share = NOISE * degree
    return picture * (1 - share) + rng.integers(0, 256, picture.shape) * share


def blur(picture: np.ndarray, degree: float, rng: np.random.Generator) -> np.ndarray:
    """Blurred by a Gaussian whose deviation is `BLUR * degree` of the longer side."""
    radius = BLUR * degree * max(picture.shape[:2])
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)), np.float32)


def tiles(picture: np.ndarray, degree: float, rng: np.random.Generator, side: int = TILES) -> np.ndarray:
    """Cut into `side` x `side` tiles, of which the share `degree` changes places."""
    height, width = (length // side * side for length in picture.shape[:2])
    out = picture.copy()
    cut = picture[:height, :width].reshape(side, height // side, side, width // side, 3).swapaxes(1, 2)
    cut = cut.reshape(side * side, height // side, width // side, 3).copy()  # e.g. (64, 16, 16, 3)
    moved = rng.permutation(side * side)[: round(degree * side * side)]
    cut[np.roll(moved, 1)] = cut[moved]
    cut = cut.reshape(side, side, height // side, width // side, 3).swapaxes(1, 2)
    out[:height, :width] = cut.reshape(height, width, 3)
    return out


def flat(picture: np.ndarray, degree: float, rng: np.random.Generator) -> np.ndarray:
    """Faded into one even colour, a random one."""
    return picture * (1 - degree) + rng.integers(0, 256, 3) * degree


def loud(picture: np.ndarray, degree: float, rng: np.random.Generator) -> np.ndarray:
    """Colours and contrast pushed beyond what they were, as by a training that has overshot."""
    grey = picture.mean(axis=2, keepdims=True)
    coloured = grey + (picture - grey) * (1 + LOUDER * degree)
    return 128 + (coloured - 128) * (1 + 2 * degree)


KINDS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "noise": noise,
    "blur": blur,
    "tiles": tiles,
    "flat": flat,
    "loud": loud,
}


def spoiled(image: Image.Image, kind: str, degree: float, rng: np.random.Generator) -> Image.Image:
    """An RGB picture spoiled by one kind of damage."""
    out = KINDS[kind](np.asarray(image.convert("RGB")), degree, rng)
    return Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))
