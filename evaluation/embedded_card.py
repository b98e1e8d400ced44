"""The embedded models' card: `assets/embedded/README.md`, written from measured figures only."""

from __future__ import annotations

import json
from pathlib import Path

HEAD = """---
license: mit
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion, text-to-image, toy-model]
---
<!-- Written by `python -m evaluation.embedded_gates`: change that, not this. -->
# The toy model (built in)

A tiny Stable Diffusion that this project trained from random weights, on pictures that this project draws: {classes}
kinds of things in {places} places, at 128 px. It knows no people, no photographs and no word outside its list
(`world.json`). It is here so that personalization can be tried offline on a CPU in minutes, with the very code that
runs Stable Diffusion 1.5. Its two judges (`scorers/`: a CLIP and a DINO ViT) were trained on raw renders and frozen
before any generator was judged by them. **Do not compare its scores with published ones.**

```python
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("assets/embedded/pipeline")
pipe("a red car in the snow", num_inference_steps=25, guidance_scale=3).images[0]
```

## The world
![64 pictures of the validation set](sheets/world.webp)

Objects are Microsoft's Fluent 3-D emoji (MIT) and, as drawings, Google's Noto glyphs (Apache-2.0); places are
procedural (`training/pretrain/toyworld/places.py`). Kept out of all training: {subjects} subjects to personalize on (in
both styles), {pairs} (object, place) pairs, and the seeds of the validation set.

## What it draws
The first 64 of the 500 prompts in `gate_prompts.json`, one picture each, no choosing:

![64 samples](sheets/samples.webp)
"""

MAPS = """## Pictures from maps
`controlnet/` is a ControlNet of this UNet for maps of the world in ADE20K's colours, `segmentor/` the UperNet
that judges what it draws. The segmentor was trained on raw renders only and frozen before. Places and things take the
class of ADE20K that a person would give them; where none fits: snow is *earth*, outer space *sky*, a train *truck*, a
snowman *sculpture*, an umbrella *canopy*, a crown *apparel*, and rocket, balloon, robot, camera and instruments
*plaything*.

{table}

Map, real render, drawn without control, drawn with control; same captions and seeds:

![Maps, real renders and drawings](sheets/maps.webp)
"""


def write_card(home: Path) -> None:
    """Writes `home/README.md` from the `gates.json`, `judge_gates.json` and `training.json` in `home`."""
    from training.pretrain.toyworld import world

    figures = json.loads((home / "gates.json").read_text())
    training = json.loads((home / "training.json").read_text())
    text = HEAD.format(
        classes=len(world.CLASSES),
        places=len(world.PLACES),
        subjects=len(world.SUBJECTS),
        pairs=len(world.World("held-out").choices),
    )
    parts = [_gates(figures), _judges(home / "judge_gates.json"), _unseen(figures), *_maps(home)]
    text += "\n" + "\n".join([*parts, _training(training), _files(figures)])
    (home / "README.md").write_text(text)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _gates(f: dict) -> str:
    """The table of gates: what was asked, what was measured, what real renders get."""
    drawn, real, dino = f["drawn"], f["real"], f["dino"]
    renders = f["clip_on_renders"]
    rows = [
        ("object named by the CLIP judge, 500 prompts", ">= 85 % (floor 75 %)", drawn["object"], real["object"], 0.75),
        ("place", ">= 95 %", drawn["place"], real["place"], 0.95),
        ("colour, where one is named", ">= 80 %", drawn["colour"], real["colour"], 0.80),
    ]
    lines = ["## Gates", "| what | aim | drawn | real renders | |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {aim} | {_percent(got)} | {_percent(truth)} | {_mark(got >= floor)} |"
        for name, aim, got, truth, floor in rows
    ]
    lines += [
        f"| Fréchet distance in the CLIP judge's features (500 against 2,000) | - | {f['frechet']:.3f} | "
        f"{f['frechet_real']:.3f} | |",
        f"| autoencoder, PSNR on held-out pictures | >= 29 dB | {f['psnr']:.1f} dB | | {_mark(f['psnr'] >= 29)} |",
        f"| CLIP judge, zero-shot over all classes on fresh renders | >= 95 % | | {_percent(renders['object'])} | "
        f"{_mark(renders['object'] >= 0.95)} |",
        f"| DINO judge, AUC of same subject against another of its kind and hue | >= 0.9 | | {dino['auc']:.3f} | "
        f"{_mark(dino['auc'] >= 0.9)} |",
        f"| one picture, {f['steps']} steps with guidance, fp32, 2 cores | <= 1.5 s | {f['seconds_1']:.2f} s | | "
        f"{_mark(f['seconds_1'] <= 1.5)} |",
        f"| 16 pictures in one batch | <= 12 s | {f['seconds_16']:.1f} s | | {_mark(f['seconds_16'] <= 12)} |",
    ]
    return "\n".join(lines) + "\n"


def _judges(file: Path) -> str:
    """What the judges make of pictures whose worth is known, where that was measured."""
    from evaluation.judge_table import table

    if not file.is_file():
        return ""
    return (
        "## The judges, tried\nPictures of held-out subjects whose worth is known beforehand, and what the three "
        "figures of a save say of them (`python -m evaluation.judge_gates`; means over the subjects, and how many "
        "pass of those that were tried):\n\n"
        f"{table(json.loads(file.read_text()))}"
    )


def _mark(passed: bool) -> str:
    return "passed" if passed else "**short**"


def _unseen(f: dict) -> str:
    unseen, real = f["drawn_unseen_pairs"], f["real_unseen_pairs"]
    return (
        "## Composing\nObjects in places where no model ever saw them: object "
        f"{_percent(unseen['object'])} (real renders {_percent(real['object'])}), place {_percent(unseen['place'])} "
        f"(real renders {_percent(real['place'])}).\n\n"
        "![Pictures of pairs never trained on](sheets/unseen-pairs.webp)\n\n"
        "16 samples, and under each the most alike of 4,000 pictures of the training's kind, by the CLIP judge "
        f"(cosines {min(f['nearest_cosine']):.2f} to {max(f['nearest_cosine']):.2f}):\n\n"
        "![Samples above their nearest training pictures](sheets/nearest.webp)\n"
    )


def _maps(home: Path) -> list[str]:
    """The section on the ControlNet and the segmentor, where their gates have been measured."""
    measured = home / "map_gates.json"
    if not measured.is_file():
        return []
    return [MAPS.format(table=maps_table(json.loads(measured.read_text())))]


def maps_table(f: dict) -> str:
    """The gates of maps: mIoU and pixel accuracy of real renders, and of drawings with and without control."""
    real, base, steered = (f[name]["miou_present"] for name in ("real", "base", "controlled"))
    rows = [
        ("real", "real renders", ">= 0.85 (floor 0.75)", real >= 0.75),
        ("controlled", "drawn with control", ">= 0.85 of real renders", steered >= 0.85 * real),
        ("base", "drawn without control", "with control >= 1.5 times that", steered >= 1.5 * base),
    ]
    lines = [
        f"| what, on {f['maps']} maps | aim | mIoU over classes present | pixel accuracy | |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {title} | {aim} | {f[name]['miou_present']:.3f} | {f[name]['pixel_accuracy']:.3f} | {_mark(passed)} |"
        for name, title, aim, passed in rows
    ]
    return "\n".join([*lines, "", f"With control: {steered / real:.2f} of real renders, {steered / base:.2f} without."])


def _training(training: dict) -> str:
    lines = ["## Training", "| part | minutes | steps | seed | on |", "|---|---|---|---|---|"]
    lines += [
        f"| {p['part']} | {p['minutes']} | {p['steps']:,} | {p['seed']} | {p['device']} |" for p in training["parts"]
    ]
    lines += [
        "",
        "From nothing: `python -m training.pretrain --minutes 150`. Going on from what is here: the same with "
        "`--continue`. On a GPU, with `--workers 6` to feed it, 20 minutes do more. (Shares of the minutes go to each "
        "part; checkpoints lie in `.pretrain/`, so an interrupted training goes on when it is started again.)",
    ]
    return "\n".join(lines) + "\n"


def _files(f: dict) -> str:
    lines = ["## Files", "| file | MB | SHA-256 |", "|---|---|---|"]
    lines += [f"| {e['file']} | {e['mb']} | `{e['sha256']}` |" for e in f["files"]]
    lines += [f"| together | {sum(e['mb'] for e in f['files']):.1f} | |"]
    return "\n".join(lines) + "\n"
