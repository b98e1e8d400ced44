"""Time and memory of a training step through adapted layers, beside PEFT's, as ratios to PEFT's LoRA.

    python -m benchmarks.adapters                       # a few layer sizes, a minute or two
    python -m benchmarks.adapters --methods all --repeats 200
    python -m benchmarks.adapters --unet 32             # the whole Stable Diffusion 1.5 UNet, 256 px, random weights

All variants run in one process in turns, in a new order each round, and each time is divided by PEFT's LoRA of the same
round, so that what else the machine does falls on all alike. Printed: the median ratio with its quartiles, and what a
step keeps for its backward pass beside what is there anyway: the model's and the adapter's tensors and the input (on a
GPU also the peak).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn

import delora
from training.base import guard

guard.prepare()  # a torchvision that does not match torch would end peft's import
import peft  # noqa: E402

LAYERS = ((320, 4096), (640, 1024), (1280, 256), (1280, 64))  # width, tokens: Stable Diffusion 1.5 at 512 px
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
BASELINE = "PEFT LoRA"
PEFT = {
    BASELINE: lambda r, targets: peft.LoraConfig(r=r, lora_alpha=2 * r, target_modules=list(targets)),
    "PEFT DeLoRA": lambda r, targets: peft.DeloraConfig(r=r, target_modules=list(targets)),
    "PEFT DoRA": lambda r, targets: peft.LoraConfig(r=r, lora_alpha=2 * r, use_dora=True, target_modules=list(targets)),
}
OURS = {
    "LoRA": dict(method="lora"),
    "DeLoRA, zero start": dict(method="delora", init="zero"),
    "DeLoRA, frozen copy": dict(method="delora"),
    "DoRA": dict(method="dora"),
}
OTHERS = {name: dict(method=name) for name in delora.METHODS if name not in ("lora", "delora", "dora")}
Undo = Callable[[], object]


def put_on(model: nn.Module, variant: str, rank: int, targets: tuple[str, ...]) -> Undo:
    """Adapts `model` in place; the returned function takes the adapter off."""
    if variant in PEFT:
        return peft.get_peft_model(model, PEFT[variant](rank, targets)).unload
    settings = {**OURS, **OTHERS}[variant]
    ranked = {"rank": rank} if "rank" in delora.METHODS[settings["method"]].options else {}
    return delora.attach(model, delora.AdapterConfig(targets=targets, **ranked, **settings)).detach


def kept_mib(step: Callable[[], None], outside: list[torch.Tensor]) -> float:
    """MiB that the forward pass of `step` keeps for its backward pass, beside the tensors `outside`."""
    known, sizes = {t.untyped_storage().data_ptr() for t in outside}, {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in known:
            sizes[storage.data_ptr()] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        step()
    return sum(sizes.values()) / 2**20


def seconds(step: Callable[[], None], device: str) -> float:
    """Wall-clock seconds of one step."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def report(title: str, times: dict[str, list[float]], kept: dict[str, float], peaks: dict[str, float]) -> None:
    base = statistics.median(times[BASELINE])
    print(f"\n{title}: {BASELINE} takes {base * 1e3:.2f} ms forward and backward")
    print(f"{'':26}{'time':>6}   {'quartiles':13}{'kept, MiB':>10}" + (f"{'peak, MiB':>11}" if peaks else ""))
    for name, own in times.items():
        low, middle, high = statistics.quantiles([a / b for a, b in zip(own, times[BASELINE], strict=True)], n=4)
        peak = f"{peaks[name]:11.1f}" if peaks else ""
        print(f"{name:26}{middle:6.3f}   {low:.3f}-{high:.3f}  {kept[name]:10.2f}{peak}", flush=True)


def rounds(variants: list[str], repeats: int, run: Callable[[str], float]) -> dict[str, list[float]]:
    """Times of all variants, interleaved; the first round warms up and is dropped."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name in random.sample(variants, len(variants)):
            elapsed = run(name)
            if turn:
                times[name].append(elapsed)
    return times


def layer(width: int, tokens: int, args: argparse.Namespace, variants: list[str]) -> None:
    x = torch.randn(1, tokens, width, device=args.device, dtype=args.dtype)
    gradient = torch.randn_like(x)
    steps, kept, peaks = {}, {}, {}
    for name in variants:
        torch.manual_seed(0)
        model = nn.ModuleDict({"to_q": nn.Linear(width, width, bias=False)}).to(args.device, args.dtype)
        put_on(model, name, args.rank, ("to_q",))

        def step(model: nn.Module = model) -> None:
            model["to_q"](x.detach().requires_grad_()).backward(gradient)

        steps[name] = step
        step()
        kept[name] = kept_mib(step, [x, *model.parameters(), *model.buffers()])
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step()
            peaks[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
    times = rounds(variants, args.repeats, lambda name: seconds(steps[name], args.device))
    report(f"{width} wide, {tokens} tokens", times, kept, peaks)


def unet(args: argparse.Namespace, variants: list[str]) -> None:
    from diffusers import UNet2DConditionModel

    import assets

    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text("utf-8"))
    torch.manual_seed(0)
    model = UNet2DConditionModel.from_config(config).to(args.device, args.dtype).requires_grad_(False)
    sample = torch.randn(1, 4, args.unet, args.unet, device=args.device, dtype=args.dtype)
    text = torch.randn(1, 77, config["cross_attention_dim"], device=args.device, dtype=args.dtype)
    kept, peaks = {}, {}

    def step() -> None:
        model(sample, 500, text).sample.float().square().mean().backward()

    def run(name: str) -> float:
        take_off = put_on(model, name, args.rank, TARGETS)
        if name not in kept:
            kept[name] = kept_mib(step, [sample, text, *model.parameters(), *model.buffers()])
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        elapsed = seconds(step, args.device)
        if args.device == "cuda":
            peaks[name] = torch.cuda.max_memory_allocated() / 2**20
        take_off()
        return elapsed

    report(f"Stable Diffusion 1.5's UNet at {8 * args.unet} px", rounds(variants, args.repeats, run), kept, peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=30, help="rounds that are measured")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default=torch.float32)
    parser.add_argument("--methods", choices=("paper", "all"), default="paper")
    parser.add_argument("--unet", type=int, metavar="SIZE", help="the whole UNet, on latents of this size")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", module="peft")
    variants = [*PEFT, *OURS, *(OTHERS if args.methods == "all" else ())]
    print(f"torch {torch.__version__}, peft {peft.__version__}, {args.device}, {args.dtype}, rank {args.rank}")
    if args.unet:
        unet(args, variants)
    else:
        for width, tokens in LAYERS:
            layer(width, tokens, args, variants)


if __name__ == "__main__":
    main()
