"""The keys of LoRA files in all their spellings: which layer a tensor is of, which part of it, and what is no LoRA.

A key is a prefix, a layer's name and an end: `lora_unet_` `mid_block_attentions_0_proj_in` `.lora_down.weight`. Nothing
is known here of the model: what the names mean is settled in imports.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENDS = {  # how a key ends -> which part of a layer it holds
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".alpha": "alpha",
    ".dora_scale": "dora_scale",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_mid.weight": "mid",
}
PEFT = "base_model.model."
UNDERSCORED = ("lora_unet_", "lycoris_")  # behind these a name is written with underscores
PREFIXES = (*UNDERSCORED, "unet.", PEFT, "model.diffusion_model.", "diffusion_model.")
TEXT_ENCODER = (
    "lora_te_",
    "lora_te1_",
    "text_encoder.",
    "text_encoders.",
    "clip_l.",
    "cond_stage_model.",
    "lycoris_text_model_",
    "lycoris_encoder_layers_",
    f"{PEFT}text_model.",
)
EMBEDDING = "bundle_emb."  # what some trainers add to a file: bundle_emb.<word>.<tensor>
PEFT_NAME = re.compile(r"(\.lora_(?:A|B|magnitude_vector))\.(?!weight$)([^.]+)(?=\.weight$|$)")

FAMILIES = {  # how a header names the model -> what a person calls it
    "stable-diffusion-xl": "Stable Diffusion XL",
    "sdxl": "Stable Diffusion XL",
    "stable-diffusion-3": "Stable Diffusion 3",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "pixart": "PixArt",
}
ROOT = r"(lora_)?transformer[._]|base_model\.model\.|lora_unet_"  # before the name of a model's first module
SIGNS = (  # what only one family's keys hold, most telling first
    (re.compile(r"double_blocks|single_blocks|single_transformer_blocks"), "Flux"),
    (re.compile(rf"^({ROOT})?transformer_blocks[._]\d+[._]attn[12]"), "PixArt"),
    (re.compile(r"joint_blocks|^(lora_)?transformer[._]"), "Stable Diffusion 3 or Flux"),
    (re.compile(r"^lora_te2_|^text_encoder_2\.|[._]transformer_blocks[._][1-9]"), "Stable Diffusion XL"),
)
PARTS = "lora|hada|lokr|b?oft|delora|vera|hra|ia3"  # how the names of adapters' own tensors begin
OTHER_KINDS = {
    re.compile(sign): kind
    for sign, kind in {
        r"[._]hada_": "LoHa",
        r"[._]lokr_": "LoKr",
        r"[._]b?oft_": "OFT",
        r"[._]delora_": "PEFT's DeLoRA",
        r"\.on_input$|[._]ia3_l": "IA3",
        r"\.a1\.weight$": "GLoRA",
        r"[._]vera_": "VeRA",
        r"[._]hra_": "HRA",
        r"[._]lora_embedding_": "LoRA on a layer of embeddings",
        r"\.lora_diag": "KaSA, a LoRA that also changes the base weights",
        r"\.lora_E(\.|$)|\.lora_[AB]$": "AdaLoRA",
        r"\.lora_(B|up)(\.[^.]+)?\.bias$": "a bias beside each LoRA (lora_bias)",
        rf"^base_model\.model\.(?!.*\.({PARTS})_).*\.(weight|bias)$": "whole layers beside it (modules_to_save)",
        r"\.(diff|diff_b|w_norm|b_norm)$": "whole differences of weights",
    }.items()
}


@dataclass(frozen=True)
class Keys:
    """A file's keys, sorted out.

    layers: name of a layer of the UNet, with its prefix -> part -> key.
    text_encoder, embeddings: names of what the UNet does not have.
    """

    layers: dict[str, dict[str, str]] = field(default_factory=dict)
    text_encoder: list[str] = field(default_factory=list)
    embeddings: list[str] = field(default_factory=list)


def sorted_out(path: Path, keys: Iterable[str]) -> Keys:
    """The keys by the layers they belong to. Raises ValueError where one is not of a LoRA."""
    found, unknown, peft_names = Keys(), [], set()
    text_encoder, embeddings = {}, {}
    for key in keys:
        if key.startswith(EMBEDDING):
            embeddings[key.removeprefix(EMBEDDING).partition(".")[0]] = None
            continue
        if match := PEFT_NAME.search(key):
            peft_names.add(match[2])
        named = PEFT_NAME.sub(r"\1", key)
        end = next((end for end in ENDS if named.endswith(end)), None)
        if key.startswith(TEXT_ENCODER):  # not used here, so it need not be known
            text_encoder[named.removesuffix(end) if end else named.rpartition(".")[0]] = None
        elif end is None:
            unknown.append(key)
        else:
            name = named.removesuffix(end)
            if name.startswith(UNDERSCORED):  # some converters leave points in such names
                name = name.replace(".", "_")
            found.layers.setdefault(name, {})[ENDS[end]] = key
    if unknown:
        raise ValueError(f"{path}: not a LoRA file; it holds {_some(unknown)}.")
    if len(peft_names) > 1:
        raise ValueError(f"{path}: holds the adapters {', '.join(sorted(peft_names))}. Save each as a file of its own.")
    found.text_encoder.extend(text_encoder)
    found.embeddings.extend(embeddings)
    return found


def check_kind(path: Path, keys: Iterable[str], metadata: Mapping[str, str]) -> None:
    """Raises ValueError where a file is for another family of models, or of another kind than LoRA and DoRA."""
    named = " ".join(metadata.get(key, "") for key in ("modelspec.architecture", "ss_base_model_version")).lower()
    family = next((family for start, family in FAMILIES.items() if start in named), None)
    family = family or next((family for sign, family in SIGNS if any(sign.search(key) for key in keys)), None)
    if family:
        raise ValueError(f"{path}: made for {family}. Only LoRA files for Stable Diffusion 1.x and 2.x can be used.")
    ours = [key for key in keys if not key.startswith((*TEXT_ENCODER, EMBEDDING))]
    kinds = [kind for sign, kind in OTHER_KINDS.items() if any(sign.search(key) for key in ours)]
    if kinds:
        raise ValueError(f"{path}: holds {' and '.join(kinds)}, not LoRA. Only LoRA and DoRA files can be imported.")


def plain(name: str) -> str:
    """A layer's name without what stands around it in the different styles."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    name = name.replace(".processor.", ".")
    return f"{name}.0" if name.endswith(".to_out") else name


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
