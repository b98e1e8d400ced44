"""Plain LoRA files of other programs, read into one form: for each layer its two matrices and their scale.

Read are
- kohya's keys: `lora_unet_<name>.lora_down.weight`, `.lora_up.weight`, `.alpha`, `.dora_scale`;
- diffusers' of all ages: `unet.<path>.lora_A.weight`, `.lora_magnitude_vector`; `unet.<path>.lora.down.weight`;
  `unet.<path of the attention>.processor.to_q_lora.down.weight`;
- PEFT's: `base_model.model.<path>.lora_A.weight`, with the adapter_config.json beside the file.

Nothing is known here of the model: what the names mean is settled in imports.py.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .config import match
from .files import FORMAT, opened, reader

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
    ".lora_mid.weight": "mid",
}
TEXT_ENCODER = ("lora_te_", "lora_te1_", "text_encoder.")
FAMILIES = {  # how a header names the model -> what a person calls it
    "stable-diffusion-xl": "Stable Diffusion XL",
    "sdxl": "Stable Diffusion XL",
    "stable-diffusion-3": "Stable Diffusion 3",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
}
SIGNS = (  # what only one family's keys hold, most telling first
    (re.compile(r"double_blocks|single_blocks|single_transformer_blocks"), "Flux"),
    (re.compile(r"joint_blocks|^(lora_)?transformer[._]"), "Stable Diffusion 3 or Flux"),
    (re.compile(r"^lora_te2_|^text_encoder_2\.|[._]transformer_blocks[._][1-9]"), "Stable Diffusion XL"),
)
OTHER_KINDS = {
    re.compile(sign): kind
    for sign, kind in {
        r"\.hada_w": "LoHa",
        r"\.lokr_w": "LoKr",
        r"\.b?oft_": "OFT",
        r"\.delora_": "PEFT's DeLoRA",
        r"\.on_input$": "IA3",
        r"\.a1\.weight$": "GLoRA",
        r"\.(diff|diff_b|w_norm|b_norm)$": "whole differences of weights",
    }.items()
}
PEFT = "base_model.model."
DORA_DIVISOR = "delora.dora_divisor"  # in the header of our own files for ComfyUI: the norm that the reader divides by


@dataclass(frozen=True)
class LoraLayer:
    """One layer's share: dW = scale * up @ down, and with a magnitude m W' = m (W + dW) / ||W + dW||."""

    down: Tensor  # (r, in), fp32; (r, in, h, w) of a convolution
    up: Tensor  # (out, r); (out, r, 1, 1) of a convolution
    scale: float  # alpha / r
    magnitude: Tensor | None = None  # (out, 1): norms per output row; (1, in): per input column


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file, checked for everything that can be checked without the model."""

    path: Path
    layers: Mapping[str, LoraLayer]  # of the UNet, by the file's own name for it: kohya's with underscores, or a path
    text_encoder: tuple[str, ...]  # names of layers of the text encoder
    metadata: Mapping[str, str]


@reader
def read_lora(path: str | os.PathLike[str]) -> LoraFile:
    """Reads a plain LoRA file.

    Raises ValueError where it is missing, damaged, of a native adapter, of another kind than LoRA and DoRA, of another
    family of models, incomplete, or holds keys that are not known or numbers that are not finite.
    """
    path = Path(path)
    with opened(path) as file:
        metadata = dict(file.metadata() or {})
        keys = sorted(file.keys())
        _check_kind(path, keys, metadata)
        parts = _sorted_out(path, keys)
        tensors = {key: file.get_tensor(key) for names in parts.values() for key in names.values()}
    for key, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor.float()).all():
            raise ValueError(f"{path}: {key} holds NaN, infinite or whole numbers. The file is damaged.")
    alphas = _alphas(path, metadata, peft=any(name.startswith(PEFT) for name in parts))
    layers, text_encoder = {}, []
    for name, keys_of in parts.items():
        if name.startswith(TEXT_ENCODER):
            text_encoder.append(name)
            continue
        named = {part: tensors[key] for part, key in keys_of.items()}
        layers[_plain(name)] = _layer(f"{path}: {name}", named, alphas(name))
    if not layers:
        raise ValueError(f"{path}: holds {len(text_encoder)} layers of the text encoder and none of the UNet.")
    return LoraFile(path, layers, tuple(text_encoder), metadata)


def _check_kind(path: Path, keys: list[str], metadata: Mapping[str, str]) -> None:
    if metadata.get("format") == FORMAT:
        raise ValueError(f"{path}: is a native adapter file already. Use it as it is.")
    named = " ".join(metadata.get(key, "") for key in ("modelspec.architecture", "ss_base_model_version")).lower()
    family = next((family for start, family in FAMILIES.items() if start in named), None)
    family = family or next((family for sign, family in SIGNS if any(sign.search(key) for key in keys)), None)
    if family:
        raise ValueError(f"{path}: made for {family}. Only LoRA files for Stable Diffusion 1.x and 2.x can be used.")
    kinds = [kind for sign, kind in OTHER_KINDS.items() if any(sign.search(key) for key in keys)]
    if kinds:
        raise ValueError(f"{path}: holds {' and '.join(kinds)}, not LoRA. Only LoRA and DoRA files can be imported.")


def _sorted_out(path: Path, keys: list[str]) -> dict[str, dict[str, str]]:
    """Layer name, with its prefix -> part -> key."""
    parts: dict[str, dict[str, str]] = {}
    unknown = []
    for key in keys:
        end = next((end for end in ENDS if key.endswith(end)), None)
        if end is None:
            unknown.append(key)
        else:
            parts.setdefault(key.removesuffix(end), {})[ENDS[end]] = key
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ValueError(f"{path}: not a LoRA file; it holds {', '.join(unknown[:3])}{more}.")
    return parts


def _plain(name: str) -> str:
    """A layer's name without what stands around it in the different styles."""
    for prefix in ("lora_unet_", "unet.", PEFT):
        name = name.removeprefix(prefix)
    name = name.replace(".processor.", ".")
    return f"{name}.0" if name.endswith(".to_out") else name


def _layer(where: str, parts: Mapping[str, Tensor], header_alpha: float | None) -> LoraLayer:
    if missing := {"down", "up"} - parts.keys():
        raise ValueError(f"{where} lacks its {min(missing)} matrix. The file is damaged.")
    down, up = parts["down"].float(), parts["up"].float()
    if down.ndim not in (2, 4) or down.ndim != up.ndim or down.shape[0] != up.shape[1]:
        raise ValueError(f"{where}: its matrices, {tuple(down.shape)} and {tuple(up.shape)}, do not fit each other.")
    if "mid" in parts:  # LyCORIS can cut a convolution in three: one to r channels, the kernel among those, one to out
        mid = parts["mid"].float()
        if mid.shape[:2] != (up.shape[1], down.shape[0]) or down.shape[2:] != (1, 1):
            raise ValueError(f"{where}: its three parts do not fit each other.")
        down = torch.einsum("rshw,si->rihw", mid, down.flatten(1))
    rank = down.shape[0]
    alpha = parts["alpha"].item() if "alpha" in parts else rank if header_alpha is None else header_alpha
    magnitude = parts.get("dora_scale", parts.get("magnitude"))
    if magnitude is not None:
        magnitude = magnitude.float()
        magnitude = magnitude.unsqueeze(1) if magnitude.ndim == 1 else magnitude  # diffusers: one number an output
    return LoraLayer(down, up, alpha / rank, magnitude)


def _alphas(path: Path, metadata: Mapping[str, str], peft: bool) -> Callable[[str], float | None]:
    """Layer name -> its alpha, where that is not among the tensors.

    PEFT keeps it in a file of its own; newer diffusers write the same settings into the header.
    """
    try:
        if peft:
            config = json.loads((path.parent / "adapter_config.json").read_text("utf-8"))
        else:
            both = json.loads(metadata.get("lora_adapter_metadata", "{}"))
            config = {key.removeprefix("unet."): value for key, value in both.items() if key.startswith("unet.")}
        if config.get("peft_type", "LORA") != "LORA":
            raise ValueError(f"of the kind {config['peft_type']}")
        alphas, ranks = (_ends(config.get(f"{name}_pattern") or {}) for name in ("alpha", "rank"))
    except (OSError, AttributeError, TypeError, ValueError) as error:
        where = "the adapter_config.json beside it" if peft else "its header"
        raise ValueError(f"{path}: {where} cannot be used ({error}).") from error

    def of(name: str) -> float | None:
        alpha = match(_plain(name), alphas) or config.get("lora_alpha")
        if alpha is None or not config.get("use_rslora"):
            return alpha
        return alpha * math.sqrt(match(_plain(name), ranks) or config["r"])  # rsLoRA scales by alpha / sqrt(r)

    return of


def _ends(pattern: Mapping[str, float]) -> dict[str, float]:
    """PEFT's patterns are regular expressions; ends of names are all that its and diffusers' own files hold."""
    if strange := [end for end in pattern if not re.fullmatch(r"\^?[\w.]+", end)]:
        raise ValueError(f"the pattern {strange[0]!r} is not the end of a layer's name")
    return {end.removeprefix("^"): float(value) for end, value in pattern.items()}
