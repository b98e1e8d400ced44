"""Does a scorer see what it should? Zero-shot accuracy for CLIP, same-subject AUC for DINO: the gates of the scorers.

The functions take `embed_images` (n pictures (h, w, 3) uint8 -> (n, d) unit rows) and `embed_texts` (n strings -> (n,
d) unit rows), all numpy, so that a model in training and one opened from its folder are judged by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

VIEWS = 6  # pictures of each subject in the AUC


def zero_shot(embed_images: Callable, embed_texts: Callable, pictures: Sequence) -> dict[str, float]:
    """Top-1 accuracies on `world.Picture`s: the object over all classes; the place and the colour given the object.

    A colour counts where one was painted. Prompts are "a photo of a <class>", the same with the place's first phrase,
    and "a photo of a <colour> <class>", with "a drawing of" for drawings.
    """
    from training.pretrain.toyworld import world

    images = np.asarray(embed_images([p.image for p in pictures]))

    def hit(picture, row: np.ndarray, things: list[str], truth: int) -> bool:
        kind = "drawing" if picture.style == "drawing" else "photo"
        texts = [world.article(f"a {kind} of a {thing}") for thing in things]
        new = [text for text in texts if text not in known]
        if new:
            known.update(zip(new, np.asarray(embed_texts(new)), strict=True))
        return int(np.argmax([row @ known[text] for text in texts])) == truth

    known: dict[str, np.ndarray] = {}
    names = [place.name for place in world.PLACES]
    hits: dict[str, list[bool]] = {"object": [], "place": [], "colour": []}
    for picture, row in zip(pictures, images, strict=True):
        word = picture.class_word
        hits["object"].append(hit(picture, row, list(world.CLASSES), world.CLASSES.index(word)))
        placed = [f"{word} {place.phrases[0]}" for place in world.PLACES]
        hits["place"].append(hit(picture, row, placed, names.index(picture.place)))
        if picture.colour:
            coloured = [f"{colour} {word}" for colour in world.COLOURS]
            hits["colour"].append(hit(picture, row, coloured, world.COLOURS.index(picture.colour)))
    return {name: round(float(np.mean(values)), 4) for name, values in hits.items() if values}


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a random positive scores above a random negative, ties half (Mann-Whitney)."""
    ranks = np.sort(negative)
    below, upto = (np.searchsorted(ranks, positive, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(negative))


@dataclass(frozen=True)
class Views:
    """Pictures (n, h, w, 3) uint8 of one subject, each in its own place; `hue` names the range its colour is in."""

    class_word: str
    glyph: str
    hue: str
    images: list[np.ndarray]
    places: list[str]


def held_out_views(seed: int, views: int = VIEWS) -> list[Views]:
    """The held-out subjects and the other instances of their classes, each as it is and in hues that its class shares.

    Instances of a class that can be recoloured are painted in the same three colours; as they are, two instances
    count as "the same range of hue" where their dominant hues lie in the same twelfth of the circle (`hue_range`).
    """
    from training.pretrain.toyworld import world
    from training.pretrain.toyworld.sprites import COLOURS, classes, recoloured, sprite

    rng = np.random.default_rng([world.VALIDATION_SEED, seed])
    out = []
    for word in sorted({word for word, _ in world.SUBJECTS.values()}):
        glyphs = classes()[word]["glyphs"]
        shared = rng.permutation(COLOURS)[:3] if classes()[word].get("hues") else []
        for glyph in glyphs:
            cutouts = {"own": sprite(glyph), **{str(hue): recoloured(glyph, "3d", str(hue)) for hue in shared}}
            for hue, cutout in cutouts.items():
                if cutout is None:
                    continue
                places = rng.permutation(len(world.PLACES))[:views]
                images = [
                    world.compose(cutout, world.PLACES[i], rng, scale=(0.4, 0.85), first_seed=world.VALIDATION_SEED)[0]
                    for i in places
                ]
                name = hue_range(cutout) if hue == "own" else hue
                out.append(Views(word, glyph, name, images, [world.PLACES[i].name for i in places]))
    return out


def hue_range(cutout) -> str:
    """The twelfth of the hue circle (centred on red) with most of a sprite's coloured pixels, or "grey"."""
    hsv = np.asarray(cutout.convert("RGB").convert("HSV"), np.float32) / 255
    coloured = hsv[(np.asarray(cutout.getchannel("A")) > 128) & (hsv[..., 1] > 0.35)]
    if len(coloured) < 200:
        return "grey"
    return f"hue {int(np.bincount((coloured[:, 0] * 12 + 0.5).astype(int) % 12, minlength=12).argmax())}"


def subject_auc(embed_images: Callable, subjects: Sequence[Views]) -> dict[str, float]:
    """The gate of DINO: cosines of same-subject pairs against pairs of two instances of one class in one range of hue.

    Both kinds of pair are always in different places, and have a held-out glyph on at least one side.

    Returns:
        `auc`, the mean cosines `same` and `other`, and the number of pairs of each kind.
    """
    from training.pretrain.toyworld.world import HELD_OUT

    rows = np.asarray(embed_images([image for s in subjects for image in s.images]))
    owner = np.repeat(np.arange(len(subjects)), [len(s.images) for s in subjects])
    places = np.array([place for s in subjects for place in s.places])
    classes, hues, glyphs = (np.array([getattr(subjects[i], k) for i in owner]) for k in ("class_word", "hue", "glyph"))
    held = np.isin(glyphs, list(HELD_OUT))
    pair = np.triu(places[:, None] != places[None], 1) & (held[:, None] | held[None])
    same = pair & (owner[:, None] == owner[None])
    alike = (classes[:, None] == classes[None]) & (hues[:, None] == hues[None])
    other = pair & alike & (glyphs[:, None] != glyphs[None])
    cosines = rows @ rows.T
    positive, negative = cosines[same], cosines[other]
    return {
        "auc": round(auc(positive, negative), 4),
        "same": round(float(positive.mean()), 3),
        "other": round(float(negative.mean()), 3),
        "pairs": [int(same.sum()), int(other.sum())],
    }


def segmentation(predicted: np.ndarray, truth: np.ndarray, classes: int = 150) -> dict[str, float]:
    """mIoU over the classes present in `truth`, and the share of pixels that are right; labels of any shape.

    One confusion matrix over everything; pixels whose truth is not below `classes` count nothing.
    """
    counted = truth < classes
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    matrix = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)  # rows: truth
    right, present = matrix.diagonal(), matrix.sum(1) > 0
    union = matrix.sum(0) + matrix.sum(1) - right
    iou = right[present] / union[present]
    return {"miou": round(float(iou.mean()), 4), "pixels": round(float(right.sum() / matrix.sum()), 4)}
