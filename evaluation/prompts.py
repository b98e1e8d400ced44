"""What is asked of a model when it is judged: the benchmark's prompts, the toy world's own, and unrelated ones.

A prompt holds the placeholder `{subject}`. It stands for "sks dog" when an adapter draws, and for "dog" when the base
model draws and when CLIP-T reads the prompt (the rare token means nothing to CLIP).
"""

import functools
import json

import assets
from training.spec import PLACEHOLDER, fill


def benchmark(kind: str) -> tuple[str, ...]:
    """The DreamBooth benchmark's 25 prompts for `objects` or for `live` subjects (the paper's evaluation)."""
    if kind not in ("objects", "live"):
        raise ValueError(f"kind: there are prompts for 'objects' and for 'live' subjects, not for '{kind}'.")
    return _listed(kind)


def places(shown: tuple[str, ...] = ()) -> dict[str, str]:
    """The embedded world's places by name, each with the phrase that captions use, without those `shown` already."""
    from training.pretrain.world import PLACES

    return {place.name: place.phrases[0] for place in PLACES if place.name not in shown}


def classes() -> tuple[str, ...]:
    """The kinds of things the embedded world knows."""
    from training.pretrain.world import CLASSES

    return CLASSES


def in_places(names: tuple[str, ...]) -> tuple[str, ...]:
    """One prompt for each named place of the embedded world."""
    known = places()
    return tuple(f"a {PLACEHOLDER} {known[name]}" for name in names)


def unrelated(embedded: bool) -> tuple[str, ...]:
    """Prompts about other things in other places, to take a CLIP's common offset from (see `evaluation.subject`)."""
    if not embedded:
        return _listed("unrelated")
    phrases = list(places().values())
    # Every kind once, the places in turn: whatever a run asks for, most of these share no word with it.
    return tuple(fill(f"a {PLACEHOLDER} {phrases[i % len(phrases)]}", word) for i, word in enumerate(classes()))


@functools.cache
def _listed(name: str) -> tuple[str, ...]:
    return tuple(json.loads(assets.path("prompts", f"{name}.json").read_text(encoding="utf-8"))["prompts"])
