"""The gates of the embedded models: what the toy model draws and what its two judges see, measured and written down.

    python -m evaluation.embedded_gates            # measures everything, then writes assets/embedded/README.md
    python -m evaluation.embedded_gates --speed    # only the seconds again, on a machine that does nothing else
    python -m evaluation.embedded_gates --card     # writes the card again from gates.json

Pictures are drawn by stock diffusers from the committed list of prompts and seeds, one picture a prompt; the judges are
the independent CLIP and DINO that were frozen before. Real renders of the same prompts are judged beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import assets
from evaluation import encoders, frechet, gate_prompts
from training.pretrain import probe
from training.pretrain.toyworld import world
from training.pretrain.toyworld.places import PLACES

STEPS, GUIDANCE, BATCH = 25, 3.0, 20
HELD_OUT_REAL = 2000  # real pictures of the Frechet distance's reference
NEAREST = 16


@dataclass(frozen=True)
class Drawn:
    """A picture with the facts it was asked for, in the shape that `probe.zero_shot` reads."""

    image: np.ndarray
    class_word: str
    colour: str | None
    place: str
    style: str = "3d"


def open_pipeline():
    """The embedded folder as stock diffusers opens it, with the fast sampler that the program uses."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(str(assets.path("embedded", "pipeline")))
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, entries: list[dict], batch: int = BATCH) -> list[Drawn]:
    """One picture an entry, each from its own seed."""
    import torch

    out = []
    for start in range(0, len(entries), batch):
        part = entries[start : start + batch]
        images = pipe(
            [e["prompt"] for e in part],
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(e["seed"]) for e in part],
        ).images
        out += [
            Drawn(np.asarray(i), e["class_word"], e["colour"], e["place"]) for i, e in zip(images, part, strict=True)
        ]
        print(f"drawn {len(out)} of {len(entries)}", flush=True)
    return out


def render(entries: list[dict]) -> list[Drawn]:
    """Real renders of the same prompts: what a perfect generator would get from the judge."""
    from training.pretrain.toyworld.sprites import can_be_recoloured, recoloured, sprite

    out = []
    for entry in entries:
        rng = np.random.default_rng([world.VALIDATION_SEED, entry["seed"]])
        word, colour = entry["class_word"], entry["colour"]
        glyphs = [g for g in world.glyphs_of(word) if not colour or can_be_recoloured(g, "3d")]
        glyph = glyphs[rng.integers(len(glyphs))]
        cutout = recoloured(glyph, "3d", colour) if colour else sprite(glyph)
        place = next(p for p in PLACES if p.name == entry["place"])
        out.append(Drawn(world.compose(cutout, place, rng, first_seed=20_000)[0], word, colour, entry["place"]))
    return out


class Judges:
    """The frozen scorers, as functions of arrays."""

    def __init__(self):
        self.clip, self.dino = encoders.load("clip"), encoders.load("dino")

    def see(self, arrays) -> np.ndarray:
        """CLIP's vectors of pictures (n, h, w, 3) uint8."""
        return self.clip.embed_images([Image.fromarray(a) for a in arrays]).numpy()

    def read(self, texts) -> np.ndarray:
        """CLIP's vectors of texts."""
        return self.clip.embed_texts(list(texts)).numpy()

    def zero_shot(self, pictures) -> dict[str, float]:
        """Accuracy of object, place and colour."""
        return probe.zero_shot(self.see, self.read, pictures)

    def subject_auc(self) -> dict:
        """DINO's AUC on the held-out subjects."""
        images = lambda arrays: self.dino.embed_images([Image.fromarray(a) for a in arrays]).numpy()  # noqa: E731
        return probe.subject_auc(images, probe.held_out_views(0))


def sheet(arrays: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures of one size, row by row."""
    height, width = arrays[0].shape[:2]
    out = Image.new("RGB", (columns * width, -(-len(arrays) // columns) * height), "white")
    for i, array in enumerate(arrays):
        out.paste(Image.fromarray(array), (i % columns * width, i // columns * height))
    return out


def nearest(judges: Judges, samples: list[Drawn], pool: np.ndarray) -> tuple[list[int], list[float]]:
    """For each sample the index of the most alike training picture by CLIP's cosine, and that cosine."""
    cosines = judges.see([s.image for s in samples]) @ judges.see(pool).T
    return cosines.argmax(1).tolist(), cosines.max(1).round(4).tolist()


def seconds_to_draw(pipe, count: int) -> float:
    """Seconds for one batch of `count` pictures at 25 steps with guidance; the better of two."""
    entries = gate_prompts.read()["prompts"][:count]
    times = []
    for _ in range(2):
        start = time.perf_counter()
        draw(pipe, entries, batch=count)
        times.append(time.perf_counter() - start)
    return round(min(times), 2)


def speed(pipe) -> dict[str, float]:
    """Seconds for one picture and for sixteen in one batch."""
    return {f"seconds_{count}": seconds_to_draw(pipe, count) for count in (1, 16)}


def file_facts(folder: Path) -> list[dict]:
    """Name, megabytes and SHA-256 (first 12 digits) of each weight file."""
    files = sorted(folder.rglob("*.safetensors"))
    digest = {f: hashlib.sha256(f.read_bytes()).hexdigest()[:12] for f in files}
    return [
        {"file": str(f.relative_to(folder)), "mb": round(f.stat().st_size / 1e6, 1), "sha256": digest[f]} for f in files
    ]


def measure(out: Path) -> dict:
    """Runs every gate, saves sheets beside the card and returns the figures."""
    from training.pretrain.autoencoder import held_out_psnr

    judges, pipe, lists = Judges(), open_pipeline(), gate_prompts.read()
    figures: dict = {"steps": STEPS, "guidance": GUIDANCE, "files": file_facts(out)}
    figures |= speed(pipe)
    figures["psnr"] = round(held_out_psnr(out / "pipeline" / "vae"), 2)
    fresh = world.World().batch(world.VALIDATION_SEED + 77, HELD_OUT_REAL)
    figures["clip_on_renders"] = judges.zero_shot(fresh)
    figures["dino"] = judges.subject_auc()
    drawn, real = draw(pipe, lists["prompts"]), render(lists["prompts"])
    figures["drawn"], figures["real"] = judges.zero_shot(drawn), judges.zero_shot(real)
    unseen = draw(pipe, lists["held_out_pairs"])
    figures["drawn_unseen_pairs"] = judges.zero_shot(unseen)
    figures["real_unseen_pairs"] = judges.zero_shot(render(lists["held_out_pairs"]))
    reference = judges.see([p.image for p in fresh])
    figures["frechet"] = round(frechet.distance(judges.see([d.image for d in drawn]), reference), 4)
    figures["frechet_real"] = round(frechet.distance(judges.see([d.image for d in real]), reference), 4)
    pool = np.stack([p.image for p in world.World().batch(1, 4000)])  # the training's distribution, drawn anew
    index, cosine = nearest(judges, drawn[:NEAREST], pool)
    figures["nearest_cosine"] = cosine
    sheets = out / "sheets"
    sheets.mkdir(exist_ok=True)
    _save(sheet([d.image for d in drawn[:64]], 16), sheets / "samples.webp")
    _save(sheet([d.image for d in drawn[:NEAREST]] + [pool[i] for i in index], NEAREST), sheets / "nearest.webp")
    _save(sheet([d.image for d in unseen[:32]], 16), sheets / "unseen-pairs.webp")
    _save(sheet([p.image for p in world.validation(64)], 16), sheets / "world.webp")
    return figures


def _save(image: Image.Image, file: Path) -> None:
    image.save(file, quality=88, method=4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", action="store_true", help="only write the card again")
    parser.add_argument("--speed", action="store_true", help="only time the drawing again")
    options = parser.parse_args()
    home = assets.path("embedded")
    if options.speed:
        figures = json.loads((home / "gates.json").read_text()) | speed(open_pipeline())
        (home / "gates.json").write_text(json.dumps(figures, indent=1) + "\n")
    elif not options.card:
        figures = measure(home)
        (home / "gates.json").write_text(json.dumps(figures, indent=1) + "\n")
    from evaluation.embedded_card import write_card

    write_card(home)
