"""What a model is asked when it is judged: the benchmark's prompts, the toy world's, and what CLIP-T is centred with.

A prompt holds the placeholder `{subject}`. It stands for "sks dog" when an adapter draws, and for "dog" when the base
model draws and when CLIP-T reads the prompt (the rare token means nothing to CLIP).
"""

import functools
import json

import assets
from training.spec import PLACEHOLDER

FUNCTION_WORDS = frozenset("a an the of on in at with to by and its it over under near from front".split())


def benchmark(kind: str) -> tuple[str, ...]:
    """The DreamBooth benchmark's 25 prompts for `objects` or for `live` subjects (the paper's evaluation)."""
    if kind not in ("objects", "live"):
        raise ValueError(f"kind: there are prompts for 'objects' and for 'live' subjects, not for '{kind}'.")
    return _listed(kind)


def places(shown: tuple[str, ...] = ()) -> dict[str, str]:
    """The embedded world's places by name, each with the phrase that captions use, without those `shown` already."""
    from training.pretrain.toyworld.world import PLACES

    return {place.name: place.phrases[0] for place in PLACES if place.name not in shown}


def classes() -> tuple[str, ...]:
    """The kinds of things the embedded world knows."""
    from training.pretrain.toyworld.world import CLASSES

    return CLASSES


def in_places(names: tuple[str, ...]) -> tuple[str, ...]:
    """One prompt for each named place of the embedded world."""
    known = places()
    return tuple(f"a {PLACEHOLDER} {known[name]}" for name in names)


def others(prompt: str, embedded: bool) -> list[str]:
    """The prompts whose mean cosine is taken off a picture's cosine with `prompt` (see `evaluation.subject`).

    For photographs: prompts about other things, that share no content word with it. In the embedded world: the same
    thing in the other places. Its small CLIP knows a kind by a few drawings and holds a new subject for less of its
    kind however well the prompt is followed; what remains is whether the place is the one that was asked for. (Real
    pictures of the sample subjects in the places asked for get 1.07 to 1.66 times what the base model's kinds get;
    with prompts about other things they got 0.33 to 1.)
    """
    if embedded:
        return elsewhere(prompt)
    words = _content(prompt)
    return [text for text in _listed("unrelated") if not words & _content(text)]


def elsewhere(prompt: str) -> list[str]:
    """`prompt` in all the other places of the embedded world; in all of them where it names none."""
    from training.pretrain.toyworld.world import PLACES

    for place in PLACES:
        for phrase in place.phrases:
            if phrase in prompt.lower():
                start = prompt.lower().index(phrase)
                before, after = prompt[:start], prompt[start + len(phrase) :]
                return [f"{before}{other.phrases[0]}{after}" for other in PLACES if other != place]
    return [f"{prompt} {place.phrases[0]}" for place in PLACES]


def _content(text: str) -> set[str]:
    return set(text.lower().split()) - FUNCTION_WORDS


@functools.cache
def _listed(name: str) -> tuple[str, ...]:
    return tuple(json.loads(assets.path("prompts", f"{name}.json").read_text(encoding="utf-8"))["prompts"])
