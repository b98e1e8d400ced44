"""PEFT's settings that make more of an adapter than its two matrices: what such a file means without them is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Starts of LoRA that take the first B A out of the base weight (peft/tuners/lora/layer.py): what is saved is the whole
# of B A, and belongs to a base weight that no file holds. PEFT's other starts, eva, mica, orthogonal and gaussian,
# leave the base as it is.
CHANGE_THE_BASE = ("pissa", "olora", "corda", "lora_ga")
QUANTISED = ("loftq",)
CONVERT = (
    "Save it again in PEFT with save_pretrained(FOLDER, path_initial_model_for_weight_conversion=FOLDER_OF_THE_START), "
    "which makes a plain LoRA of it."
)
VARIANTS = {  # settings that change what the two matrices do, or add to them
    "kasa_config": "KaSA, a LoRA that also changes the base weights",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "a router of several LoRAs (Arrow)",
    "alora_invocation_tokens": "aLoRA, which acts after certain tokens only",
    "monteclora_config": "MonteCLoRA",
    "lora_bias": "a bias beside each LoRA (lora_bias)",
    "modules_to_save": "whole layers beside a LoRA (modules_to_save)",
    "layer_replication": "a LoRA on repeated layers (layer_replication)",
}


def check_settings(path: Path, config: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the setting, where an adapter with `config` is not W + (alpha / r) B A."""
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(CHANGE_THE_BASE):
        raise ValueError(
            f"{path}: made with init_lora_weights={config['init_lora_weights']!r}, so it belongs to base weights that "
            f"PEFT changed at the start, and would do something quite different here. {CONVERT}"
        )
    if start.startswith(QUANTISED):
        raise ValueError(
            f"{path}: made with init_lora_weights={config['init_lora_weights']!r}, so it belongs to quantised base "
            "weights, which are not used here. Train it on the plain base model."
        )
    if kinds := [kind for setting, kind in VARIANTS.items() if config.get(setting)]:
        raise ValueError(f"{path}: holds {' and '.join(kinds)}. Only plain LoRA and DoRA can be imported.")
