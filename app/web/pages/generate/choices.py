"""What Generate can draw with, as its form names it: a run's save, an imported adapter, or a base model alone."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.adapters import saves, sources
from app.adapters.sources import Source
from app.drafts import begin
from app.orders.request import DrawRequest
from training import presets
from training.errors import StudioError
from training.runs.rundir import run_by_id

IMPORTED = "adapter:"  # before an imported adapter's name where a run's id could stand; no id holds a colon
SAMPLE = ("steps", "guidance", "negative")  # what decides how good a picture gets, and differs from base to base


@dataclass(frozen=True)
class Choice:
    """What is drawn with, and what it brings along.

    Attributes:
        value: what the form's field "run" holds; "" for a base model alone. base: the base model it draws on.
        trigger: the words that call its subject, "" where none are known. prompt: one to begin with.
        sample: the values of SAMPLE that suit it.
        saves: a run's steps and what to call each. best: the one to take, None where there are none.
    """

    value: str
    base: str
    trigger: str
    prompt: str
    sample: dict[str, Any]
    saves: dict[int, str] = field(default_factory=dict)
    best: int | None = None


def choice(data: Path, value: str, base: str = "") -> Choice:
    """What a value of the form's field "run" stands for; the base model alone where that is not here or damaged.

    base: the base model to take alone, "" for the built-in one.
    """
    with contextlib.suppress(StudioError):
        if value.startswith(IMPORTED):
            return _of_imported(data, value.removeprefix(IMPORTED))
        if value:
            return _of_run(data, value)
    base = base or "embedded"
    return Choice("", base, "", _plain(data), usual(data, base))


def source(data: Path, value: str) -> Source | None:
    """What a value of the form's field "run" draws with, of a run its best save; None for a base model alone.

    Raises BadInput where it is not there.
    """
    if value.startswith(IMPORTED):
        return sources.of_imported(data, value.removeprefix(IMPORTED))
    return sources.of_run(data, value) if value else None


def usual(data: Path, base: str) -> dict[str, Any]:
    """The values of SAMPLE that a base model draws well with: those of its presets' test pictures."""
    caps, _ = begin.capabilities(data, base)
    embedded = caps.embedded if caps else base == "embedded"
    sample = presets.preset("embedded" if embedded else "sd")["sample"]
    return {name: sample.get(name, "") for name in SAMPLE}


def lacks(prompt: str, trigger: str) -> bool:
    """Whether a prompt is without one of the words that call the subject; they need not stand side by side."""
    return not set(_words(trigger)) <= set(_words(prompt))


def as_form(request: DrawRequest) -> dict[str, Any]:
    """A request as the form's values.

    An imported adapter stands in the field "run", and the base model that is not the adapter's own in "other_base". Its
    map is not among them: that goes onto the canvas.
    """
    values = request.model_dump(exclude={"with_base", "adapter", "map"})
    values["other_base"] = request.base if request.adapted and request.other_base else ""
    return values | ({"run": IMPORTED + request.adapter} if request.adapter else {})


def from_form(values: dict[str, Any]) -> dict[str, Any]:
    """The form's values as a request's, without those that are empty."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    other_base = given.pop("other_base", None)
    if run := str(given.get("run", "")):
        given.pop("base", None)  # hidden in the form then, as "other_base" is for a base model alone
        if other_base:
            given |= {"base": other_base, "other_base": True}
        if run.startswith(IMPORTED):
            given["adapter"] = given.pop("run").removeprefix(IMPORTED)
    return {"prompt": "", **given}


def _of_imported(data: Path, name: str) -> Choice:
    source = sources.of_imported(data, name)
    prompt = f"a {source.trigger}" if source.trigger else _plain(data)
    return Choice(IMPORTED + source.facts["adapter"], source.base, source.trigger, prompt, usual(data, source.base))


def _of_run(data: Path, run_id: str) -> Choice:
    run = run_by_id(data, run_id)
    spec, steps = run.spec, run.checkpoints()
    best, why = saves.best_save(run) if steps else (None, "")
    return Choice(
        run.id,
        spec.base,
        spec.subject,
        spec.example,
        spec.sample.model_dump(include=set(SAMPLE)),
        {step: f"Step {step} ({why})" if step == best else f"Step {step}" for step in steps},
        best,
    )


def _plain(data: Path) -> str:
    caps, _ = begin.capabilities(data, "embedded")
    return f"a dog {caps.places[0]}" if caps and "dog" in caps.classes else "a dog in the snow"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
