"""The native adapter file: safetensors with a header that says what it is, validated strictly on load.

Tensors are `<module path>.<tensor>`, as in `Adapter.state_dict`. The header (safetensors' string metadata) holds
`format`, `version`, `config` and `weight_norms` (||W||_F of each adapted layer, to recognise the base model), and
whatever the caller adds: trigger word, base model, scores.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from .config import AdapterConfig
from .geometry import frobenius
from .inject import Adapter, attach

T = TypeVar("T")
FORMAT = "delora-studio adapter"
VERSION = "1"
OWN_KEYS = ("format", "version", "config", "weight_norms")
LARGEST_HEADER_BYTES = 100_000_000  # as safetensors has it; covers and word lists of many pictures fill megabytes
PICKLES = (b"PK\3\4", b"\x80")  # how files of torch.save begin, new and old
NORM_TOLERANCE = 0.01  # relative: above a base model's rounding to half precision, below another model's difference


# What json, safetensors and torch raise at a damaged file, beside ValueError.
FOREIGN = (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, SafetensorError, TypeError)


def reader(function: Callable[..., T]) -> Callable[..., T]:
    """Makes ValueError, naming the file, of whatever the libraries raise while `function(path, ...)` reads it."""

    @functools.wraps(function)
    def read(path: str | os.PathLike[str], *args: Any, **settings: Any) -> T:
        try:
            return function(path, *args, **settings)
        except FOREIGN as error:
            told = str(error).strip().split("\n")[0]
            raise ValueError(f"{path}: damaged ({type(error).__name__}: {told}).") from error

    return read


def save(adapter: Adapter, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Writes `adapter` to `path`, beside-then-rename, with `metadata` added to the header.

    Raises ValueError for NaN or infinite numbers, and for metadata that is not text or uses one of our own keys.
    """
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if key in OWN_KEYS or not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"metadata: {key!r} must be text, under a key other than {', '.join(OWN_KEYS)}.")
    tensors = {key: t.cpu().contiguous() for key, t in adapter.state_dict().items()}
    broken = [key for key, t in tensors.items() if not torch.isfinite(t).all()]
    if broken:
        raise ValueError(f"{broken[0]}: holds NaN or infinite numbers, so the adapter was not saved.")
    norms = {path: frobenius(linear.weight).item() for path, linear in adapter.linears.items()}
    header = {"format": FORMAT, "version": VERSION, "config": json.dumps(adapter.config.to_dict())}
    header["weight_norms"] = json.dumps(norms)
    write_safetensors(tensors, Path(path), metadata | header)


def load(model: nn.Module, path: str | os.PathLike[str], name: str = "default", check_base: bool = True) -> Adapter:
    """Attaches the adapter in the file `path` to `model`.

    Raises ValueError, with the model unchanged, where the file is damaged, not one of ours, or made for another
    model. `check_base=False` accepts another base of the same layout, such as a finetune of it.
    """
    path = Path(path)
    header, tensors = read_header(path), _tensors(path)
    adapter = attach(model, header["config"], name=name)
    try:
        if check_base:
            _check_base(adapter, header["weight_norms"])
        adapter.load_state_dict(tensors)
    except ValueError as error:
        adapter.detach()
        raise ValueError(f"{path}: {error}") from error
    return adapter


@reader
def _tensors(path: Path) -> dict[str, torch.Tensor]:
    with opened(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a mapping


@reader
def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The file's metadata, with `config` as an AdapterConfig and `weight_norms` as a dict; reads no tensor.

    Raises ValueError where the file is missing, damaged or not one of ours.
    """
    with opened(Path(path)) as file:
        header: dict[str, Any] = dict(file.metadata() or {})
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: not an adapter file of DeLoRA Studio. A plain LoRA file has to be imported first.")
    if header.get("version") != VERSION:
        raise ValueError(f"{path}: written by another version ({header.get('version')}); this one reads {VERSION}.")
    try:
        header["config"] = AdapterConfig.from_dict(json.loads(header["config"]))
        header["weight_norms"] = {str(k): float(v) for k, v in json.loads(header["weight_norms"]).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: the header is damaged ({error}).") from error
    rank = max(header["config"].rank, *header["config"].rank_pattern.values(), 1)
    if rank > Path(path).stat().st_size:  # before memory is taken for it
        raise ValueError(f"{path}: the header is damaged (a rank of {rank}).")
    return header


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file beside `path` and renames it, so that a half-written file never has the name.

    Raises OSError where the disk or the folder refuses; safetensors' own error says so only in its text.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(dict(tensors), part, metadata=dict(metadata))
        os.replace(part, path)
    except SafetensorError as error:
        if found := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(code := int(found[1]), os.strerror(code), str(path)) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def opened(path: Path) -> safe_open:
    """The safetensors file at `path`, open. Raises ValueError where it is missing, cut off or damaged."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file.")
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(PICKLES) and int.from_bytes(head, "little") > path.stat().st_size:
        raise ValueError(
            f"{path}: a pickle (as .pt, .ckpt and .bin files are), not a safetensors file; opening it could run code. "
            "Take the .safetensors version, or save it as such with the program that made it."
        )
    header_bytes = int.from_bytes(head, "little")
    if not 0 < header_bytes <= min(LARGEST_HEADER_BYTES, path.stat().st_size):
        raise ValueError(f"{path}: not a safetensors file, or cut off. Copy or download it again.")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged ({error}). Copy or download it again.") from error


def _check_base(adapter: Adapter, expected: Mapping[str, float]) -> None:
    for path, linear in adapter.linears.items():
        norm = frobenius(linear.weight).item()
        if path not in expected or not math.isclose(norm, expected[path], rel_tol=NORM_TOLERANCE):
            raise ValueError(
                f"made for another base model: ||W|| of {path} is {norm:.4g} here and "
                f"{expected.get(path, math.nan):.4g} there. Load the base model that it was trained on."
            )
