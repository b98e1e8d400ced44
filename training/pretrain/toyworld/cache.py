"""Pictures drawn once and read often: the jobs train from memory-mapped arrays instead of drawing at every step.

    python -m training.pretrain.toyworld.cache --pictures 80000 --workers 2 # the world, for CLIP, autoencoder and UNet
    python -m training.pretrain.toyworld.instances --workers 2              # sprites in many places, for DINO

A folder holds `images.npy` (n, h, w, 3) uint8, `masks.npy` (n, h, w) uint8 and `meta.jsonl`, one line a picture. A
chunk of 250 pictures is drawn from the seed (seed, chunk), so a cache is the same whatever the number of workers, and
an interrupted one goes on where it stopped. (object, place) pairs that are held out never come: `world` sees to that.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

CHUNK = 250  # pictures
PICTURES = 80_000
CAPTIONS = 6  # further phrasings kept with each picture
WORK = Path(".pretrain")


@dataclass(frozen=True)
class Cache:
    """Drawn pictures, memory-mapped: images (n, h, w, 3) uint8, masks (n, h, w) uint8 or None, and n dicts of facts."""

    images: np.ndarray
    masks: np.ndarray | None
    meta: list[dict]

    def __len__(self) -> int:
        return len(self.meta)


def open(folder: Path | str) -> Cache:  # noqa: A001 - read as `cache.open`
    """The finished cache in `folder`.

    Raises:
        FileNotFoundError: there is none, or it is not finished.
    """
    folder = Path(folder)
    if not (folder / "meta.jsonl").exists():
        raise FileNotFoundError(
            f"{folder} is no finished cache. Run `python -m training.pretrain.toyworld.cache` first."
        )
    meta = [json.loads(line) for line in (folder / "meta.jsonl").read_text().splitlines()]
    files = [folder / f"{name}.npy" for name in ("images", "masks")]
    return Cache(*(np.load(file, mmap_mode="r") if file.exists() else None for file in files), meta)


def render(
    folder: Path, count: int, draw, *, size_px: int = 128, workers: int = 2, seed: int = 0, masks: bool = True
) -> Cache:
    """Draws `count` pictures with `draw(seed, chunk) -> (images, masks, facts)` of CHUNK pictures each, and opens them.

    `draw` must be picklable; without `masks` it returns None for them. What is already drawn in `folder` with the same
    seed and count stays.

    Raises:
        ValueError: `folder` holds a cache of another size or seed.
    """
    folder = Path(folder)
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    plan, chunks = {"count": count, "seed": seed, "size_px": size_px}, -(-count // CHUNK)
    planned = folder / "plan.json"
    if planned.exists() and json.loads(planned.read_text()) != plan:
        raise ValueError(f"{folder} holds other pictures ({planned.read_text()}). Delete it or choose another folder.")
    shape = (count, size_px, size_px)
    if not planned.exists():
        np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (*shape, 3)).flush()
        if masks:
            np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, shape).flush()
    planned.write_text(json.dumps(plan))
    missing = [chunk for chunk in range(chunks) if not (folder / "chunks" / f"{chunk}.jsonl").exists()]
    if missing:
        with ProcessPoolExecutor(workers) as pool:
            for done, chunk in enumerate(pool.map(partial(_render_chunk, folder, draw, seed), missing), 1):
                if done % 20 == 0 or done == len(missing):
                    print(f"{folder}: {done} of {len(missing)} chunks (last {chunk})", flush=True)
    lines = "".join((folder / "chunks" / f"{chunk}.jsonl").read_text() for chunk in range(chunks))
    _write(folder / "meta.jsonl", lines)
    return open(folder)


def _render_chunk(folder: Path, draw, seed: int, chunk: int) -> int:
    """Draws one chunk into the arrays; its facts are written last, which marks it as done."""
    images, masks, facts = draw(seed, chunk)
    for name, pixels in (("images", images), ("masks", masks)):
        if pixels is None:
            continue
        array = np.load(folder / f"{name}.npy", mmap_mode="r+")
        part = array[chunk * CHUNK : (chunk + 1) * CHUNK]
        part[:] = pixels[: len(part)]  # the last chunk may be cut short
        array.flush()
    lines = "".join(json.dumps(fact, ensure_ascii=False) + "\n" for fact in facts[: len(part)])
    _write(folder / "chunks" / f"{chunk}.jsonl", lines)
    return chunk


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def draw_world(seed: int, chunk: int):
    """CHUNK pictures of the world, `draw` for `render`: images, masks, and what is known of each with some captions."""
    from training.pretrain.toyworld import world

    rng = np.random.default_rng([seed, chunk])
    drawer = world.World()
    pictures = [drawer.draw(rng) for _ in range(CHUNK)]
    places = {place.name: place for place in world.PLACES}
    facts = [
        {name: getattr(p, name) for name in ("class_word", "colour", "place", "style", "glyph", "caption")}
        | {"captions": [world.caption(p.class_word, p.colour, places[p.place], p.style, rng) for _ in range(CAPTIONS)]}
        for p in pictures
    ]
    return [p.image for p in pictures], [p.mask for p in pictures], facts


def open_world(count: int = PICTURES, workers: int = 2, work: Path = WORK) -> Cache:
    """The pictures of the world in `work/world`; `count` of them are drawn now if there are none."""
    folder = Path(work) / "world"
    return open(folder) if (folder / "meta.jsonl").exists() else render(folder, count, draw_world, workers=workers)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pictures", type=int, default=PICTURES, help="pictures of the world")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--work", type=Path, default=WORK)
    chosen = options.parse_args()
    open_world(chosen.pictures, chosen.workers, chosen.work)
