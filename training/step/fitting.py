"""Whether a spec fits its base model, from the base's configs alone: `training.step.validate` without torch.

A page asks this at every press, in a process that must stay light. What is said here must be what `validate` finds on
the real modules; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from training.errors import BadInput

if TYPE_CHECKING:
    from training.base.capabilities import Capabilities
    from training.spec import RunSpec

BOTH_SIDES = ("ether-plus",)  # methods whose blocks must divide a layer's outputs as well as its inputs
PAIRED = ("ether-plus-high-rank", "ether-plus-relaxed")  # half of the rank for each side
PREDICTIONS = ("epsilon", "v_prediction", "sample")
Value = TypeVar("Value")


def faults(spec: RunSpec, caps: Capabilities, *, gpu: bool = True) -> list[BadInput]:
    """Everything about `spec` that cannot be trained on a base model with `caps`; each names its field.

    gpu: whether the computer has one; a CPU cannot train in fp16.
    """
    found = []
    multiple, size = caps.size_multiple, spec.resolution or caps.size_px
    if size % multiple:
        fitting = max(round(size / multiple), 1) * multiple
        words = f"{size} pixels do not fit the base model."
        found.append(BadInput(words, f"Choose a multiple of {multiple}: {fitting}.", "resolution"))
    if spec.mixed_precision == "fp16" and not gpu:
        found.append(BadInput("A CPU cannot train in fp16.", "Choose auto, no or bf16.", "mixed_precision"))
    if caps.prediction_type not in PREDICTIONS:
        words = f"The base model predicts {caps.prediction_type!r}, which cannot be trained."
        found.append(BadInput(words, f"Known: {', '.join(PREDICTIONS)}.", "base"))
    return found + _adapter_faults(spec, adapted(spec, caps))


def adapted(spec: RunSpec, caps: Capabilities) -> dict[str, tuple[int, int]]:
    """The layers that get an adapter: module path -> (in, out)."""
    return {path: size for path, size in caps.linears.items() if any(_meant(path, end) for end in spec.targets)}


def rank_of(spec: RunSpec, path: str) -> int:
    """The rank of the layer at `path`; 0 where the method has none."""
    own = _match(path, getattr(spec.adapter, "rank_pattern", {}))
    return getattr(spec.adapter, "rank", 0) if own is None else own


def _adapter_faults(spec: RunSpec, layers: Mapping[str, tuple[int, int]]) -> list[BadInput]:
    found = []
    for target in spec.targets:
        if not any(_meant(path, target) for path in layers):
            words = f"No layer's name ends in {target!r}."
            found.append(BadInput(words, "Usual are to_q, to_k, to_v and to_out.0.", "targets"))
    for pattern in ("rank_pattern", "lambda_pattern"):
        for end, value in getattr(spec.adapter, pattern, {}).items():
            if not any(_ends(path, end) for path in layers):
                found.append(BadInput(f"No adapted layer's name ends in {end!r}.", "", f"adapter.{pattern}"))
            elif value <= 0:
                found.append(BadInput(f"{end}: {value:g} cannot be used.", "It must be above 0.", f"adapter.{pattern}"))
    if ceiling := getattr(spec.adapter, "lambda_max", None):
        for end, value in spec.adapter.lambda_pattern.items():
            if value > ceiling:
                words = f"{end}: {value:g} lies above the ceiling, {ceiling:g}."
                found.append(BadInput(words, "Change one of them.", "adapter.lambda_pattern"))
    # One sentence for all layers of a fault: from the narrowest.
    narrow = sorted(layers, key=lambda path: min(layers[path]))
    for check in (_rank_fault, _blocks_fault):
        found += [fault for path in narrow if (fault := check(spec, path, layers[path]))][:1]
    return found


def _rank_fault(spec: RunSpec, path: str, size: tuple[int, int]) -> BadInput | None:
    rank, smallest = rank_of(spec, path), min(size)
    own = _match(path, getattr(spec.adapter, "rank_pattern", {})) is not None
    field = "adapter.rank_pattern" if own else "adapter.rank"
    if rank > smallest:
        words = f"A rank of {rank} is more than a layer has: {path} has {size[0]} inputs and {size[1]} outputs."
        return BadInput(words, f"Choose at most {smallest}.", field)
    if spec.adapter.method in PAIRED and rank % 2:
        return BadInput(f"A rank of {rank} is odd.", "This method needs an even one: half for each side.", field)
    return None


def _blocks_fault(spec: RunSpec, path: str, size: tuple[int, int]) -> BadInput | None:
    blocks = getattr(spec.adapter, "blocks", None)
    for features in size if spec.adapter.method in BOTH_SIDES else size[:1]:
        if blocks and features % blocks:
            words = f"{blocks} blocks do not divide the {features} features of {path}."
            return BadInput(words, "Choose a number that divides them, such as 4.", "adapter.blocks")
    return None


def _match(path: str, pattern: Mapping[str, Value]) -> Value | None:
    """The value whose key is the longest end of `path`, as `delora.config.match`."""
    ends = [end for end in pattern if _ends(path, end)]
    return pattern[max(ends, key=len)] if ends else None


def _meant(path: str, target: str) -> bool:
    """Whether a target means the layer at `path`; "*" means all."""
    return target == "*" or _ends(path, target)


def _ends(path: str, end: str) -> bool:
    """Whether `end` is whole names at the end of `path`."""
    return path == end or path.endswith(f".{end}")
