"""Plain LoRA files of other programs, read into one form: for each layer its two matrices and their scale.

Read are
- kohya's keys: `lora_unet_<name>.lora_down.weight`, `.lora_up.weight`, `.alpha`, `.dora_scale`; LyCORIS' with
  `lycoris_` for `lora_unet_`;
- diffusers' of all ages: `unet.<path>.lora_A.weight`, `.lora_magnitude_vector`; `unet.<path>.lora.down.weight`;
  `unet.<path of the attention>.processor.to_q_lora.down.weight`;
- ComfyUI's: `diffusion_model.<path>.lora_down.weight`;
- PEFT's: `base_model.model.<path>.lora_A.weight`, with the adapter_config.json beside the file.

How keys are spelt is in lorakeys.py, which of PEFT's settings a plain file cannot follow in peftsettings.py. Nothing is
known here of the model: what the names mean is settled in imports.py.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .config import match
from .files import FORMAT, opened, reader
from .lorakeys import PEFT, check_kind, plain, sorted_out
from .peftsettings import check_settings

DORA_DIVISOR = "delora.dora_divisor"  # in the header of our own files for ComfyUI: the norm that the reader divides by


@dataclass(frozen=True)
class LoraLayer:
    """One layer's share: dW = scale * up @ down, and with a magnitude m W' = m (W + dW) / ||W + dW||."""

    down: Tensor  # (r, in), fp32; (r, in, h, w) of a convolution larger than 1 x 1
    up: Tensor  # (out, r)
    scale: float  # alpha / r
    magnitude: Tensor | None = None  # (out, 1): norms per output row; (1, in): per input column


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file, checked for everything that can be checked without the model."""

    path: Path
    layers: Mapping[str, LoraLayer]  # of the UNet, by the file's own name for it: kohya's with underscores, or a path
    text_encoder: tuple[str, ...]  # names of layers of the text encoder
    embeddings: tuple[str, ...]  # words whose embeddings the file brings along
    metadata: Mapping[str, str]


@reader
def read_lora(path: str | os.PathLike[str]) -> LoraFile:
    """Reads a plain LoRA file, or the one in a folder, as PEFT and diffusers write them.

    Raises ValueError where it is missing, damaged, of a native adapter, of another kind than LoRA and DoRA, of another
    family of models, incomplete, belongs to changed base weights, or holds keys that are not known or numbers that are
    not finite.
    """
    path = _in_folder(Path(path))
    with opened(path) as file:
        metadata = dict(file.metadata() or {})
        if metadata.get("format") == FORMAT:
            raise ValueError(f"{path}: is a native adapter file already. Use it as it is.")
        keys = sorted(file.keys())
        check_kind(path, keys, metadata)
        found = sorted_out(path, keys)
        tensors = {key: file.get_tensor(key) for names in found.layers.values() for key in names.values()}
    for key, tensor in tensors.items():
        whole = key.endswith(".alpha") and not tensor.is_complex()  # some programs write alphas as whole numbers
        if not (tensor.is_floating_point() or whole) or not torch.isfinite(tensor.float()).all():
            raise ValueError(f"{path}: {key} holds NaN, infinite or whole numbers. The file is damaged.")
    if not found.layers:
        others = in_words(found.text_encoder, found.embeddings) or "nothing"
        raise ValueError(f"{path}: holds {others} and no layer of the UNet.")
    alphas = _alphas(path, metadata, peft=any(name.startswith(PEFT) for name in found.layers))
    layers = {}
    for name, key_of in found.layers.items():
        parts = {part: tensors[key] for part, key in key_of.items()}
        layers[plain(name)] = _layer(f"{path}: {name}", parts, alphas(name))
    return LoraFile(path, layers, tuple(found.text_encoder), tuple(found.embeddings), metadata)


def in_words(text_encoder: Sequence[str], embeddings: Sequence[str]) -> str:
    """What a file holds that no adapter here can: "2 text encoder layers and 1 embedding"; "" for nothing."""
    counts = (len(text_encoder), "text encoder layer"), (len(embeddings), "embedding")
    return " and ".join(f"{count} {kind}{'s' * (count != 1)}" for count, kind in counts if count)


def _in_folder(path: Path) -> Path:
    """The file that is meant by a folder."""
    if not path.is_dir():
        return path
    known = [path / name for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")]
    found = [file for file in known if file.is_file()] or sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        raise ValueError(f"{path}: a folder with {len(found) or 'no'} .safetensors files. Name the LoRA file itself.")
    return found[0]


def _layer(where: str, parts: Mapping[str, Tensor], header_alpha: float | None) -> LoraLayer:
    if missing := {"down", "up"} - parts.keys():
        raise ValueError(f"{where} lacks its {min(missing)} matrix. The file is damaged.")
    down, up = (_unpadded(parts[part].float()) for part in ("down", "up"))
    if down.ndim not in (2, 4) or up.ndim != 2 or down.shape[0] != up.shape[1]:
        raise ValueError(f"{where}: its matrices, {tuple(down.shape)} and {tuple(up.shape)}, do not fit each other.")
    if "mid" in parts:  # LyCORIS can cut a convolution in three: one to r channels, the kernel among those, one to out
        mid = parts["mid"].float()
        if mid.ndim != 4 or mid.shape[:2] != (up.shape[1], down.shape[0]) or down.ndim != 2:
            raise ValueError(f"{where}: its three parts do not fit each other.")
        down = torch.einsum("rshw,si->rihw", mid, down)
    rank = down.shape[0]
    alpha = parts["alpha"].item() if "alpha" in parts else rank if header_alpha is None else header_alpha
    return LoraLayer(down, up, alpha / rank, _magnitude(parts))


def _magnitude(parts: Mapping[str, Tensor]) -> Tensor | None:
    """The norms as (out, 1) or (1, in); for what is neither, as they are."""
    if "magnitude" in parts:  # PEFT: one number an output, (out,) or of a convolution (1, out, 1, 1)
        return parts["magnitude"].float().reshape(-1, 1)
    if "dora_scale" not in parts:
        return None
    scale = _unpadded(parts["dora_scale"].float())  # (out, 1) or (1, in); of convolutions (out, 1, 1, 1), (1, in, 1, 1)
    return scale.unsqueeze(1) if scale.ndim == 1 else scale


def _unpadded(t: Tensor) -> Tensor:
    """Without a 1 x 1 kernel: (r, in, 1, 1) -> (r, in)."""
    return t.flatten(1) if t.ndim == 4 and t.shape[2:] == (1, 1) else t


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
    check_settings(path, config)

    def of(name: str) -> float | None:
        alpha = match(plain(name), alphas) or config.get("lora_alpha")
        if alpha is None or not config.get("use_rslora"):
            return alpha
        return alpha * math.sqrt(match(plain(name), ranks) or config["r"])  # rsLoRA scales by alpha / sqrt(r)

    return of


def _ends(pattern: Mapping[str, float]) -> dict[str, float]:
    """PEFT's patterns are regular expressions; ends of names are all that its and diffusers' own files hold."""
    if strange := [end for end in pattern if not re.fullmatch(r"\^?[\w.]+", end)]:
        raise ValueError(f"the pattern {strange[0]!r} is not the end of a layer's name")
    return {end.removeprefix("^"): float(value) for end, value in pattern.items()}
