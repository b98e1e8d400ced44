"""All settings of a run as a form shows them: names, labels, helps and presets, and between typed text and values.

Types, helps and defaults come from RunSpec and the adapter's fields; only the labels are here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from training import presets
from training.adapterspec import read_fields
from training.errors import BadInput
from training.presets import BaseKind, Effort
from training.spec import KINDS, USUAL, RunSpec

Kind = Literal["text", "number", "switch", "choice", "list", "lines", "pairs"]

# group -> setting -> label: plain words, the field's term in brackets where it is another
GROUPS: dict[str, dict[str, str]] = {
    "Adapter": {
        "adapter.rank": "Rank (r)",
        "adapter.lambda_": "Distance limit (lambda)",
        "adapter.lambda_max": "Never beyond (lambda_max)",
        "adapter.alpha": "Scale (alpha)",
        "adapter.blocks": "Blocks (n)",
        "adapter.init": "Start (init)",
        "adapter.weight_norm": "Unit of the limit (weight norm)",
        "adapter.dropout": "Left out while training (dropout)",
        "targets": "Layers (targets)",
        "adapter.rank_pattern": "Other ranks for some layers (rank pattern)",
        "adapter.lambda_pattern": "Other limits for some layers (lambda pattern)",
    },
    "Training": {
        "steps": "Steps",
        "learning_rate": "Learning rate",
        "learning_rate_lambda": "Learning rate of the limit (lambda)",
        "lr_schedule": "Course of the learning rate (schedule)",
        "warmup_steps": "Steps of rising learning rate (warm-up)",
        "batch_size": "Pictures in a step (batch size)",
        "gradient_accumulation": "Batches in a step (gradient accumulation)",
        "resolution": "Edge of the training pictures (resolution)",
        "flip": "Mirrored pictures too (flip)",
        "weight_decay": "Pull to zero (weight decay)",
        "max_grad_norm": "Longest gradient (gradient clipping)",
        "timestep_sampling": "Noise levels (timestep sampling)",
        "min_snr_gamma": "Weight of noise levels (Min-SNR gamma)",
        "seed": "Seed",
        "instance_prompt": "Caption of your pictures (instance prompt)",
    },
    "Class pictures": {
        "class_pictures": "Class pictures",
        "prior_weight": "Their weight (prior preservation)",
        "class_steps": "Sampler steps for them",
        "class_prompt": "Their caption (class prompt)",
    },
    "Maps": {
        "protocol": "What brings the map in (protocol)",
        "control_kind": "What pictures follow (control)",
        "controlnet": "ControlNet",
        "control_scale": "Hold on the map (control scale)",
        "learning_rate_hint": "Learning rate of the hint encoder",
    },
    "Saves and test pictures": {
        "save_every": "Steps between saves",
        "save_at": "Only at these steps (save at)",
        "keep_every": "Old saves to keep",
        "sample.prompts": "Test prompts",
        "held_out": "Held-out maps",
        "segmentor": "Judge of the pictures (segmentor)",
        "sample.seeds": "Test seeds",
        "sample.steps": "Sampler steps",
        "sample.guidance": "Guidance",
        "sample.negative": "What pictures should not show (negative prompt)",
    },
    "Computer": {
        "mixed_precision": "Half precision (mixed precision)",
        "gradient_checkpointing": "Less memory, slower (gradient checkpointing)",
        "threads": "Processor threads",
    },
}
# Empty follows what else is given: token and kind, as the help says, or the number of pairs.
FOLLOWING = {"instance_prompt": "", "class_prompt": "", "held_out": ""}
FIELDS = {  # what has a field of its own on the page New -> its label there
    "task": "What to teach",
    "pictures": "Pictures",
    "pairs": "Pairs",
    "name": "Its name",
    "class_word": "Its kind (class word)",
    "token": "Word in prompts (token)",
    "base": "Base model",
    "method": "Method",
    "effort": "Effort",
}
ELSEWHERE = ("version", "task", "name", "base", "class_word", "token", "adapter", "sample", "parent", "start_step")


@dataclass(frozen=True)
class SettingField:
    """One setting in the form.

    name: its dotted name in RunSpec. help: "" where the label says it all. kind: how it is typed: a text, a number, a
    switch, one of `choices`, a list (with commas), lines, or pairs ("end of a layer's name: value", one a line).
    default: the preset's value as it would be typed, a bool for a switch. optional: whether empty means something of
    its own, which `help` says.
    """

    name: str
    label: str
    help: str
    kind: Kind
    default: str | bool
    group: str
    choices: tuple[str, ...] = ()
    optional: bool = False


def settings_fields(
    method: str, base: BaseKind = "embedded", effort: Effort = "balanced", task: str = USUAL
) -> list[SettingField]:
    """The settings that a task and `method` use, by group, with the presets for a kind of base model and an effort."""
    asked = {name: "thing" for name, info in KINDS[task].model_fields.items() if info.is_required()}
    values = typed(presets.make_spec(base, method, effort, task=task, **asked)) | FOLLOWING
    found = []
    for group, labels in GROUPS.items():
        for name, label in labels.items():
            info = _info(name, method, task)
            if info is not None:
                kind, choices, optional = _kind(name, info)
                words = _help(label, info)
                found.append(SettingField(name, label, words, kind, values[name], group, choices, optional))
    return found


def label(name: str) -> str:
    """The label of a setting or another field of the page, or the name itself where it has none."""
    return next((labels[name] for labels in (FIELDS, *GROUPS.values()) if name in labels), name)


def typed(spec: RunSpec) -> dict[str, str | bool]:
    """Every setting of a spec that its method uses, as it would be typed, by name."""
    found = {}
    for name in (name for labels in GROUPS.values() for name in labels):
        info = _info(name, spec.adapter.method, spec.task)
        if info is not None:
            value = spec
            for part in name.split("."):
                value = getattr(value, part)
            found[name] = _text(value, _kind(name, info)[0])
    return found


def values(settings: Mapping[str, Any], method: str, task: str = USUAL) -> tuple[dict[str, Any], list[BadInput]]:
    """Typed settings as (nested) values for `training.spec`, which checks them, and what could not even be split.

    Settings that the task or `method` does not use are passed over. An empty one is the preset's, or what empty means
    for it.
    """
    nested: dict[str, Any] = {"adapter": {"method": method}}
    wrong = []
    for name, text in settings.items():
        info = _info(name, method, task)
        if info is None:
            continue
        kind, _, optional = _kind(name, info)
        empty = isinstance(text, str) and not text.strip()
        if empty and not optional:
            continue
        try:
            value = None if empty and optional else _value(text, kind)
        except ValueError as error:
            wrong.append(BadInput(str(error), "Write one a line, such as attn2.to_k: 8.", name))
            continue
        group, _, inner = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[inner] = value
    if "weight_norm" in nested["adapter"]:
        nested["adapter"].setdefault("lambda_", None)  # the preset's is in the preset's unit
    return nested, wrong


def overrides(spec: RunSpec, preset: RunSpec) -> dict[str, str | bool]:
    """The settings of a spec that differ from those of a preset of the same method, as they would be typed."""
    own, usual = typed(spec), typed(preset)
    changed = {name: text for name, text in own.items() if text != usual[name]}
    if "adapter.weight_norm" in changed:
        changed["adapter.lambda_"] = own["adapter.lambda_"]
    return changed


def _info(name: str, method: str, task: str) -> FieldInfo | None:
    """The field behind a name; None where the task or the method does not use it."""
    group, _, inner = name.rpartition(".")
    own = KINDS[task].model_fields
    fields = {"": own, "adapter": read_fields(method), "sample": own["sample"].annotation.model_fields}.get(group, {})
    if name in ELSEWHERE or (name == "learning_rate_lambda" and "lambda_" not in read_fields(method)):
        return None
    return fields.get(inner)


def _help(label: str, info: FieldInfo) -> str:
    """What a field is for, where its label does not say just that."""
    words = info.description or ""
    return "" if words.rstrip(".") == label.partition(" (")[0] else words


def _kind(name: str, info: FieldInfo) -> tuple[Kind, tuple[str, ...], bool]:
    """How a field is typed, its choices, and whether it may be None."""
    annotation, optional = info.annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        parts = get_args(annotation)
        annotation, optional = next(part for part in parts if part is not type(None)), type(None) in parts
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice", tuple(map(str, get_args(annotation))), optional
    if origin is tuple:
        return ("lines" if name == "sample.prompts" else "list"), (), optional
    if origin is dict:
        return "pairs", (), optional
    return {bool: "switch", str: "text"}.get(annotation, "number"), (), optional


def _text(value: Any, kind: Kind) -> str | bool:
    if kind == "switch":
        return value
    if value is None:
        return ""
    if kind == "pairs":
        return "\n".join(f"{end}: {_text(inner, 'number')}" for end, inner in value.items())
    if kind in ("list", "lines"):
        return (", " if kind == "list" else "\n").join(map(str, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _value(text: Any, kind: Kind) -> Any:
    """What `training.spec` reads. Raises ValueError for a pair that is none."""
    if not isinstance(text, str):
        return text
    if kind == "list":
        return [part for part in text.replace(",", " ").split() if part]
    if kind == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == "pairs":
        pairs = [line.rpartition(":") for line in text.splitlines() if line.strip()]
        for end, _, value in pairs:
            if not end.strip() or not value.strip():
                raise ValueError(f"{(end + value).strip()!r} is no name and value.")
        return {end.strip(): value.strip() for end, _, value in pairs}
    return text.strip()
