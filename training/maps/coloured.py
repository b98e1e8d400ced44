"""What a map's colours mean: ADE20K's palette, the full set's encoding, another data set's palette, or a photograph."""

from __future__ import annotations

import numpy as np

from training.maps import IGNORED, colours
from training.maps.classes import CLASSES
from training.maps.problem import Problem

PALETTE, FULL, GREY = "ADE20K palette", "full ADE20K encoding", "grey"
FULL_CLASSES = 3688  # of the 2021 edition, which goes on where that of 2016 ended
NEAR = 10  # of 255, in the worst channel: what JPEG and interpolation leave of a flat colour
MOST_LOOKED_AT = 20_000  # colours; a photograph has hundreds of thousands
ENOUGH = 0.5  # share of the pixels that a palette must explain


def read(rgb: np.ndarray, lossy: bool, take_nearest: bool) -> tuple[str, np.ndarray | None, list[Problem]]:
    """Way, labels (H, W) and problems of colours (H, W, 3). Pixels of unknown colours are ignored unless
    `take_nearest`. The way is GREY, without labels, for class numbers that were saved as grey colours."""
    keys, place, counts = np.unique(colours.codes(rgb), return_inverse=True, return_counts=True)
    shades = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=-1).astype(np.uint8)  # (k, 3)
    classes, weight = colours.classes_of(shades), counts / counts.sum()
    unknown = classes < 0
    if unknown.any():
        if (shades[:, 0] == shades[:, 1]).all() and (shades[:, 1] == shades[:, 2]).all():
            return GREY, None, []
        fault = _foreign(shades, weight, float(weight[~unknown].sum()), lossy)
        if fault:
            return fault
        if (full := _full(shades, weight)) is not None:
            return FULL, full[place].reshape(rgb.shape[:2]), []
        if _explained(shades, weight, colours.WITH_BLACK, NEAR) < ENOUGH:
            words = f"It is no map: it has {len(keys):,} colours, and most are none of ADE20K's."
            return "", None, [Problem("not a map", words, "Give a PNG of class numbers or of ADE20K's colours.")]
    problems = []
    if unknown.any() and take_nearest:
        place_of = colours.nearest(shades[unknown], colours.WITH_BLACK)[0]
        classes[unknown] = np.where(place_of == len(CLASSES), IGNORED, place_of)
    elif unknown.any():
        problems.append(_unknown(shades, weight, unknown))
    labels = np.where(classes < 0, IGNORED, classes).astype(np.uint8)
    return PALETTE, labels[place].reshape(rgb.shape[:2]), problems


def _unknown(shades: np.ndarray, weight: np.ndarray, unknown: np.ndarray) -> Problem:
    share, count = float(weight[unknown].sum()), int(unknown.sum())
    most = tuple(shades[unknown][weight[unknown].argmax()].tolist())
    told = f"{100 * share:.2g} %"
    words = f"{count:,} colour{'s' * (count > 1)} in {told} of its pixels {'are' if count > 1 else 'is'} no class's"
    words += f", most often {most}."
    return Problem("unknown colours", words, f"Taking the nearest class's colour would change {told} of its pixels.")


def _foreign(shades: np.ndarray, weight: np.ndarray, known: float, lossy: bool) -> tuple | None:
    """Whether another palette explains the colours better than ADE20K's, which explains the share `known`."""
    palettes = colours.OTHERS | {"swapped": colours.PALETTE[:, ::-1]}
    if lossy:
        known = _explained(shades, weight, colours.PALETTE, NEAR // 2)
    shares = {name: _explained(shades, weight, palette, NEAR // 2 * lossy) for name, palette in palettes.items()}
    best = max(shares.values())
    if best < ENOUGH or best <= known:
        return None
    names = [name for name, share in shares.items() if share == best]
    if names == ["swapped"]:
        words = "Its red and blue are swapped: read the other way round they are ADE20K's colours."
        return "ADE20K palette, red and blue swapped", None, [Problem("swapped", words, "Save it again as RGB.")]
    told = " or ".join(name for name in names if name != "swapped")
    words = f"Its colours are those of {told}, whose classes are others. Only ADE20K's 150 classes are read."
    return told, None, [Problem("foreign", words)]


def _explained(shades: np.ndarray, weight: np.ndarray, palette: np.ndarray, within: int) -> float:
    """The share of pixels that are in a palette's colours, or within so many steps of one."""
    order = np.argsort(-weight)[:MOST_LOOKED_AT]
    off = colours.nearest(shades[order], palette)[1]
    return float(weight[order][off <= within].sum())


def _full(shades: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """The label of each colour (k,) in the full set's encoding; None where that is not what they are.

    Red 110 and green 39 are 11 * 256 + 39 = 2855: tree. Blue is the instance.
    """
    red, green = shades[:, 0].astype(np.int32), shades[:, 1].astype(np.int32)
    numbers = red // 10 * 256 + green
    if (red % 10).any() or numbers.max() >= FULL_CLASSES:
        return None
    table = np.full(FULL_CLASSES, IGNORED, dtype=np.uint8)
    for scene in CLASSES:
        table[list(scene.full)] = scene.index
    labels = table[numbers]
    return labels if weight[labels != IGNORED].sum() > 0 else None
