"""What is wrong with a draft, in words, with the label and the place of the field on the page New."""

from __future__ import annotations

from dataclasses import dataclass

from app.drafts import settings
from training.errors import BadInput, MissingModel


@dataclass(frozen=True)
class Problem:
    """Something about a draft, to be said in the list at Start and again beside its field.

    field: pictures, name, class_word, token, base, method, parent, disk, or the name of a setting. words: what is wrong
    and what to do. suggestions: what could be put there instead.
    """

    field: str
    words: str
    suggestions: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the field is called on the page."""
        return settings.label(self.field)

    @property
    def anchor(self) -> str:
        """The element id of the field on the page."""
        return anchor(self.field)


def anchor(field: str) -> str:
    """The element id of a field: "adapter.lambda_" -> "ds-field-adapter-lambda"."""
    return "ds-field-" + field.strip("_").replace(".", "-").replace("_", "-")


def problem_of(fault: BadInput | MissingModel) -> Problem:
    """An error as a problem: with the field that the page has, by its label."""
    field = fault.field or ""
    while field and settings.label(field) == field:
        field = field.rpartition(".")[0]  # "sample.seeds.0" is the field "sample.seeds"
    field = field or "method"
    words = f"{fault.message} {fault.on_page}".strip()
    given = fault.field or field
    for name in (given, given.rpartition(".")[2]):  # the page says it in its own words: they stand before, or above
        if words.startswith(f"{name}: "):
            words = words.removeprefix(f"{name}: ")
        elif words.startswith(f"{name} "):
            words = f"It {words.removeprefix(f'{name} ')}"
    return Problem(field, words)
