"""Time of a step of N runs in one pass of the UNet, as a ratio to the time of their N separate steps.

    python -m benchmarks.one_pass                            # the built-in model, 1 + 1 pictures and the quick preset
    python -m benchmarks.one_pass --rounds 3 --cases 1+1 --mixes alike --cpu-time --threads 1   # on a busy machine
    python -m benchmarks.one_pass --unet sd15 --device cuda  # Stable Diffusion 1.5's UNet, 512 px, random weights

A step is the trainer's own: draws, forward and backward, clipping, AdamW. Both ways run in one process in turns, in a
new order each round, so that what else the machine does falls on both alike. Printed: the median ratio with its
quartiles, and the seconds of both. "alike" are runs of one method (DeLoRA) that differ in rate and seed, "unlike" are
DeLoRA with both starts, LoRA and DoRA.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch

from training import presets
from training.base import guard, precision
from training.base.codec import Moments

guard.prepare()
from training.base import models  # noqa: E402
from training.step import onepass  # noqa: E402
from training.step.memory import Plan  # noqa: E402
from training.step.trainer import Trainer  # noqa: E402
from training.subject.dreambooth import DreamBooth, Example  # noqa: E402

MIXES = {
    "alike": (("delora", {}),),
    "unlike": (("delora", {}), ("delora", {"adapter": {"init": "zero"}}), ("lora", {}), ("dora", {})),
}
CASES = {"1+1": 1, "quick": None}  # pictures a step; None: the preset's
PICTURES = 4


def embedded() -> SimpleNamespace:
    """The built-in model's UNet; latents of 128 px."""
    base = models.load_base("embedded", data=Path("unused"))
    return SimpleNamespace(kind="embedded", unet=base.unet, scheduler_config=base.scheduler_config, tokens=32)


def sd15() -> SimpleNamespace:
    """Stable Diffusion 1.5's UNet with random weights; latents of 512 px."""
    from diffusers import UNet2DConditionModel

    import assets

    folder = assets.path("sd15-config")
    config = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(config).requires_grad_(False)
    return SimpleNamespace(kind="sd", unet=unet, scheduler_config=scheduler, tokens=77)


UNETS = {"embedded": embedded, "sd15": sd15}


def trainers(base: SimpleNamespace, kinds: Sequence, count: int, batch: int | None) -> list[Trainer]:
    """`count` runs of these methods in turn, attached side by side. batch: pictures, None for the preset's."""
    unet = base.unet
    generator = torch.Generator().manual_seed(0)

    def example() -> Example:
        shape = (PICTURES, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        mean = torch.randn(shape, generator=generator).to(unet.device)
        text = torch.randn(1, base.tokens, unet.config.cross_attention_dim, generator=generator)
        return Example(Moments(mean, torch.zeros_like(mean)), None, text.to(unet.device, unet.dtype))

    made, instance, prior = [], example(), example()
    for i in range(count):
        method, changes = kinds[i % len(kinds)]
        wanted = {"class_word": "dog", **({"batch_size": batch} if batch else {})}
        spec = presets.make_spec(base.kind, method, "quick", **presets.merged(wanted, changes))
        spec = spec.model_copy(update={"seed": i, "learning_rate": spec.learning_rate * 2**i})
        run = SimpleNamespace(id=str(i), spec=spec, events=lambda kind: [], checkpoints=list)
        mixed = precision.choose(spec.mixed_precision, unet.device)
        accelerator = precision.accelerator(mixed, unet.device)
        objective = DreamBooth(base, spec, instance, prior)
        made.append(Trainer(run, base, objective, Plan.of(spec), accelerator, f"run {i}"))
    return made


def seconds(work: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """What `work` takes by `clock`."""
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def compare(runs: list[Trainer], rounds: int, clock: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Seconds of their separate steps and of the shared ones, interleaved; the first round warms up and is dropped."""
    ways = {
        "separate": lambda: [run.make_step() for run in runs],
        "together": lambda: onepass.make_steps(runs),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name in random.sample(list(ways), len(ways)):
            elapsed = seconds(ways[name], runs[0].base.unet.device, clock)
            if turn:
                times[name].append(elapsed)
    return times["separate"], times["together"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", choices=UNETS, default="embedded")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--mixes", nargs="+", choices=MIXES, default=list(MIXES))
    parser.add_argument("--runs", type=int, default=4, help="how many at once")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that are measured")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--cpu-time", action="store_true", help="this process's processor time, not the wall clock's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    base = UNETS[args.unet]()
    dtype = getattr(torch, precision.base_dtype("auto", args.device))
    base.unet.to(args.device, dtype)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads, {args.unet}, {args.runs} runs at once")
    print(f"{'':16}{'ratio':>6}   {'quartiles':13}{'separate':>9}{'together':>10}, seconds")
    for case in args.cases:
        for name in args.mixes:
            runs = trainers(base, MIXES[name], args.runs, CASES[case])
            separate, together = compare(runs, args.rounds, time.process_time if args.cpu_time else time.perf_counter)
            low, middle, high = statistics.quantiles([b / a for a, b in zip(separate, together, strict=True)], n=4)
            both = f"{statistics.median(separate):9.3f}{statistics.median(together):10.3f}"
            print(f"{case + ', ' + name:16}{middle:6.3f}   {low:.3f}-{high:.3f}  {both}", flush=True)
            for run in runs:
                run.close()


if __name__ == "__main__":
    main()
