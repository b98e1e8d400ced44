"""What a person asks Generate to draw: checked field by field, then completed from the run or adapter it draws with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.adapters import saves, sources
from training.errors import BadInput
from training.runs.rundir import run_by_id
from training.spec import PLACEHOLDER, fill
from training.specwords import explain

if TYPE_CHECKING:
    from training.base.capabilities import Capabilities

Sampler = Literal["dpm++", "ddim", "euler"]  # the names of training.sample.SAMPLERS, which imports torch
SAMPLER_TITLES: dict[str, str] = {"dpm++": "DPM-Solver++ (2M)", "ddim": "DDIM", "euler": "Euler"}


class DrawRequest(BaseModel):
    """What is to be drawn. Frozen; once completed it is the drawing's request.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(
        min_length=1, max_length=2000, description="What to draw; {subject} stands for the run's subject."
    )
    run: str | None = Field(None, description="The run whose adapter draws. Empty: the base model alone.")
    step: int | None = Field(
        None, ge=1, description="Which save of the run. Empty: the recommended one, or else the last."
    )
    adapter: str | None = Field(
        None, max_length=200, description="The imported adapter that draws, in place of a run's. See `delora import`."
    )
    base: str | None = Field(
        None, max_length=1000, description="Base model to draw with where no run is named. Empty: the built-in one."
    )
    other_base: bool = Field(
        False, description="Draw with this base model although the adapter was made for another, such as its finetune."
    )
    count: int = Field(4, ge=1, le=64, description="How many pictures; the seed counts up from one to the next.")
    strength: float = Field(
        1.0,
        ge=-sources.LARGEST_STRENGTH,
        le=sources.LARGEST_STRENGTH,
        allow_inf_nan=False,
        description="0 is the base model, exactly. 1 is as trained.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the first picture: the same seed, the same picture.")
    steps: int = Field(20, ge=1, le=200, description="Steps of the sampler.")
    guidance: float = Field(
        3.0, ge=0, le=50, allow_inf_nan=False, description="Guidance: how hard a picture is pulled to its prompt."
    )
    negative: str = Field("", max_length=2000, description="What pictures should not show.")
    sampler: Sampler = Field("dpm++", description="How noise becomes a picture.")
    size: int | None = Field(
        None, ge=8, le=2048, description="Edge of the pictures in pixels. Empty: the base model's own."
    )
    map: str | None = Field(
        None, pattern="^[0-9a-f]{16}$", description="Names the map that they follow; it comes with the labels."
    )
    control: str | None = Field(
        None,
        max_length=1000,
        description="ControlNet for the map: embedded, controlnet-seg or a folder. Empty: the base model's own.",
    )
    control_scale: float = Field(
        1.0, ge=0, le=2, allow_inf_nan=False, description="How hard a picture is held to its map; 1 is as trained."
    )
    with_base: bool = Field(
        True, description="Also draw the base model with the same words and seeds, to compare the adapter with."
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = {key: value.strip() if isinstance(value, str) else value for key, value in values.items()}
        empty = ("run", "adapter", "base", "control")
        return {key: None if value == "" and key in empty else value for key, value in values.items()}

    @property
    def adapted(self) -> bool:
        """Whether an adapter draws, and not the base model alone."""
        return bool(self.run or self.adapter)

    @property
    def total(self) -> int:
        """How many pictures are drawn, those of the base model too."""
        return self.count * (2 if self.with_base else 1)


def parse_request(values: Mapping[str, Any]) -> DrawRequest:
    """A request from plain values. Raises BadInput that names the first field that is wrong and what it may be."""
    try:
        return DrawRequest.model_validate(dict(values))
    except ValidationError as error:
        raise explain(error, DrawRequest) from error


def complete(data: Path, request: DrawRequest) -> DrawRequest:
    """The request with everything in it that decides the pictures: save, base model, the subject's words.

    Raises:
        BadInput, MissingModel: naming the field: a run or an adapter that is not there, a save that it has not,
            {subject} where nobody knows what it is, a base model that is not the adapter's or not on this computer; for
            a map a ControlNet that is not there or does not fit.
    """
    from training.base import models

    if request.run and request.adapter:
        raise BadInput("A run and an imported adapter were both chosen.", "Choose one of them.", "run")
    if request.run:
        found = _with_run(data, request)
    elif request.adapter:
        found = _with_adapter(data, request)
    elif PLACEHOLDER in request.prompt:
        raise BadInput(
            f"The prompt holds {PLACEHOLDER}, but no run was chosen.", "Choose one, or write the words.", "prompt"
        )
    else:
        found = {"step": None, "base": request.base or "embedded", "other_base": False, "with_base": False}
    caps = models.describe(found["base"], data)
    found["control"] = _control(data, request, found["base"], caps) if request.map else None
    return request.model_copy(update=found)


def _control(data: Path, request: DrawRequest, base: str, caps: Capabilities) -> str | None:
    """The ControlNet that holds pictures of a base model to a map, checked to be there and to fit; None for a run's own
    encoder."""
    from app.adapters import sources, steered
    from training.base import controlnet, models

    source = sources.of_run(data, request.run, request.step) if request.run else None
    if (ref := steered.which(source, request.control, caps.embedded)) is not None:
        controlnet.inspect(ref, models.configs(base, data)["unet"], caps.vae_factor, data)
    return ref


def _with_run(data: Path, request: DrawRequest) -> dict[str, Any]:
    run = run_by_id(data, request.run)
    step = saves.best_step(run) if request.step is None else request.step
    saves.check_step(run, step)
    if PLACEHOLDER in request.prompt and not run.spec.subject:
        words = f"The prompt holds {PLACEHOLDER}, and no words call what {run.name} was taught."
        raise BadInput(words, "Write the words themselves.", "prompt")
    base = request.base if request.base and request.other_base else run.spec.base
    other = base != run.spec.base
    return {"step": step, "base": base, "other_base": other, "prompt": fill(request.prompt, run.spec.subject)}


def _with_adapter(data: Path, request: DrawRequest) -> dict[str, Any]:
    source = sources.of_imported(data, request.adapter)
    if request.base and request.base != source.base and not request.other_base:
        raise BadInput(
            f"{source.title} was made for {source.base}, not for {request.base}.",
            f"Leave the base model empty, or import its file again for {request.base}.",
            "base",
        )
    if PLACEHOLDER in request.prompt and not source.trigger:
        raise BadInput(
            f"The prompt holds {PLACEHOLDER}, and no words are known that call {source.title}.",
            "Write the words themselves.",
            "prompt",
        )
    prompt = fill(request.prompt, source.trigger) if source.trigger else request.prompt
    base = request.base or source.base
    found = {"step": None, "adapter": source.facts["adapter"], "prompt": prompt}
    return {**found, "base": base, "other_base": base != source.base}
