"""One line of the table: what a variant keeps exactly, and how near its exports come when others load them."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

import delora
from benchmarks.methods.besidepeft import PEFT, gradient_beside_peft
from benchmarks.methods.exports import loaded, write_all
from benchmarks.methods.unet import Batch, difference, make_batch, make_unet, output, train
from benchmarks.methods.variants import VARIANTS, rate


@dataclass
class Row:
    """One line of the table. Differences are relative to |y|max; None where there is nothing to measure.

    exports: "kohya float32" -> difference, for each format that holds the method. gradient: the largest relative
    difference from PEFT's. changed: how far the adapter moves the output. bound: how much of it the furthest layer used
    at 100 times the learning rate.
    """

    name: str
    method: str
    identity: float = 0.0
    gradient: float | None = None
    bound: float | None = None
    moved: float = 0.0
    changed: float = 0.0
    detach: float = 0.0
    merge: float = 0.0
    exports: dict[str, float] = field(default_factory=dict)


def measure(name: str) -> Row:
    """The row of one variant."""
    config = delora.AdapterConfig(**VARIANTS[name])
    row = Row(name, config.method)
    unet, batch, lr = make_unet(), make_batch(), rate(config.method)
    base = output(unet, batch)
    adapter = delora.attach(unet, config)
    row.identity = difference(output(unet, batch), base)
    train(unet, adapter, batch, lr)
    row.moved = sum(layer.relative for layer in adapter.geometry()) / len(adapter.layers)
    wanted = output(unet, batch)
    twin = copy.deepcopy(unet)
    merged(twin)
    row.merge = difference(output(twin, batch), wanted)
    load_back(row, unet, adapter, batch, base, wanted)
    row.gradient = gradient_beside_peft(name) if name in PEFT else None
    row.bound = share_of_bound(config, lr)
    return row


def measure_wide(name: str, unet: nn.Module) -> Row:
    """What the files of one variant lose on a UNet of Stable Diffusion 1.5's size, at the presets' lambda."""
    settings = {key: value for key, value in VARIANTS[name].items() if key != "lambda_"}
    config = delora.AdapterConfig(**settings)
    row, batch = Row(name, config.method), make_batch(text_width=unet.config.cross_attention_dim)
    base = output(unet, batch)
    adapter = delora.attach(unet, config)
    train(unet, adapter, batch, rate(config.method))
    row.moved = sum(layer.relative for layer in adapter.geometry()) / len(adapter.layers)
    wanted = output(unet, batch)
    row.changed = difference(base, wanted)
    load_back(row, unet, adapter, batch, base, wanted)
    return row


def load_back(row: Row, unet: nn.Module, adapter: delora.Adapter, batch: Batch, base: Tensor, wanted: Tensor) -> None:
    """Writes all exports of the attached adapter, takes it off, and measures what the UNet gives with each of them."""
    with tempfile.TemporaryDirectory() as folder:
        written = list(write_all(adapter, Path(folder)))
        adapter.detach()
        row.detach = difference(output(unet, batch), base)
        for kind, path in written:
            with loaded(unet, path) as model:
                row.exports[kind] = difference(output(model, batch), wanted)


def merged(unet: nn.Module) -> None:
    """Folds the one adapter of a copied UNet into its weights, as `Adapter.merge` does."""
    layers = [m for m in unet.modules() if "adapters" in m._modules]
    with torch.no_grad():
        for layer in layers:
            (method,) = layer.adapters.values()
            for key, moved in method.displacements(layer).items():
                getattr(layer, key).copy_((getattr(layer, key).double() + moved).float())
            method.strength = 0.0


def share_of_bound(config: delora.AdapterConfig, lr: float) -> float | None:
    """How much of its bound a layer uses at most in 300 steps at 100 times the learning rate; None without a bound."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"to_q": nn.Linear(64, 48)})
    adapter = delora.attach(net, delora.AdapterConfig(**{**config.to_dict(), "rank_pattern": {}, "targets": ["to_q"]}))
    if adapter.geometry()[0].bound is None:
        return None
    optimizer, furthest = torch.optim.Adam(adapter.parameter_groups(100 * lr, 0.1)), 0.0
    x, target = torch.randn(64, 64), 100 * torch.randn(64, 48)
    for _ in range(300):
        optimizer.zero_grad()
        (net["to_q"](x) - target).square().mean().backward()
        optimizer.step()
        (layer,) = adapter.geometry()
        furthest = max(furthest, layer.distance / layer.bound)
    return furthest
