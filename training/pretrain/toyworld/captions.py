"""Captions for the facts of cached pictures, and which other pictures of a batch each of them is true of."""

from __future__ import annotations

import string

import numpy as np
import torch

from training.pretrain.tokenizer import prompt_words
from training.pretrain.toyworld import world

STRANGE_SHARE = 0.15  # of captions get a word that means nothing


class Captions:
    """Writes captions for the facts of pictures, and knows of which other pictures each is true."""

    def __init__(self):
        self.places = {place.name: place for place in world.PLACES}
        self.strange = sorted(set(prompt_words()) - set(world.CAPTION_WORDS))

    def write(self, facts: list[dict], rng: np.random.Generator, double: float = 0.0) -> tuple[list[str], list[tuple]]:
        """Captions of b pictures, and what each of them says, for `true_of`."""
        texts, said = [], []
        for fact in facts:
            text = self._caption(fact, rng)
            if rng.random() < double:
                text += ", " + self._caption(fact, rng)
            place = any(phrase in text for phrase in self.places[fact["place"]].phrases)
            said.append((fact["class_word"], fact["colour"], place and fact["place"], fact["style"] == "drawing"))
            texts.append(self._strange(text, rng) if rng.random() < STRANGE_SHARE else text)
        return texts, said

    def _caption(self, fact: dict, rng: np.random.Generator) -> str:
        return world.caption(fact["class_word"], fact["colour"], self.places[fact["place"]], fact["style"], rng)

    def _strange(self, text: str, rng: np.random.Generator) -> str:
        """`text` with one word that means nothing here."""
        if rng.random() < 0.5:
            word = self.strange[rng.integers(len(self.strange))]
        else:
            word = "".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 5)))
        words = text.split()
        if word not in world.RARE_TOKENS:
            words.insert(rng.integers(len(words) + 1), word)
        return " ".join(words)

    @staticmethod
    def true_of(said: list[tuple], facts: list[dict]) -> torch.Tensor:
        """(b, b) bool: whether the text that says `said[i]` is true of picture j, or may be."""
        # A text without a place or colour is true whatever they are. An unpainted car may happen to be red.
        number: dict = {None: -1, False: -1}

        def column(values) -> np.ndarray:
            return np.array([number.setdefault(value, len(number)) for value in values])

        word, colour, place, drawing = (column(values) for values in zip(*said, strict=True))
        classes, colours, places = (column(f[k] for f in facts) for k in ("class_word", "colour", "place"))
        drawn = column(f["style"] == "drawing" for f in facts)
        true = word[:, None] == classes[None]
        true &= (colour[:, None] < 0) | (colours[None] < 0) | (colour[:, None] == colours[None])
        true &= (place[:, None] < 0) | (place[:, None] == places[None])
        true &= (drawing[:, None] < 0) | (drawing[:, None] == drawn[None])
        return torch.from_numpy(true)


def roll_call(rng: np.random.Generator) -> list[str]:
    """The shortest captions of all classes in one phrasing, in the order of `world.CLASSES`."""
    phrasing = world.PHRASINGS[rng.integers(len(world.PHRASINGS))]
    return [world.article(phrasing.format(word)) for word in world.CLASSES]
