"""Makes every embedded model from nothing, or goes on from those that ship: one command, resumable.

    python -m training.pretrain --minutes 150                 # from random weights
    python -m training.pretrain --minutes 60 --continue       # the shipped generator as the start; the judges stay

Needs npm (for the glyphs of the world) and cairosvg where the sprites are not there yet. Each part gets its share of
the minutes; a part that is finished is not done again, so an interrupted command goes on when it is started once
more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import assets
from training.pretrain.jobs import WORK

# part -> (share of the minutes, module, options). The order matters: the UNet reads latents, the decoder keeps them,
# the ControlNet copies the finished UNet.
PARTS = {
    "text tower (CLIP)": (0.03, "clip", ["--role", "pipeline", "--out", "{work}/clip-pipeline"]),
    "autoencoder": (0.14, "autoencoder", ["--out", "{work}/vae"]),
    "UNet and text tower": (
        0.38,
        "unet",
        ["--out", "{work}/unet", "--vae", "{work}/vae", "--clip", "{work}/clip-pipeline"],
    ),
    "decoder": (0.06, "autoencoder", ["--out", "{work}/vae", "--decoder-only"]),
    "CLIP judge": (0.10, "clip", ["--role", "scorer", "--out", "{work}/clip-scorer"]),
    "DINO judge": (0.08, "dino", ["--out", "{work}/dino"]),
    "segmentor": (0.10, "segmentor", ["--out", "{work}/segmentor"]),
    "ControlNet": (0.11, "controlnet", ["--out", "{work}/controlnet", "--base", "{work}/pipeline"]),
}
FROM_SHIPPED = ("UNet and text tower", "decoder", "ControlNet")
RECORDS = {  # where each part's log lies, after its training
    "text tower (CLIP)": "clip-pipeline/training.json",
    "autoencoder": "vae/autoencoder.json",
    "UNet and text tower": "unet/training.json",
    "decoder": "vae/decoder.json",
    "CLIP judge": "clip-scorer/training.json",
    "DINO judge": "dino/training.json",
    "segmentor": "segmentor/training.json",
    "ControlNet": "controlnet/training.json",
}
PLACES = {  # where finished judges and the ControlNet go
    "clip-scorer": ("scorers", "clip"),
    "dino": ("scorers", "dino"),
    "segmentor": ("segmentor",),
    "controlnet": ("controlnet",),
}


def python(module: str, *options: str) -> None:
    """Runs `python -m training.pretrain.<module>`; its failure ends the command."""
    subprocess.run([sys.executable, "-m", f"training.pretrain.{module}", *options], check=True)


def prepare(work: Path) -> None:
    """Sprites and pictures, where they are missing."""
    if not (work / "extra_glyphs").is_dir():
        python("toyworld.sprites")
    if not (work / "world" / "meta.jsonl").exists():
        python("toyworld.cache", "--pictures", "80000", "--work", str(work))


def start_from_shipped(work: Path) -> None:
    """Puts the shipped autoencoder and generator where the parts look for their start."""
    shipped = assets.path("embedded", "pipeline")
    if not (work / "vae").is_dir():
        shutil.copytree(shipped / "vae", work / "vae")


def assemble(work: Path, *where: str) -> None:
    """Puts autoencoder, UNet and text tower together: where they ship, or at `--out FOLDER`."""
    python("assemble", "--vae", f"{work}/vae", "--unet", f"{work}/unet", *where)


def record(work: Path) -> None:
    """Writes `assets/embedded/training.json`: minutes, steps, seed and device of each part.

    What went on from the shipped models stands below what made those; what began anew takes its place.
    """
    target = assets.path("embedded", "training.json")
    parts = json.loads(target.read_text())["parts"] if target.is_file() else []
    for part, name in RECORDS.items():
        if (work / name).exists():
            found = json.loads((work / name).read_text())
            log, seed = (found["log"], found["seed"]) if isinstance(found, dict) else (found, 0)
            if log[0]["continued"]:
                title = f"{part}, trained on"
            else:
                gone = (part, "decoder") if part == "autoencoder" else (part,)  # a decoder goes with its encoder
                title, parts = part, [row for row in parts if row["part"].removesuffix(", trained on") not in gone]
            minutes, steps, device = round(log[-1]["seconds"] / 60, 1), log[-1]["step"], log[0]["device"]
            row = {"part": title, "minutes": minutes, "steps": steps, "seed": seed, "device": device}
            parts += [row] if row not in parts else []
    target.write_text(json.dumps({"parts": parts}, indent=1) + "\n")


def install(work: Path) -> None:
    """Puts what was trained into the assets."""
    if (work / "unet").is_dir():
        assemble(work)
    for folder, place in PLACES.items():
        if (work / folder).is_dir():
            target = assets.path("embedded", *place)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(work / folder, target, ignore=shutil.ignore_patterns("training.json"))
    for samples, module in (("subjects", "toyworld.heldout"), ("scenes", "toyworld.pairs")):
        if not assets.path(samples).is_dir():
            python(module)
    record(work)


def main() -> None:
    """Runs the parts in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="of training, all parts together")
    parser.add_argument("--continue", dest="from_shipped", action="store_true", help="start from the shipped generator")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the width of every model")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches ahead (for GPUs)")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of caches and checkpoints")
    parser.add_argument("--install-only", action="store_true", help="train nothing; install what the work folder holds")
    options = parser.parse_args()
    if not options.install_only:
        prepare(options.work)
        chosen = FROM_SHIPPED if options.from_shipped else tuple(PARTS)
        if options.from_shipped:
            start_from_shipped(options.work)
        whole = sum(PARTS[part][0] for part in chosen)
        for part in chosen:
            share, module, words = PARTS[part]
            arguments = [word.format(work=options.work) for word in words]
            arguments += ["--minutes", f"{options.minutes * share / whole:.2f}", "--work", str(options.work)]
            arguments += ["--scale", str(options.scale), "--workers", str(options.workers)]
            arguments += ["--threads", str(options.threads)] if options.threads else []
            if options.from_shipped and module == "unet":
                arguments += ["--resume-from", str(assets.path("embedded", "pipeline"))]
            if module == "controlnet":
                assemble(options.work, "--out", f"{options.work}/pipeline")
            python(module, *arguments)
    install(options.work)


if __name__ == "__main__":
    main()
