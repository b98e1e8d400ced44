"""A draft that teaches a subject: its pictures, its kind and the rare word that will stand for it."""

from __future__ import annotations

from app.drafts.content import Content, no_name
from app.drafts.kinds import class_suggestions
from app.drafts.problem import Problem
from app.drafts.store import Draft
from training.base.capabilities import Capabilities
from training.spec import fill
from training.subject import intake

STAND_INS = {"name": "it", "class_word": "thing"}
PLACE = "in the snow"


class Subject(Content):
    """Pictures of one thing."""

    def gaps(self, draft):
        found = []
        if not draft.pictures:
            words = "There are no pictures yet. Add 4 to 8 of your subject, or try the sample."
            found.append(Problem("pictures", words))
        elif not draft.usable:
            found.append(Problem("pictures", "None of the pictures can be read. Add others."))
        found += no_name(draft)
        for field, words in (
            ("class_word", "Say in a plain word what kind of thing it is: dog, car, shoe."),
            ("token", "Choose a rare word that will stand for this one subject in prompts, such as sks."),
        ):
            if not getattr(draft, field).strip():
                found.append(Problem(field, words))
        return found

    def faults(self, draft):
        return []

    def misfits(self, data, spec, caps):
        return []

    def warnings(self, draft, caps):
        found = [Problem("pictures", draft.background)] if draft.background else []
        word = draft.class_word.strip()
        if caps and caps.embedded and 2 * sum(picture.photograph for picture in draft.pictures) > len(draft.pictures):
            words = (
                f"These look like photographs. Expect a toy with your {word or 'subject'}'s colours, not a photo. "
                "For photos choose Stable Diffusion 1.5."
            )
            found.append(Problem("pictures", words))
        if caps and caps.classes and word and word.lower() not in caps.classes:
            near = class_suggestions(caps, word)
            words = f"This base model does not know the word {word!r}, so it has nothing to begin with. "
            words += f"Near it, it knows: {', '.join(near)}." if near else f"It knows {len(caps.classes)}: choose one."
            found.append(Problem("class_word", words, tuple(near)))
        return found

    def completed(self, draft):
        return draft.changed(**{field: getattr(draft, field).strip() or word for field, word in STAND_INS.items()})

    def values(self, draft):
        return {"class_word": draft.class_word, "token": draft.token}

    def prepare(self, draft, folder, size):
        used = draft.usable
        paths, crops = [draft.picture_file(picture) for picture in used], [picture.crop for picture in used]
        return intake.prepare(paths, folder / "dataset", size, crops)


def prompt_words(draft: Draft, caps: Capabilities | None) -> str:
    """What to write in prompts: "Write: a sks dog in the snow"; "" while the kind is not given.

    caps: None while the base model is not found.
    """
    token, word = draft.token.strip(), draft.class_word.strip()
    if not token or not word:
        return ""
    places = (caps and caps.places) or (PLACE,)
    place = PLACE if PLACE in places else places[0]
    return f"Write: {fill(f'a {{subject}} {place}', f'{token} {word}')}"
