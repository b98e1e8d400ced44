"""RunSpec: everything that makes a run, with the settings of what it teaches, and how it is read.

As in `training.runspec`, the descriptions are written for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from training import jsonfile
from training.errors import BadInput
from training.runspec import LONGEST_NAME, RunSpec, Sampling
from training.specwords import explain

VERSION = 1
PLACEHOLDER = "{subject}"
PROMPTS = ("a {subject} in the snow", "a {subject} on the beach", "a {subject} in the forest", "a {subject}")


class SampleSpec(Sampling):
    """The pictures that a run of a subject draws at each save."""

    prompts: tuple[str, ...] = Field(
        PROMPTS, max_length=64, description="Prompts drawn at each save; {subject} stands for the token and the kind."
    )

    @field_validator("prompts")
    @classmethod
    def _prompts_name_the_subject(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if PLACEHOLDER not in prompt:
                raise ValueError(f"{prompt!r} does not hold {PLACEHOLDER}, the place of your subject.")
        return prompts


class SubjectSpec(RunSpec):
    """A run that teaches a subject from a few pictures."""

    task: Literal["dreambooth"] = Field("dreambooth", description="What is taught: a subject from a few pictures.")
    name: str = Field(
        "subject", min_length=1, max_length=LONGEST_NAME, description="What to call the subject and its run."
    )
    class_word: str = Field(
        min_length=1, max_length=80, description="What kind of thing the subject is, in a plain word: dog, car, shoe."
    )
    token: str = Field(
        "sks", min_length=1, max_length=40, description="Rare word that will stand for this one subject in prompts."
    )
    instance_prompt: str = Field(
        "", max_length=500, description="Caption of the subject's pictures. Empty: a {token} {class word}."
    )
    class_prompt: str = Field("", max_length=500, description="Caption of the class pictures. Empty: a {class word}.")
    batch_size: int = Field(
        4, ge=1, le=256, description="Pictures of the subject in a step; as many class pictures come with them."
    )
    prior_weight: float = Field(
        1.0, ge=0, le=100, description="Weight of the class pictures: they keep the kind from turning into the subject."
    )
    class_pictures: int = Field(
        48, ge=0, le=10_000, description="Class pictures drawn by the base model and kept for later runs. 0: none."
    )
    class_steps: int = Field(12, ge=1, le=200, description="Sampler steps for the class pictures.")
    sample: SampleSpec = Field(SampleSpec(), description="What is drawn at each save.")

    @model_validator(mode="before")
    @classmethod
    def _captions_written_out(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        word, token = values.get("class_word"), values.get("token", "sks")
        if isinstance(word, str) and isinstance(token, str):
            word, token, values = word.strip(), token.strip(), dict(values)
            values["instance_prompt"] = values.get("instance_prompt") or fill("a {subject}", f"{token} {word}")
            values["class_prompt"] = values.get("class_prompt") or fill("a {subject}", word)
        return values

    @model_validator(mode="after")
    def _token_in_its_caption(self) -> Self:
        if self.token.lower() not in self.instance_prompt.lower():
            raise ValueError(f"instance_prompt does not hold the token {self.token!r}, so nothing could be learned.")
        return self

    @property
    def subject(self) -> str:
        return f"{self.token} {self.class_word}"

    @property
    def facts(self) -> dict[str, str]:
        return {**super().facts, "trigger": self.subject, "instance_prompt": self.instance_prompt}

    @property
    def with_prior(self) -> bool:
        return self.prior_weight > 0 and self.class_pictures > 0

    @property
    def pictures_per_save(self) -> int:
        return len(self.sample.prompts) * len(self.sample.seeds)

    @property
    def example(self) -> str:
        return self.prompt(self.sample.prompts[0] if self.sample.prompts else "a {subject}")

    def prompt(self, text: str, *, plain: bool = False) -> str:
        """A prompt with the subject in it, or with the class word alone (`plain`, for the base model)."""
        return fill(text, self.class_word if plain else self.subject)


class MapsSpec(RunSpec):
    """A run that teaches pictures from semantic maps."""

    task: Literal["maps"] = Field("maps", description="What is taught: pictures that follow semantic maps.")
    name: str = Field("maps", min_length=1, max_length=LONGEST_NAME, description="What to call the run.")
    protocol: Literal["frozen-controlnet", "hint-encoder"] = Field(
        "frozen-controlnet",
        description="What brings the map to the model: frozen-controlnet (a ready ControlNet that stays as it is; the "
        "adapter learns) or hint-encoder (the paper's: a small encoder that learns together with the adapter).",
    )
    control_kind: Literal["segmentation", "canny", "lineart"] = Field(
        "segmentation",
        description="What pictures follow: segmentation (their maps), or edges found in the pictures themselves: canny "
        "or lineart, with a ControlNet of that kind.",
    )
    controlnet: str = Field(
        "embedded",
        min_length=1,
        max_length=1000,
        description="ControlNet of frozen-controlnet: embedded, controlnet-seg (downloaded), or a folder.",
    )
    control_scale: float = Field(
        1.0, ge=0, le=2, allow_inf_nan=False, description="How hard pictures are held to their maps; 1 is as trained."
    )
    learning_rate_hint: float = Field(1e-4, gt=0, le=10, description="Learning rate of the encoder of hint-encoder.")
    batch_size: int = Field(4, ge=1, le=256, description="Pictures with their maps in a step.")
    held_out: int = Field(
        16,
        ge=1,
        le=5000,
        description="Maps that take no part in training: each save draws them, and is judged by what it drew.",
    )
    segmentor: str = Field(
        "embedded",
        min_length=1,
        max_length=1000,
        description="Judge of the saves, which makes maps of what they drew: embedded, segmentor (downloaded), or a "
        "folder.",
    )
    sample: Sampling = Field(Sampling(seeds=(0,)), description="How the held-out maps are drawn at each save.")

    @property
    def facts(self) -> dict[str, str]:
        told = {
            **super().facts,
            "protocol": self.protocol,
            "control_kind": self.control_kind,
            "control_scale": f"{self.control_scale:g}",
        }
        return told | ({"controlnet": self.controlnet} if self.protocol == "frozen-controlnet" else {})

    @property
    def follows_maps(self) -> bool:
        return True

    @property
    def pictures_per_save(self) -> int:
        return self.held_out * len(self.sample.seeds)

    @property
    def example(self) -> str:
        return "a photo"

    def prompt(self, text: str, *, plain: bool = False) -> str:
        """A prompt with a thing of no kind in it: a run of maps teaches no words."""
        return fill(text, "photo")


KINDS: dict[str, type[RunSpec]] = {kind.model_fields["task"].default: kind for kind in (SubjectSpec, MapsSpec)}
USUAL: str = next(iter(KINDS))  # the task of a spec that names none


def own_settings(task: str) -> frozenset[str]:
    """The settings that runs of this task have and others have not, by their dotted names."""
    kind = KINDS[task]
    top, sample = (set(model.model_fields) for model in (kind, kind.model_fields["sample"].annotation))
    inner = {f"sample.{name}" for name in sample - set(Sampling.model_fields)}
    return frozenset(top - set(RunSpec.model_fields) | inner)


def fill(prompt: str, subject: str) -> str:
    """Put a subject into a prompt, with its article: "a {subject} here", "owl" -> "an owl here"."""
    if subject[:1].lower() in tuple("aeiou"):
        prompt = prompt.replace(f"a {PLACEHOLDER}", f"an {PLACEHOLDER}")
    return prompt.replace(PLACEHOLDER, subject)


def kind_of(task: Any) -> type[RunSpec]:
    """The settings of a task's runs. Raises BadInput where there is no such task."""
    if not isinstance(task, str) or task not in KINDS:
        raise BadInput(f"task: there is no {task!r}.", f"Choose one of {', '.join(KINDS)}.", "task")
    return KINDS[task]


def parse(values: Mapping[str, Any]) -> RunSpec:
    """A RunSpec from plain values. Raises BadInput that names the first field that is wrong and what it may be."""
    kind = kind_of(values.get("task", USUAL))
    _refuse_others(values, kind)
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise explain(error, kind) from error


def _refuse_others(values: Mapping[str, Any], kind: type[RunSpec]) -> None:
    """Raises BadInput for a setting that only runs of another task have."""
    task = kind.model_fields["task"].default
    sample = values.get("sample")
    given = {*values, *(f"sample.{name}" for name in (sample if isinstance(sample, Mapping) else ()))}
    for other in KINDS:
        for name in sorted(given & (own_settings(other) - own_settings(task))):
            raise BadInput(
                f"{name} is a setting of runs of the task {other}, and this one is {task}.", "Leave it out.", name
            )


def load(path: Path) -> RunSpec:
    """Read a spec.json. Raises BadInput, naming the file, where it is missing, damaged or of another version."""
    values = jsonfile.read(path)
    version = values.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        words = f"was written by {'a newer' if newer else 'another'} version of this program"
        raise BadInput(f"{path} {words}.", "Update the program.")
    try:
        return parse(values)
    except BadInput as error:
        raise BadInput(f"{path} does not fit this version: {error.message}", jsonfile.RESTORE) from error
