"""Plain LoRA and DoRA files as adapters of this program: attached like one of its own, and savable as a native file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import Tensor, nn

from .config import AdapterConfig
from .factorise import balanced
from .inject import Adapter, attach
from .lorafile import DORA_DIVISOR, LoraFile, LoraLayer, in_words, read_lora

__all__ = ["HoldsOthers", "LoraFile", "attach_lora", "read_lora"]


class HoldsOthers(ValueError):
    """A file holds layers that adapters do not sit on here, and nobody has said that they may be left out."""


def attach_lora(
    model: nn.Module,
    file: LoraFile,
    *,
    ignore_others: bool = False,
    name: str = "default",
    aliases: Mapping[str, str] | None = None,
) -> tuple[Adapter, str]:
    """Attaches a LoRA file to `model`, every layer with its own rank and alpha: as `lora`, or as one of the DoRAs.

    Returns the adapter, and in words what of the file was left out ("" for nothing): layers of the text encoder and
    embeddings, which adapters do not sit on here. They are left out only with `ignore_others`. `aliases` has other
    names of the model's modules -> their paths, such as those of the original code.

    Raises, with nothing attached, HoldsOthers where the file has such others, and ValueError where it does not fit the
    model.
    """
    layers = _found(model, file, aliases or {})
    left_out = in_words(file.text_encoder, file.embeddings)
    if left_out and not ignore_others:
        raise HoldsOthers(
            f"{file.path}: besides {len(layers)} layers of the UNet it holds {left_out}, which cannot be adapted here. "
            "Without them it draws other pictures than in other programs."
        )
    weights = {path: model.get_submodule(path).weight.detach() for path in layers}
    for path, layer in layers.items():
        _check_shape(file, path, layer, weights[path])
    layers = {path: _shortened(layer) for path, layer in layers.items()}
    ranks = {path: layer.down.shape[0] for path, layer in layers.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    config = AdapterConfig(
        method=_method(file, layers),
        targets=tuple(layers),
        rank=rank,
        rank_pattern={path: r for path, r in ranks.items() if r != rank},
    )
    adapter = attach(model, config, name=name)
    state = adapter.state_dict()
    for path, layer in layers.items():
        state[f"{path}.A"] = layer.down
        state[f"{path}.B"] = layer.up * (layer.scale / adapter.layers[path].scale)  # every layer's alpha is now 2r
        if layer.magnitude is not None:
            state[f"{path}.m"] = _magnitude(file, layer, weights[path]).flatten()
    adapter.load_state_dict(state)
    return adapter, left_out


def _found(model: nn.Module, file: LoraFile, aliases: Mapping[str, str]) -> dict[str, LoraLayer]:
    """The file's layers by module path, in the model's order."""
    modules = dict(model.named_modules())
    paths = dict(aliases) | {path: path for path in modules}
    paths |= {name.replace(".", "_"): path for name, path in paths.items()}
    if unknown := [name for name in file.layers if name not in paths]:
        raise ValueError(
            f"{file.path}: made for another model; this one has no layer {unknown[0]} ({len(unknown)} of "
            f"{len(file.layers)} are not here)."
        )
    for name in file.layers:
        if not isinstance(module := modules[paths[name]], (nn.Linear, nn.Conv2d)):
            raise ValueError(f"{file.path}: {name} is a {type(module).__name__} here, not a linear layer.")
    layers = {paths[name]: layer for name, layer in file.layers.items()}
    if len(layers) < len(file.layers):
        raise ValueError(f"{file.path}: holds {len(file.layers) - len(layers)} layers twice, under two names.")
    return {path: layers[path] for path in modules if path in layers}


def _check_shape(file: LoraFile, path: str, layer: LoraLayer, weight: Tensor) -> None:
    found, wanted = (layer.up.shape[0], *layer.down.shape[1:]), tuple(weight.shape)
    wanted = wanted[:2] if wanted[2:] == (1, 1) else wanted  # as LoraLayer has it
    if found != wanted:
        raise ValueError(
            f"{file.path}: made for another base model; it takes {path} for {found[1]} in, {found[0]} out, and here it "
            f"has {wanted[1]} in, {wanted[0]} out."
        )
    if layer.magnitude is not None and layer.magnitude.shape not in ((wanted[0], 1), (1, wanted[1])):
        raise ValueError(f"{file.path}: {path}: a magnitude of shape {tuple(layer.magnitude.shape)} does not fit.")


def _shortened(layer: LoraLayer) -> LoraLayer:
    """The same layer as two matrices, of a rank that its weight can have; some files have a larger one."""
    down, up = layer.down.flatten(1), layer.up
    if down.shape[0] > min(down.shape[1], up.shape[0]):
        down, up = (t.float() for t in balanced(down, up))
    return LoraLayer(down, up, layer.scale, layer.magnitude)


def _method(file: LoraFile, layers: Mapping[str, LoraLayer]) -> str:
    kinds = {
        "lora" if m is None else "dora" if m.shape[1] == 1 else "dora-columns"
        for m in (layer.magnitude for layer in layers.values())
    }
    if len(kinds) > 1:
        raise ValueError(f"{file.path}: mixes {' and '.join(sorted(kinds))}; one file must be of one kind.")
    return kinds.pop()


def _magnitude(file: LoraFile, layer: LoraLayer, weight: Tensor) -> Tensor:
    """m, the norms that the adapted weight gets."""
    if DORA_DIVISOR not in file.metadata:
        return layer.magnitude
    # A file for ComfyUI, which divides by ||w_i|| where DoRA means ||w_i + dw_i||: its scales make up for that.
    weight = weight.double().cpu().flatten(1)
    changed = weight + layer.scale * (layer.up.double() @ layer.down.double())
    return layer.magnitude * (changed.norm(dim=1, keepdim=True) / weight.norm(dim=1, keepdim=True))
