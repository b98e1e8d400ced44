"""RunSpec: everything that makes a run, frozen when the run is made.

The descriptions are written for a person: the page's form, the CLI's help, the JSON on disk and the error messages all
come from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from training import jsonfile
from training.adapterspec import METHODS, SPECS, AdapterSpec, DeloraSpec
from training.errors import BadInput

VERSION = 1
PLACEHOLDER = "{subject}"
LONGEST_NAME = 80
PROMPTS = ("a {subject} in the snow", "a {subject} on the beach", "a {subject} in the forest", "a {subject}")


class SampleSpec(BaseModel):
    """The pictures that a run draws at each save."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: tuple[str, ...] = Field(
        PROMPTS, max_length=64, description="Prompts drawn at each save; {subject} stands for the token and the kind."
    )
    seeds: tuple[int, ...] = Field(
        (0, 1), min_length=1, max_length=64, description="One picture of each prompt for each of these seeds."
    )
    steps: int = Field(20, ge=1, le=200, description="Steps of the sampler (DPM-Solver++).")
    guidance: float = Field(
        3.0, ge=0, le=50, allow_inf_nan=False, description="Guidance: how hard a picture is pulled to its prompt."
    )
    negative: str = Field("", max_length=2000, description="What pictures should not show.")

    @field_validator("prompts")
    @classmethod
    def _prompts_name_the_subject(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if PLACEHOLDER not in prompt:
                raise ValueError(f"{prompt!r} does not hold {PLACEHOLDER}, the place of your subject.")
        return prompts


class RunSpec(BaseModel):
    """Everything that makes a run. Frozen; written to spec.json when the run is made and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(1, description="Version of this list of settings.")
    name: str = Field(
        "subject", min_length=1, max_length=LONGEST_NAME, description="What to call the subject and its run."
    )
    task: Literal["dreambooth"] = Field("dreambooth", description="What is trained: a subject from a few pictures.")
    base: str = Field(
        "embedded", min_length=1, max_length=1000, description="Base model: embedded, a downloaded model, or a folder."
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

    adapter: AdapterSpec = Field(
        default_factory=lambda: DeloraSpec(method="delora"), description="The adapter method and its settings."
    )
    targets: tuple[str, ...] = Field(
        ("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="Layers that get an adapter: ends of names; * is every layer.",
    )

    steps: int = Field(240, ge=1, le=100_000, description="Training steps.")
    batch_size: int = Field(
        4, ge=1, le=256, description="Pictures of the subject in a step; as many class pictures come with them."
    )
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

    prior_weight: float = Field(
        1.0, ge=0, le=100, description="Weight of the class pictures: they keep the kind from turning into the subject."
    )
    class_pictures: int = Field(
        48, ge=0, le=10_000, description="Class pictures drawn by the base model and kept for later runs. 0: none."
    )
    class_steps: int = Field(12, ge=1, le=200, description="Sampler steps for the class pictures.")
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
    keep_every: int | None = Field(
        None, ge=1, description="Of older saves only those at multiples of this stay. Empty: all stay."
    )
    sample: SampleSpec = Field(SampleSpec(), description="What is drawn at each save.")
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
        word, token = values.get("class_word"), values.get("token", "sks")
        if isinstance(word, str) and isinstance(token, str):
            values["instance_prompt"] = values.get("instance_prompt") or fill("a {subject}", f"{token} {word}")
            values["class_prompt"] = values.get("class_prompt") or fill("a {subject}", word)
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> RunSpec:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be fewer than steps ({self.steps}).")
        if self.token.lower() not in self.instance_prompt.lower():
            raise ValueError(f"instance_prompt does not hold the token {self.token!r}, so nothing could be learned.")
        if self.start_step is not None and self.parent is None:
            raise ValueError("start_step is set but parent is not: name the run to begin from.")
        if self.start_step is not None and self.start_step >= self.steps:
            raise ValueError(f"steps ({self.steps}) must be more than start_step ({self.start_step}).")
        return self

    @property
    def subject(self) -> str:
        """What stands for the subject in prompts: "sks dog"."""
        return f"{self.token} {self.class_word}"

    @property
    def with_prior(self) -> bool:
        """Whether class pictures take part in training."""
        return self.prior_weight > 0 and self.class_pictures > 0

    def prompt(self, text: str, *, plain: bool = False) -> str:
        """A sample prompt with the subject in it, or with the class word alone (`plain`, for the base model)."""
        return fill(text, self.class_word if plain else self.subject)

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


def fill(prompt: str, subject: str) -> str:
    """Put a subject into a prompt, with its article: "a {subject} here", "owl" -> "an owl here"."""
    if subject[:1].lower() in tuple("aeiou"):
        prompt = prompt.replace(f"a {PLACEHOLDER}", f"an {PLACEHOLDER}")
    return prompt.replace(PLACEHOLDER, subject)


def parse(values: Mapping[str, Any]) -> RunSpec:
    """A RunSpec from plain values. Raises BadInput that names the first field that is wrong and what it may be."""
    try:
        return RunSpec.model_validate(dict(values))
    except ValidationError as error:
        raise explain(error) from error


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


PLAIN_RULES = {  # pydantic's kind of problem -> its rule in plainer words
    "int_parsing": "It must be a whole number",
    "int_from_float": "It must be a whole number",
    "float_parsing": "It must be a number",
    "finite_number": "It must be a number",
    "bool_parsing": "It must be yes or no",
}
RULE_BEGINS = re.compile("^(Input|String|Tuple) should")


def explain(error: ValidationError, model: type[BaseModel] = RunSpec) -> BadInput:
    """The first thing that pydantic found in values for `model`, in one sentence for a person."""
    return explain_all(error, model)[0]


def explain_all(error: ValidationError, model: type[BaseModel] = RunSpec) -> list[BadInput]:
    """All that pydantic found in values for `model`, one sentence each."""
    return [_sentence(problem, model) for problem in error.errors(include_url=False)]


def _sentence(problem: Mapping[str, Any], model: type[BaseModel]) -> BadInput:
    path = [str(part) for part in problem["loc"]]
    if path[:1] == ["adapter"] and path[1:2] and path[1] in METHODS:
        del path[1]  # pydantic names the member of the union there
    field, given = ".".join(path), problem["input"]
    if problem["type"] == "value_error":
        words = str(problem["ctx"]["error"])
        if path in ([], ["adapter"]):  # a rule between fields; its sentence begins with the one to change
            return BadInput(words, "Change one of them.", ".".join([*path, words.split(" ")[0]]))
        return BadInput(words, "", field)
    if problem["type"] == "missing":
        return BadInput(f"{field} is not given.", _describe(path, model), field)
    if problem["type"] == "extra_forbidden":
        return BadInput(f"{field}: there is no such setting.", "Check its spelling, or leave it out.", field)
    if problem["type"] == "string_too_short":
        return BadInput(f"{field} is empty.", _describe(path, model), field)
    if problem["type"].startswith("union_tag"):
        return BadInput("adapter.method: no such method.", problem["msg"].rpartition("expected tags: ")[2], field)
    given = repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:76]} ..."
    rule = RULE_BEGINS.sub("It must", problem["msg"]).replace(" after validation", "")
    rule = PLAIN_RULES.get(problem["type"], rule)
    return BadInput(
        f"{field}: {given} cannot be used. {rule}.",
        _describe(path, model),
        field,
    )


def _describe(path: list[str], model: type[BaseModel]) -> str:
    """The description of the field of `model` at `path`, if it is one."""
    for part in path:
        kinds = SPECS.values() if part != path[0] and path[0] == "adapter" else [model]
        info = next((kind.model_fields[part] for kind in kinds if part in kind.model_fields), None)
        if info is None:
            return ""
        model = info.annotation if isinstance(info.annotation, type) else model
    return info.description or ""
