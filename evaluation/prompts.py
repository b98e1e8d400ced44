"""What a model is asked when it is judged: the benchmark's prompts, the toy world's, and what each is told from.

A prompt holds the placeholder `{subject}`. It stands for "sks dog" when an adapter draws, and for "dog" when the base
model draws and when CLIP-T reads the prompt (the rare token means nothing to CLIP).
"""

import functools
import json
import re
from dataclasses import dataclass

import assets
from training.spec import PLACEHOLDER, fill

PICTURE_WORDS = frozenset("photo photograph picture drawing painting".split())  # they say nothing of a place
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


@dataclass(frozen=True)
class Contrast:
    """The prompts that a picture's own prompt is told from.

    Attributes:
        elsewhere: the same thing in other places; empty where the prompt names none.
        things: other things in the same place; empty where the prompt does not name the class word.
    """

    elsewhere: tuple[str, ...]
    things: tuple[str, ...]


def contrast(prompt: str, class_word: str, embedded: bool) -> Contrast:
    """What to tell `prompt` from, in the embedded world or among photographs.

    "Place" is all that the prompt says besides the thing: "wearing a red hat" is one too. Among photographs the other
    places are the benchmark's, without those that share a content word with the prompt. Where `prompt` does not hold
    `class_word`, the whole of it counts as place, told from captions of quite other things.
    """
    template = _template(prompt, class_word)
    if embedded:
        return Contrast(tuple(elsewhere(prompt)), _others(template, class_word, classes()))
    if not template:
        words = _content(prompt)
        return Contrast(tuple(text for text in _listed("unrelated") if not words & _content(text)), ())
    words = _content(template) - {PLACEHOLDER} - PICTURE_WORDS
    places = dict.fromkeys((*benchmark("objects"), *benchmark("live"))) if words else ()
    other = tuple(fill(text, class_word) for text in places if not words & _content(text))
    return Contrast(other, _others(template, class_word, _listed("things")))


def elsewhere(prompt: str) -> list[str]:
    """`prompt` in all the other places of the embedded world; none where it names no place."""
    from training.pretrain.toyworld.world import PLACES

    for place in PLACES:
        for phrase in place.phrases:
            if phrase in prompt.lower():
                start = prompt.lower().index(phrase)
                before, after = prompt[:start], prompt[start + len(phrase) :]
                return [f"{before}{other.phrases[0]}{after}" for other in PLACES if other != place]
    return []


def _template(prompt: str, class_word: str) -> str:
    """The prompt with the placeholder for its class word ("an owl here" -> "a {subject} here"); "" without one."""
    if not class_word.strip():
        return ""
    found, count = re.subn(rf"\b{re.escape(class_word.strip())}\b", PLACEHOLDER, prompt, count=1, flags=re.IGNORECASE)
    return found.replace(f"an {PLACEHOLDER}", f"a {PLACEHOLDER}") if count else ""


def _others(template: str, class_word: str, things: tuple[str, ...]) -> tuple[str, ...]:
    if not template:
        return ()
    return tuple(fill(template, thing) for thing in things if thing.lower() != class_word.strip().lower())


def _content(text: str) -> set[str]:
    return set(text.lower().split()) - FUNCTION_WORDS


@functools.cache
def _listed(name: str) -> tuple[str, ...]:
    return tuple(json.loads(assets.path("prompts", f"{name}.json").read_text(encoding="utf-8"))["prompts"])
