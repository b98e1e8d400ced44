"""What makes a run of any task: the settings that all of them have, frozen when the run is made.

The descriptions are written for a person: the page's form, the CLI's help, the JSON on disk and the error messages all
come from here. A task's own settings are in `training.spec`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.adapterspec import AdapterSpec, DeloraSpec
from training.errors import BadInput

LONGEST_NAME = 80


class Sampling(BaseModel):
    """How the pictures are drawn that a run makes at each save."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...] = Field(
        (0, 1), min_length=1, max_length=64, description="One picture of each prompt or map for each of these seeds."
    )
    steps: int = Field(20, ge=1, le=200, description="Steps of the sampler (DPM-Solver++).")
    guidance: float = Field(
        3.0, ge=0, le=50, allow_inf_nan=False, description="Guidance: how hard a picture is pulled to its prompt."
    )
    negative: str = Field("", max_length=2000, description="What pictures should not show.")


class RunSpec(BaseModel):
    """What makes a run of any task. Frozen; written to spec.json when the run is made and never changed.

    A task's own settings are in a class of its own, see `training.spec.KINDS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(1, description="Version of this list of settings.")
    task: str = Field(description="What is taught.")
    name: str = Field(min_length=1, max_length=LONGEST_NAME, description="What to call the run.")
    base: str = Field(
        "embedded", min_length=1, max_length=1000, description="Base model: embedded, a downloaded model, or a folder."
    )
    adapter: AdapterSpec = Field(
        default_factory=lambda: DeloraSpec(method="delora"), description="The adapter method and its settings."
    )
    targets: tuple[str, ...] = Field(
        ("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="Layers that get an adapter: ends of names; * is every layer.",
    )

    steps: int = Field(240, ge=1, le=100_000, description="Training steps.")
    batch_size: int = Field(4, ge=1, le=256, description="Pictures in a step.")
    gradient_accumulation: int = Field(
        1, ge=1, le=256, description="Batches summed up to one step: a larger batch in the same memory."
    )
    learning_rate: float = Field(1e-2, gt=0, le=10, description="Learning rate of the adapter's matrices.")
    learning_rate_lambda: float | None = Field(
        None, gt=0, le=10, description="Learning rate of lambda (or of its like). Empty: the same as the other."
    )
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the learning rate goes after the warm-up: stays, or falls to 0."
    )
    warmup_steps: int = Field(0, ge=0, le=100_000, description="Steps in which the learning rate rises from 0.")
    weight_decay: float = Field(0.0, ge=0, le=10, description="AdamW's weight decay of the directions.")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="Longest gradient let through; longer ones are shortened. Empty: off."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice instead of keeping them: less memory, about 30 % slower."
    )
    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = Field(
        "auto", description="Half precision for the base model's work. auto: where the device is faster with it."
    )

    flip: bool = Field(False, description="Also train on mirrored pictures. Not for subjects with writing or sides.")
    resolution: int | None = Field(
        None, ge=8, le=2048, description="Edge of the training pictures in pixels. Empty: the base model's own."
    )
    timestep_sampling: Literal["uniform", "lognormal"] = Field(
        "uniform", description="How noise levels are drawn: all alike, or mostly the middle ones."
    )
    min_snr_gamma: float | None = Field(
        None, gt=0, description="Min-SNR weighting of the loss with this gamma (5 is usual). Empty: off."
    )

    seed: int = Field(0, ge=0, lt=2**31, description="Seed of every draw: the same seed gives the same run.")
    save_every: int = Field(60, ge=1, description="Steps between two saves; each save is drawn and scored.")
    save_at: tuple[int, ...] = Field(
        (), max_length=200, description="Save at these steps instead, and at the last one. Empty: every so many steps."
    )
    keep_every: int | None = Field(
        None, ge=1, description="Of older saves only those at multiples of this stay. Empty: all stay."
    )
    sample: Sampling = Field(Sampling(), description="What is drawn at each save.")
    threads: int | None = Field(None, ge=1, le=1024, description="Processor threads. Empty: the computer's choice.")
    parent: str | None = Field(None, description="The run that this one was made from.")
    start_step: int | None = Field(
        None, ge=1, description="Begin at the parent's save of this step instead of at 0 (to train it longer)."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_written_out(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = {key: value.strip() if isinstance(value, str) else value for key, value in values.items()}
        if isinstance(values.get("adapter"), Mapping):
            values["adapter"] = {"method": "delora", **values["adapter"]}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be fewer than steps ({self.steps}).")
        if self.save_at and min(self.save_at) < 1:
            raise ValueError(f"save_at holds {min(self.save_at)}, and steps are counted from 1.")
        if self.start_step is not None and self.parent is None:
            raise ValueError("start_step is set but parent is not: name the run to begin from.")
        if self.start_step is not None and self.start_step >= self.steps:
            raise ValueError(f"steps ({self.steps}) must be more than start_step ({self.start_step}).")
        return self

    @property
    def saves(self) -> tuple[int, ...]:
        """The steps at which it saves, draws and scores, ascending; not the save that it begins with."""
        first = self.start_step or 0
        every = self.save_at or range(self.save_every, self.steps, self.save_every)
        return tuple(sorted({step for step in every if first < step < self.steps} | {self.steps}))

    @property
    def subject(self) -> str:
        """What calls in prompts what was taught: "sks dog"; "" where nothing does."""
        return ""

    @property
    def facts(self) -> dict[str, str]:
        """What an adapter file says of what was taught, beside the whole spec."""
        return {"task": self.task}

    @property
    def follows_maps(self) -> bool:
        """Whether what was taught is drawn from a map."""
        return False

    @property
    def with_prior(self) -> bool:
        """Whether class pictures take part in training."""
        return False

    @property
    def pictures_per_save(self) -> int:
        """How many pictures are drawn at each save."""
        raise NotImplementedError

    @property
    def example(self) -> str:
        """A prompt to begin with."""
        raise NotImplementedError

    def prompt(self, text: str, *, plain: bool = False) -> str:
        """A prompt with what was taught in it, or as the base model is asked for the like (`plain`)."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The text of spec.json."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def tidy_name(name: str) -> str:
    """A name as a person typed it, without the spaces around. Raises BadInput for none, or a long one."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        remedy = "Write a shorter one." if name else "Write one."
        raise BadInput(f"A name has 1 to {LONGEST_NAME} letters.", remedy, "name")
    return name
