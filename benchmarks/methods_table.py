"""The table of docs/methods.md: what each method keeps exactly, and how near its exports come when others load them.

    python -m benchmarks.methods_table           # measures and writes the table into docs/methods.md, some minutes
    python -m benchmarks.methods_table --print   # only prints it
    python -m benchmarks.methods_table --wide    # prints only what files lose, at Stable Diffusion 1.5's own widths

Measured on a UNet with Stable Diffusion 1.5's layout and key names and tiny widths, random weights, after a few steps
of training with several ranks in one adapter. Differences are the largest of the UNet's output, divided by its largest
entry; exports are loaded by stock diffusers and stock PEFT.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

import assets
import delora
from delora import export
from training.base import guard

guard.prepare()  # a torchvision that does not match torch would end diffusers' import
import peft  # noqa: E402
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel  # noqa: E402

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- table: python -m benchmarks.methods_table -->", "<!-- end of the table -->"
WIDTHS = {"block_out_channels": [64, 96, 128, 128], "cross_attention_dim": 64, "sample_size": 16}
STEPS = 6
LIMITS = {"float32": 5e-6, "float16": 5e-5}
USUAL_MOVE = 0.1  # half precision costs in proportion to ||dW||: its limit is for layers that moved so far, or less
RANKS = {"rank": 4, "rank_pattern": {"attn2.to_k": 2, "to_out.0": 6}}  # even, half for each side of the reflections
PROJECTIONS = ["to_q", "to_k", "to_v", "to_out.0"]
# Lambdas are those of the presets, scaled from widths of 320 and more to these, so that a layer moves as far.
VARIANTS: dict[str, dict] = {
    "LoRA": dict(method="lora", **RANKS),
    "DoRA": dict(method="dora", **RANKS),
    "DoRA, fixed magnitude": dict(method="dora-fixed", **RANKS),
    "DoRA, norms per column": dict(method="dora-columns", **RANKS),
    "Normalised LoRA": dict(method="lora-normalised", lambda_=1.5, **RANKS),
    "DeLoRA": dict(method="delora", lambda_=1.5, **RANKS),
    "DeLoRA, zero start": dict(method="delora", lambda_=1.5, init="zero", **RANKS),
    "DeLoRA, Frobenius": dict(method="delora", weight_norm="frobenius", **RANKS),
    "ETHER": dict(method="ether"),
    "ETHER+, one-sided": dict(method="ether-plus-one-sided"),
    "ETHER+": dict(method="ether-plus"),
    "ETHER+, controllable": dict(method="ether-plus-controllable", lambda_=0.4),
    "ETHER+, high rank": dict(method="ether-plus-high-rank", lambda_=1.5, **RANKS),
    "ETHER+, relaxed": dict(method="ether-plus-relaxed", lambda_=1.5, **RANKS),
    "OFT, 4 blocks": dict(method="oft"),
    "Full finetuning": dict(method="full", targets=("*",)),
}
RATES = {"full": 5e-4, "oft": 1e-3, "lora": 2e-3, "dora": 2e-3, "dora-fixed": 2e-3, "dora-columns": 2e-3}  # else 6e-3
PEFT: dict[str, Callable[[], peft.PeftConfig]] = {  # what PEFT has too, with equal settings
    "LoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, rank_pattern=RANKS["rank_pattern"],
                                    alpha_pattern={"attn2.to_k": 4, "to_out.0": 12}, target_modules=PROJECTIONS),
    "DoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, rank_pattern=RANKS["rank_pattern"], use_dora=True,
                                    alpha_pattern={"attn2.to_k": 4, "to_out.0": 12}, target_modules=PROJECTIONS),
    "DeLoRA, zero start": lambda: peft.DeloraConfig(r=4, delora_lambda=1.5, rank_pattern=RANKS["rank_pattern"],
                                                    target_modules=PROJECTIONS),
    "OFT, 4 blocks": lambda: peft.OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False,
                                            target_modules=PROJECTIONS),
}  # fmt: skip
THEIR_ENDS = {"A": ("lora_A", "delora_A"), "B": ("lora_B", "delora_B"), "m": ("lora_magnitude_vector",)}
THEIR_ENDS |= {"lambda_": ("delora_lambda",), "q": ("oft_R",)}
COMFYUI = {"dora": "`dora_scale`", "dora-fixed": "`dora_scale`", "dora-columns": "`dora_scale`"}
COMFYUI |= {"oft": "differences", "full": "differences"}
FULL_RANK = ("dora", "dora-fixed", "dora-columns", "oft", "full")  # for whose files fp16 is not promised
Batch = tuple[Tensor, Tensor, Tensor]


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


def make_unet(dtype: torch.dtype = torch.float32, widths: dict = WIDTHS) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's UNet, with tiny widths unless told otherwise; always the same random weights."""
    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel.from_config(config | widths).to(dtype).eval()


def make_batch(dtype: torch.dtype = torch.float32, text_width: int = WIDTHS["cross_attention_dim"]) -> Batch:
    """Noisy latents, a timestep, and a text."""
    g = torch.Generator().manual_seed(0)
    latents, text = (
        torch.randn(1, 4, 16, 16, generator=g),
        torch.randn(1, 7, text_width, generator=g),
    )
    return latents.to(dtype), torch.tensor(401), text.to(dtype)


@torch.no_grad()
def output(unet: nn.Module, batch: Batch) -> Tensor:
    return unet(*batch).sample


def difference(y: Tensor, wanted: Tensor) -> float:
    return ((y - wanted).abs().max() / wanted.abs().max()).item()


def train(unet: nn.Module, adapter: delora.Adapter, batch: Batch, lr: float, steps: int = STEPS) -> None:
    """A few steps of Adam towards a fixed random output."""
    target = torch.randn(batch[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    optimizer = torch.optim.Adam(adapter.parameter_groups(lr, min(lr, 1e-3)))
    for _ in range(steps):
        optimizer.zero_grad()
        (unet(*batch).sample - target.to(batch[0].dtype)).square().mean().backward()
        optimizer.step()


def measure(name: str) -> Row:
    """The row of one variant."""
    config = delora.AdapterConfig(**VARIANTS[name])
    row = Row(name, config.method)
    unet, batch, lr = make_unet(), make_batch(), RATES.get(config.method, 6e-3)
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
    train(unet, adapter, batch, RATES.get(config.method, 6e-3))
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


def write_all(adapter: delora.Adapter, folder: Path) -> Iterator[tuple[str, Path]]:
    """Each export that holds the adapter exactly, in both precisions: what it is, and where."""
    for dtype in (torch.float32, torch.float16):
        for kind, write in (("kohya", export.to_kohya), ("diffusers", export.to_diffusers), ("PEFT", export.to_peft)):
            precision = str(dtype).removeprefix("torch.")
            path = folder / f"{kind}-{precision}{'' if kind == 'PEFT' else '.safetensors'}"
            try:
                write(adapter, path, dtype)
            except ValueError:  # this format cannot hold the method
                continue
            yield f"{kind} {precision}", path


@contextmanager
def loaded(unet: UNet2DConditionModel, path: Path) -> Iterator[nn.Module]:
    """The UNet with an export, loaded by stock PEFT (a folder) or stock diffusers (a file)."""
    if path.is_dir():
        model = peft.PeftModel.from_pretrained(unet, path)
        yield model
        model.unload()
        return
    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipe = StableDiffusionPipeline(unet=unet, scheduler=DDIMScheduler(), requires_safety_checker=False, **parts)
    pipe.load_lora_weights(path)
    yield unet
    pipe.unload_lora_weights()


def gradient_beside_peft(name: str) -> float:
    """The largest difference of a gradient from PEFT's in float64, relative to that tensor's largest entry."""
    ours, theirs, batch = make_unet(torch.float64), make_unet(torch.float64), make_batch(torch.float64)
    adapter = delora.attach(ours, delora.AdapterConfig(**VARIANTS[name]))
    train(ours, adapter, batch, RATES.get(VARIANTS[name]["method"], 6e-3), steps=2)
    theirs = peft.get_peft_model(theirs, PEFT[name](), autocast_adapter_dtype=False).base_model.model
    by_name = {key: p for key, p in theirs.named_parameters() if p.requires_grad}
    pairs = []
    for path, layer in adapter.layers.items():
        for key, own in layer.named_parameters():
            (other,) = [by_name[k] for k in by_name if any(k.startswith(f"{path}.{end}.") for end in THEIR_ENDS[key])]
            other.data.copy_(own.data)
            pairs.append((own, other))
    for net in (ours, theirs):
        net.zero_grad()
        net(*batch).sample.square().sum().backward()
    return max(difference(own.grad, other.grad) for own, other in pairs)


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


HEADINGS = ("method", "step 0", "gradient beside PEFT's", "of its bound", "moved", "detached", "merged")
FORMATS = ("kohya", "diffusers", "PEFT")


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    heads = [*HEADINGS, *(f"{kind}, {precision}" for kind in FORMATS for precision in ("fp32", "fp16")), "ComfyUI"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        bound = "no bound" if row.bound is None else f"{100 * row.bound:.0f} %"
        gradient = "-" if row.gradient is None else _short(row.gradient)
        cells = [f"{row.name} (`{row.method}`)", _short(row.identity), gradient, bound, f"{100 * row.moved:.1f} %"]
        cells += [_short(row.detach), _short(row.merge)]
        cells += [_short(row.exports.get(f"{kind} {p}")) for kind in FORMATS for p in LIMITS]
        lines.append([*cells, COMFYUI.get(row.method, "the kohya file")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def wide_table(rows: list[Row]) -> str:
    """What files lose at Stable Diffusion 1.5's own widths, in Markdown."""
    lines = [("method", "moved", "output changed", *(f"{kind}, {p}" for kind in FORMATS for p in ("fp32", "fp16")))]
    lines.append(("---",) * len(lines[0]))
    for row in rows:
        exports = (_short(row.exports.get(f"{kind} {p}")) for kind in FORMATS for p in LIMITS)
        name, moved, changed = f"{row.name} (`{row.method}`)", f"{100 * row.moved:.1f} %", f"{100 * row.changed:.0f} %"
        lines.append((name, moved, changed, *exports))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(value: float | None) -> str:
    return "-" if value is None else "exact" if value == 0 else f"{value:.1e}"


def write(text: str) -> None:
    """Puts the table between the marks of the page."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print the table and leave the page as it is")
    parser.add_argument("--wide", action="store_true", help="Stable Diffusion 1.5's own widths, its files only")
    parser.add_argument("--only", default="", help="measure only variants whose name holds this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [name for name in VARIANTS if options.only.lower() in name.lower()]
    if options.wide:
        unet = make_unet(widths={}).requires_grad_(False)
        print(wide_table([measure_wide(name, unet) for name in names if VARIANTS[name]["method"] not in FULL_RANK]))
        return
    rows = [measure(name) for name in names]
    print(table(rows))
    if not options.print and not options.only:
        write(table(rows))


if __name__ == "__main__":
    main()
