"""Starting values per base model, method and effort.

Where they come from, and the sweep of the built-in model's learning rates: docs/presets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from training.adapterspec import METHODS, SPECS
from training.errors import BadInput
from training.spec import PROMPTS, USUAL, RunSpec, kind_of, parse

BaseKind = Literal["embedded", "sd"]
Effort = Literal["quick", "balanced", "thorough"]

STEPS: dict[tuple[str, str], dict[str, int]] = {  # (task, base) -> effort -> steps
    ("dreambooth", "embedded"): {"quick": 120, "balanced": 240, "thorough": 400},
    ("dreambooth", "sd"): {"quick": 400, "balanced": 800, "thorough": 1200},
    ("maps", "embedded"): {"quick": 160, "balanced": 400, "thorough": 900},
    ("maps", "sd"): {"quick": 1000, "balanced": 4000, "thorough": 12_000},
}
SAVE_EVERY: dict[tuple[str, str], dict[str, int]] = {
    ("dreambooth", "embedded"): {"quick": 40, "balanced": 60, "thorough": 80},
    ("dreambooth", "sd"): {"quick": 100, "balanced": 200, "thorough": 200},
    ("maps", "embedded"): {"quick": 80, "balanced": 100, "thorough": 180},
    ("maps", "sd"): {"quick": 250, "balanced": 1000, "thorough": 2000},
}
BASES = ("embedded", "sd")
EFFORTS = ("quick", "balanced", "thorough")

COMMON: dict[tuple[str, str], dict[str, Any]] = {
    ("dreambooth", "embedded"): {
        "batch_size": 4,
        "class_pictures": 48,
        "class_steps": 12,
        "sample": {"prompts": PROMPTS, "seeds": (0, 1, 2, 3), "steps": 20, "guidance": 3.0},
    },
    ("dreambooth", "sd"): {
        "batch_size": 1,
        "class_pictures": 100,
        "class_steps": 20,
        "sample": {
            "prompts": (
                "a {subject} in the snow",
                "a {subject} on the beach",
                "a {subject} in the jungle",
                "a {subject} on a cobblestone street",
            ),
            "seeds": (0, 1, 2, 3),
            "steps": 25,
            "guidance": 7.5,
        },
    },
    ("maps", "embedded"): {
        "batch_size": 4,
        "controlnet": "embedded",
        "segmentor": "embedded",
        "held_out": 64,
        "sample": {"seeds": (0,), "steps": 12, "guidance": 3.0},
    },
    ("maps", "sd"): {
        "batch_size": 1,
        "gradient_accumulation": 4,
        "controlnet": "controlnet-seg",
        "segmentor": "segmentor",
        "held_out": 32,
        "sample": {"seeds": (0,), "steps": 25, "guidance": 7.5},
    },
}

# (base, method) -> its own values. Methods that are missing take those of the one they are a variant of.
ADAPTER: dict[tuple[str, str], dict[str, Any]] = {
    ("embedded", "delora"): {
        "adapter": {"rank": 16, "lambda_": 4.0, "weight_norm": "column", "init": "frozen-copy"},
        "learning_rate": 1e-2,
        "learning_rate_lambda": 4e-3,
    },
    ("embedded", "lora"): {"adapter": {"rank": 16, "alpha": 32.0}, "learning_rate": 1e-3},
    ("embedded", "ether-plus"): {"adapter": {}, "learning_rate": 6e-3},
    ("embedded", "oft"): {"adapter": {"blocks": 4}, "learning_rate": 1.5e-3},
    ("embedded", "full"): {"adapter": {}, "targets": ("*",), "learning_rate": 3e-4},
    ("sd", "delora"): {
        "adapter": {"rank": 16, "lambda_": 4.0, "weight_norm": "column", "init": "frozen-copy"},
        "learning_rate": 2e-2,  # Appendix B
        "learning_rate_lambda": 1e-3,
    },
    ("sd", "lora"): {"adapter": {"rank": 16, "alpha": 32.0}, "learning_rate": 6e-4},
    ("sd", "ether-plus"): {"adapter": {}, "learning_rate": 6e-3},
    ("sd", "oft"): {"adapter": {"blocks": 4}, "learning_rate": 6e-4},
    # DreamBooth's own rate; a save holds 3.4 GB, so of the older ones only the recommended stays.
    ("sd", "full"): {"adapter": {}, "targets": ("*",), "learning_rate": 5e-6, "keep_every": 100_000},
}
VARIANT_OF = {"lora-normalised": "delora", "dora": "lora", "dora-fixed": "lora", "ether": "ether-plus"} | {
    method: "ether-plus" for method in METHODS if method.startswith("ether-plus-")
}


def preset(
    base_kind: BaseKind, method: str = "delora", effort: Effort = "balanced", task: str = USUAL
) -> dict[str, Any]:
    """The fields of a RunSpec that task, base, method and effort decide. Raises BadInput for an unknown one."""
    kind_of(task)
    for field, value, known in (
        ("base", base_kind, BASES),
        ("adapter.method", method, METHODS),
        ("effort", effort, EFFORTS),
    ):
        if value not in known:
            raise BadInput(f"{field}: there is no {value!r}.", f"Choose one of {', '.join(known)}.", field)
    own = dict(ADAPTER.get((base_kind, method)) or ADAPTER[base_kind, VARIANT_OF[method]])
    readable = SPECS[method].model_fields
    own["adapter"] = {key: value for key, value in own["adapter"].items() if key in readable} | {"method": method}
    if "lambda_" not in readable:
        own.pop("learning_rate_lambda", None)
    length = {"steps": STEPS[task, base_kind][effort], "save_every": SAVE_EVERY[task, base_kind][effort]}
    return {"task": task, **COMMON[task, base_kind], **own, **length}


def make_spec(base_kind: BaseKind, method: str = "delora", effort: Effort = "balanced", **changes: Any) -> RunSpec:
    """A RunSpec from a preset and what the person gave; of `adapter` and `sample` single settings may be given.

    changes: `task` among them chooses the presets. Raises BadInput as `training.spec.parse`.
    """
    return parse(merged(preset(base_kind, method, effort, changes.get("task", USUAL)), changes))


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` in them, group by group."""
    result = dict(values)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
