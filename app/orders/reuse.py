"""The settings that a picture of this program carries, taken over into a request to draw it, or its like, again."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters import saves, sources
from app.orders import drawings
from app.orders.drawings import Drawing
from app.orders.request import DrawRequest, parse_request
from training.base import models
from training.errors import BadInput, StudioError
from training.runs.rundir import run_by_id

TAKEN = ("prompt", "negative", "steps", "guidance", "sampler", "seed", "size")
OTHERS = "The other settings are filled in."


@dataclass(frozen=True)
class Reused:
    """What was found in a picture.

    request: one picture by its settings. missing: "", or a sentence about the run, adapter or base model that drew it
    and is not here; `request` is then without it. mapped: a drawing that has the map which the picture follows, None
    where it follows none, or one that is not kept any more (`lost`).
    """

    request: DrawRequest
    missing: str = ""
    mapped: Drawing | None = None
    lost: bool = False


def read(data: Path, picture: Path) -> Reused:
    """The settings in a picture. Raises BadInput where it carries none that can be used."""
    facts = _facts(picture)
    values = {key: facts[key] for key in TAKEN if facts.get(key) is not None} | {"count": 1}
    mapped = _mapped(data, facts.get("map"))
    if mapped:
        values |= {"control": mapped.request().control, "control_scale": facts.get("control_scale", 1.0)}
    followed = {"mapped": mapped, "lost": bool(facts.get("map")) and mapped is None}
    with_ = {key: facts[key] for key in ("run", "step", "adapter") if facts.get(key)}
    if with_:  # the base model's pictures say a strength of 0, which would silence the next adapter
        values["strength"] = facts.get("strength", 1.0)
    other = bool(with_ and facts.get("made_for"))  # drawn on another base model than the one it was made for
    base = _base(data, facts.get("base")) if other or not with_ else None
    try:
        request = parse_request({**values, **with_, "base": base, "other_base": other})
    except BadInput as error:
        raise BadInput(f"The settings in {picture.name} cannot be used: {error.message}") from error
    missing = _missing(data, request) if with_ else ""
    if other or not with_:
        missing = missing or _missing_base(base, facts.get("base"))
    if not missing:
        return Reused(request, **followed)
    alone = request.model_copy(update={"run": None, "step": None, "adapter": None, "other_base": False})
    return Reused(alone, f"What drew this picture is not here: {missing} {OTHERS}", **followed)


def _mapped(data: Path, name: Any) -> Drawing | None:
    """The newest drawing with the map of that name."""
    for drawing in drawings.list_drawings(data) if name else []:
        with contextlib.suppress(StudioError):  # damaged
            if drawing.request().map == name and drawing.labels() is not None:
                return drawing
    return None


def _missing(data: Path, request: DrawRequest) -> str:
    """What of the run or the adapter of a request is not here, "" where all of it is."""
    try:
        if request.run is None:
            sources.of_imported(data, request.adapter or "")
        else:
            run = run_by_id(data, request.run)
            _ = run.spec  # a damaged run draws nothing
            if request.step is not None:
                saves.check_step(run, request.step)
    except StudioError as error:
        return error.message[0].lower() + error.message[1:]
    return ""


def _base(data: Path, title: Any) -> str | None:
    """The base model that a picture names by its title; None for one that is not here."""
    return next((model.name for model in models.installed(data) if model.base and model.title == title), None)


def _missing_base(base: str | None, title: Any) -> str:
    return f"there is no base model {str(title)[:80]!r}." if title and base is None else ""


def _facts(picture: Path) -> dict[str, Any]:
    """What a picture says of itself; only its head is read, no pixel is decoded."""
    from PIL import Image

    from evaluation.pictures import KEY

    try:
        with Image.open(picture) as opened:
            facts = json.loads(opened.info.get(KEY, "null"))
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{picture.name} cannot be read as a picture.", "Give a PNG that was drawn here.") from error
    if not isinstance(facts, dict) or not facts.get("prompt"):
        remedy = "Only the PNGs that Generate drew do, as long as no other program has saved them anew."
        raise BadInput(f"{picture.name} carries no settings of this program.", remedy)
    return facts
