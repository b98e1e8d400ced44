"""The sample subjects that ship with the program: the base model knows their kind, but not them."""

import json
from dataclasses import dataclass
from pathlib import Path

import assets
from evaluation import prompts
from training.errors import BadInput


@dataclass(frozen=True)
class SampleSubject:
    """A subject that ships with the program.

    Attributes:
        places: the places of the embedded world that its own pictures show.
    """

    name: str
    class_word: str
    places: tuple[str, ...]
    pictures: tuple[Path, ...]


def sample_subjects(group: str = "subjects") -> list[SampleSubject]:
    """The sample subjects of `subjects` or `subjects_photo`, by name."""
    folder = assets.path(group)
    names = sorted(path.parent.name for path in folder.glob("*/subject.json"))
    return [sample_subject(name, group) for name in names]


def sample_subject(name: str, group: str = "subjects") -> SampleSubject:
    """One sample subject. Raises BadInput naming those there are."""
    folder = assets.path(group, name)
    if not (folder / "subject.json").is_file():
        names = ", ".join(sorted(path.parent.name for path in assets.path(group).glob("*/subject.json")))
        raise BadInput(f"There is no sample subject '{name}'.", f"There are: {names}.", field="subject")
    facts = json.loads((folder / "subject.json").read_text("utf-8"))
    pictures = tuple(sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg")))
    return SampleSubject(facts["name"], facts["class_word"], tuple(facts["places"]), pictures)


def unseen_prompts(subject: SampleSubject, count: int = 4) -> tuple[str, ...]:
    """Prompts in places of the embedded world that the subject's own pictures do not show."""
    return prompts.in_places(unseen_places(subject, count))


def unseen_places(subject: SampleSubject, count: int = 4) -> tuple[str, ...]:
    """The first places of the embedded world that the subject's own pictures do not show."""
    return tuple(prompts.places(shown=subject.places))[:count]
