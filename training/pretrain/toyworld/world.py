"""The toy world the embedded models learn: one object of a known class in one of twelve places, with caption and map.

A picture is a function of a random generator, so a world is a seed and not a folder of files. Three things are kept
out of all pretraining: the glyphs of the held-out subjects (in both styles), 5 % of the (class, place) pairs, and the
seeds of the validation set.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from training.pretrain.toyworld.places import CANVAS_PX, PLACES, Place, ade, paint
from training.pretrain.toyworld.sprites import COLOURS, can_be_recoloured, classes, extra_glyphs, recoloured, sprite

SIZE_PX = 128
CLASSES: tuple[str, ...] = tuple(classes())
RARE_TOKENS = ("sks", "zwx", "qxj", "ohwx", "vbk", "xjy", "pqz", "wfk")
VALIDATION_SEED = 10**9  # seeds from here on are never drawn in training

# Subjects to personalize on: name -> (class word, glyph). Their class keeps two or more other glyphs.
SUBJECTS: dict[str, tuple[str, str]] = {
    "poodle": ("dog", "1f429"),
    "rescue-dog": ("dog", "1f415-200d-1f9ba"),
    "black-cat": ("cat", "1f408-200d-2b1b"),
    "rat": ("mouse", "1f400"),
    "ox": ("cow", "1f402"),
    "parrot": ("bird", "1f99c"),
    "striped-fish": ("fish", "1f420"),
    "hibiscus": ("flower", "1f33a"),
    "bubble-tea": ("cup", "1f9cb"),
    "jeep": ("car", "1f699"),
    "trolleybus": ("bus", "1f68e"),
    "pickup": ("truck", "1f6fb"),
    "speedboat": ("boat", "1f6a4"),
    "straw-hat": ("hat", "1f452"),
    "boot": ("shoe", "1f97e"),
    "purse": ("bag", "1f45b"),
    "notebook": ("book", "1f4d4"),
    "basketball": ("ball", "1f3c0"),
}
HELD_OUT = frozenset(glyph for _, glyph in SUBJECTS.values())

COLOURED_SHARE = 0.55  # of pictures whose sprite can honestly be recoloured
DRAWING_SHARE = 0.15
PHRASINGS = ("a {}", "a {}", "a photo of a {}", "a photo of a {}", "a picture of a {}", "one {}", "{}")
DRAWING_PHRASINGS = ("a drawing of a {}", "a flat drawing of a {}", "a cartoon of a {}")


@dataclass(frozen=True)
class Picture:
    """One picture of the world. `image` (H, W, 3) uint8, `mask` (H, W) uint8 alpha of the object, `seg` (H, W) ADE20K
    ids.
    """

    image: np.ndarray
    mask: np.ndarray
    seg: np.ndarray
    class_word: str
    colour: str | None
    place: str
    style: str
    glyph: str
    caption: str


def pair_is_held_out(class_word: str, place: str) -> bool:
    """Whether this (class, place) pair is among the 5 % that no training ever sees, by a hash of the two words."""
    return int(hashlib.sha256(f"{class_word}/{place}".encode()).hexdigest(), 16) % 20 == 0


def glyphs_of(class_word: str) -> list[str]:
    """The glyphs of a class that may be trained on: not the held-out ones."""
    return [glyph for glyph in classes()[class_word]["glyphs"] if glyph not in HELD_OUT]


def article(text: str) -> str:
    """Turns "a apple" into "an apple" at the start of each noun phrase of a caption."""
    words = text.split()
    return " ".join("an" if w == "a" and n[0] in "aeiou" else w for w, n in zip(words, [*words[1:], "."], strict=True))


def caption(class_word: str, colour: str | None, place: Place | None, style: str, rng: np.random.Generator) -> str:
    """One of several phrasings; the colour is named only where it was painted, the place left out one time in ten."""
    thing = f"{colour} {class_word}" if colour else class_word
    phrasings = DRAWING_PHRASINGS if style == "drawing" else PHRASINGS
    text = phrasings[rng.integers(len(phrasings))].format(thing)
    if place is not None and rng.random() < 0.9:
        text += " " + place.phrases[int(rng.random() < 0.35)]
    return article(text)


def caption_words() -> tuple[str, ...]:
    """Every word a caption can contain, sorted."""
    texts = [*CLASSES, *COLOURS, *PHRASINGS, *DRAWING_PHRASINGS, "an"] + [p for place in PLACES for p in place.phrases]
    return tuple(sorted({w for t in texts for w in t.replace("{}", " ").split()}))


CAPTION_WORDS = caption_words()


@functools.cache
def _backgrounds(place: Place, count: int, first_seed: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = [paint(place, first_seed + i) for i in range(count)]
    return np.stack([d[0] for d in drawn]), np.stack([d[1] for d in drawn])


def background(place: Place, rng: np.random.Generator, count: int = 48, first_seed: int = 0):
    """A random crop, flip and light of one of the place's canvases: (SIZE, SIZE, 3) float32 and its map."""
    images, segs = _backgrounds(place, count, first_seed)
    i = rng.integers(count)
    x, y = rng.integers(0, CANVAS_PX - SIZE_PX + 1), rng.integers(0, (CANVAS_PX - SIZE_PX) // 2 + 1)
    image, seg = images[i, y : y + SIZE_PX, x : x + SIZE_PX], segs[i, y : y + SIZE_PX, x : x + SIZE_PX]
    if rng.random() < 0.5:
        image, seg = image[:, ::-1], seg[:, ::-1]
    return image * np.float32(rng.uniform(0.88, 1.1)), seg


def paste(
    image: np.ndarray,
    cutout: Image.Image,
    place: Place,
    rng: np.random.Generator,
    side: float,
    at=(0.1, 0.9),
    flip=True,
) -> tuple[np.ndarray, np.ndarray]:
    """Puts a sprite with a longer side of `side` pixels into a picture (SIZE, SIZE, 3) float32; returns it and alpha.

    `at` bounds where it lies from left (0) to right (1), of the room that its width leaves.
    """
    if flip and rng.random() < 0.5:
        cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    factor = side / max(cutout.size)
    cutout = cutout.resize([max(1, round(s * factor)) for s in cutout.size], Image.Resampling.BILINEAR)
    cutout = cutout.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, expand=True)
    width, height = cutout.size
    x = round((SIZE_PX - width) * rng.uniform(*at))
    y = round((SIZE_PX - height) * rng.uniform(0.35, 1.0))
    mask = Image.new("L", (SIZE_PX, SIZE_PX))
    mask.paste(cutout.getchannel("A"), (x, y))
    if place.name not in ("space", "underwater"):  # a soft shadow below, thrown to one side
        shadow = Image.new("L", (SIZE_PX, SIZE_PX))
        flat = cutout.getchannel("A").resize((width, max(2, height // 5)))
        shadow.paste(flat, (x + round(rng.uniform(-6, 6)), min(y + height - height // 8, SIZE_PX - 4)))
        dark = np.asarray(shadow.filter(ImageFilter.BoxBlur(3)), np.float32)[..., None] / 255
        image = image * (1 - 0.45 * dark)
    light = np.float32(place.light) * np.float32(rng.uniform(0.88, 1.1))
    layer = Image.new("RGB", (SIZE_PX, SIZE_PX))
    layer.paste(ImageEnhance.Contrast(cutout.convert("RGB")).enhance(rng.uniform(0.92, 1.08)), (x, y))
    alpha = np.asarray(mask, np.float32)[..., None] / 255
    return image * (1 - alpha) + np.asarray(layer, np.float32) * light * alpha, np.asarray(mask)


def compose(
    cutout: Image.Image, place: Place, rng: np.random.Generator, *, scale=(0.6, 0.85), flip=True, **backdrop
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Puts a sprite into a place: image (SIZE, SIZE, 3) uint8, alpha of the object, and the place's map."""
    image, seg = background(place, rng, **backdrop)
    image, mask = paste(image, cutout, place, rng, SIZE_PX * rng.uniform(*scale), flip=flip)
    return np.clip(image, 0, 255).astype(np.uint8), mask, seg


def dressed(word: str, rng: np.random.Generator) -> tuple[Image.Image, str, str | None, str]:
    """Some object of a class: its sprite, glyph, colour (None where it keeps its own) and style."""
    glyphs = glyphs_of(word)
    glyph = glyphs[rng.integers(len(glyphs))]
    style = "drawing" if rng.random() < DRAWING_SHARE else "3d"
    if sprite(glyph, style) is None:
        style = "3d"
    if classes()[word].get("hues") and rng.random() < COLOURED_SHARE and can_be_recoloured(glyph, style):
        colour = COLOURS[rng.integers(len(COLOURS))]
        return recoloured(glyph, style, colour), glyph, colour, style
    return sprite(glyph, style), glyph, None, style


class World:
    """Draws pictures. `pairs` is "training" (without the held-out pairs) or "held-out" (only them)."""

    def __init__(self, pairs: str = "training"):
        self.choices = [(c, p) for c in CLASSES for p in PLACES if pair_is_held_out(c, p.name) == (pairs == "held-out")]

    def draw(self, rng: np.random.Generator) -> Picture:
        """One picture."""
        word, place = self.choices[rng.integers(len(self.choices))]
        cutout, glyph, colour, style = dressed(word, rng)
        image, mask, seg = compose(cutout, place, rng)
        seg = np.where(mask > 127, ade(classes()[word]["ade"]), seg).astype(np.uint8)
        text = caption(word, colour, place, style, rng)
        return Picture(image, mask, seg, word, colour, place.name, style, glyph, text)

    def batch(self, seed: int, n: int) -> list[Picture]:
        """`n` pictures of a seed; the same for the same seed."""
        rng = np.random.default_rng(seed)
        return [self.draw(rng) for _ in range(n)]


def sprite_views(rng: np.random.Generator, cutout: Image.Image, n: int, word: str = "") -> list[np.ndarray]:
    """`n` pictures (SIZE, SIZE, 3) of one sprite in different places, scales, flips and lights."""
    places = rng.permutation(len(PLACES))[:n] if n <= len(PLACES) else rng.integers(len(PLACES), size=n)
    return [compose(cutout, PLACES[i], rng, scale=(0.4, 0.85))[0] for i in places]


@functools.cache
def instance_pool() -> tuple[tuple[str, str], ...]:
    """(glyph, style) of everything a scorer may learn instances from: classes and extra objects, never a held-out
    glyph.
    """
    pool = [(g, s) for entry in classes().values() for g in entry["glyphs"] for s in ("3d", "drawing")]
    pool += [(g, "3d") for g in extra_glyphs()]
    return tuple((g, s) for g, s in pool if g not in HELD_OUT and sprite(g, s) is not None)


def validation(n: int = 200) -> list[Picture]:
    """The validation set: `n` captioned pictures with maps, by seed."""
    return World().batch(VALIDATION_SEED, n)
