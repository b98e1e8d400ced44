"""The gates of the embedded ControlNet and segmentor: whether pictures follow their maps, and if the judge can tell.

    python -m evaluation.map_gates                  # all 200 validation maps; writes assets/embedded/map_gates.json
    python -m evaluation.map_gates --maps 24 --work .pretrain     # a look at models in training; writes nothing

The segmentor was trained on raw renders and frozen before. Three sets of pictures are segmented by it: the real renders
of the validation maps (its ceiling), what the pipeline with the frozen ControlNet draws from map and caption, and what
the pipeline alone draws from the caption with the same seeds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import assets
from evaluation.embedded_card import maps_table, write_card
from evaluation.embedded_gates import file_facts
from evaluation.maps import segmentor
from evaluation.maps.agreement import Agreement
from training.maps.colours import control as coloured
from training.maps.colours import paint
from training.pretrain.toyworld import pairs, scenes, world

STEPS, GUIDANCE, BATCH = 16, 3.0, 10


@dataclass(frozen=True)
class Maps:
    """Captions, labels (n, h, w) uint8 and the real pictures (n, h, w, 3) uint8 they belong to."""

    captions: list[str]
    labels: np.ndarray
    real: np.ndarray


def validation(count: int = 200) -> Maps:
    """The world's own validation maps: one object in one place."""
    drawn = world.validation(count)
    labels = scenes.labels_of(np.stack([p.seg for p in drawn]))
    return Maps([p.caption for p in drawn], labels, np.stack([p.image for p in drawn]))


def sample_set(count: int = pairs.PAIRS) -> Maps:
    """The sample set's maps to judge by: two and three objects, for which nothing was trained."""
    drawn = pairs.draw("validation", count)
    return Maps([s.caption for s in drawn], np.stack([s.labels for s in drawn]), np.stack([s.image for s in drawn]))


def open_pipelines(controlnet: Path):
    """The embedded pipeline as stock diffusers opens it, without and with a ControlNet's folder."""
    from diffusers import (
        ControlNetModel,
        DPMSolverMultistepScheduler,
        StableDiffusionControlNetPipeline,
        StableDiffusionPipeline,
    )

    alone = StableDiffusionPipeline.from_pretrained(str(assets.path("embedded", "pipeline")))
    alone.scheduler = DPMSolverMultistepScheduler.from_config(alone.scheduler.config)
    controlled = StableDiffusionControlNetPipeline(
        **alone.components, controlnet=ControlNetModel.from_pretrained(str(controlnet)), requires_safety_checker=False
    )
    for pipe in (alone, controlled):
        pipe.set_progress_bar_config(disable=True)
    return alone, controlled


def draw(pipe, maps: Maps, control: bool, steps: int = STEPS) -> np.ndarray:
    """One picture a map from its caption and its own seed, (n, h, w, 3) uint8; with `control` the map steers it."""
    import torch

    out = []
    for start in range(0, len(maps.captions), BATCH):
        part = slice(start, start + BATCH)
        captions, steered = maps.captions[part], {"image": coloured(maps.labels[part])} if control else {}
        images = pipe(
            captions,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(captions))],
            **steered,
        ).images
        out += [np.asarray(image) for image in images]
        print(f"drawn {len(out)} of {len(maps.captions)} {'with' if control else 'without'} control", flush=True)
    return np.stack(out)


def sheet(maps: Maps, base: np.ndarray, controlled: np.ndarray, rows: int = 8, columns: int = 4) -> Image.Image:
    """Pictures to look at, several quartets a row: map, real, without control, with control."""
    quartets = np.concatenate([paint(maps.labels), maps.real, base, controlled], axis=2)  # (n, h, 4 w, 3)
    quartets = quartets[: rows * columns]
    return Image.fromarray(
        np.concatenate([np.concatenate(quartets[i : i + columns], 1) for i in range(0, len(quartets), columns)])
    )


def measure(maps: Maps, judge: segmentor.Segmentor, alone, controlled, steps: int = STEPS) -> tuple[dict, Image.Image]:
    """mIoU over classes present with its interval and pixel accuracy of the three sets, and a sheet."""
    base, steered = draw(alone, maps, control=False, steps=steps), draw(controlled, maps, control=True, steps=steps)
    figures: dict = {"maps": len(maps.captions), "steps": steps, "guidance": GUIDANCE, "judge": judge.describe()}
    for name, images in (("real", maps.real), ("controlled", steered), ("base", base)):
        agreement = Agreement()
        for number, found in enumerate(judge.segment([Image.fromarray(image) for image in images])):
            agreement.add(str(number), found, maps.labels[number])
        scores = agreement.scores()
        figures[name] = {
            "miou_present": round(scores.miou_present, 4),
            "interval": [round(end, 4) for end in agreement.interval()],
            "pixel_accuracy": round(scores.pixel_accuracy, 4),
            "classes": {c.name: round(c.iou, 3) for c in scores.classes if c.pixels},
        }
    return figures, sheet(maps, base, steered)


def main() -> None:
    """Measures and prints the table; saves figures and sheet unless it is a look at models in training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=200, help="validation maps")
    parser.add_argument("--steps", type=int, default=STEPS, help="of sampling")
    parser.add_argument("--work", type=Path, help="judge the models in this work folder instead of those that ship")
    parser.add_argument("--sheet", type=Path, help="save the sheet of a look here")
    parser.add_argument("--sample-set", action="store_true", help="on the sample set's maps instead: what is to learn")
    options = parser.parse_args()
    home = assets.path("embedded")
    folder = options.work or home
    judge = segmentor.load(str(folder / "segmentor"))
    alone, controlled = open_pipelines(folder / "controlnet")
    maps = sample_set() if options.sample_set else validation(options.maps)
    figures, looked = measure(maps, judge, alone, controlled, options.steps)
    print(maps_table(figures))
    if options.sheet:
        looked.save(options.sheet)
    if not options.work and not options.sample_set:
        (home / "map_gates.json").write_text(json.dumps(figures, indent=1) + "\n")
        looked.save(home / "sheets" / "maps.webp", quality=88, method=4)
        gates = json.loads((home / "gates.json").read_text()) | {"files": file_facts(home)}
        (home / "gates.json").write_text(json.dumps(gates, indent=1) + "\n")
        write_card(home)


if __name__ == "__main__":
    main()
