"""The twelve places of the toy world: procedural backgrounds with an exact ADE20K map of each.

A place is a function `(rng) -> (image, map)` on a canvas a little larger than a picture, so that one drawing serves
many pictures by cropping, flipping and relighting. Textures are value noise: random grids, enlarged smoothly and
summed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

import assets

CANVAS_PX = 160


@functools.cache
def ade(name: str) -> int:
    """Index (1 to 150) of a class name in ADE20K's list; 0 is 'other'."""
    return json.loads(assets.path("world", "ade20k.json").read_text()).index(name) + 1


def noise(
    rng: np.random.Generator, cells: tuple[int, ...], width: int = CANVAS_PX, height: int = CANVAS_PX
) -> np.ndarray:
    """Value noise in [0, 1], (height, width): octaves of `cells` columns each, weighted by their size."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for n in cells:
        rows = max(2, round(n * height / width))
        grid = Image.fromarray(rng.random((rows, n), np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / n**0.5
        weight += 1 / n**0.5
    return np.clip(total / weight, 0, 1)


def blend(low: tuple, high: tuple, t: np.ndarray) -> np.ndarray:
    """Colours between `low` (t = 0) and `high` (t = 1): (H, W) -> (H, W, 3) float32."""
    low, high = np.float32(low), np.float32(high)
    return low + (high - low) * np.clip(t, 0, 1)[..., None]


def _height(rng, low: float, high: float) -> int:
    return int(CANVAS_PX * rng.uniform(low, high))


def _sky(rng, top=(70, 140, 225), bottom=(205, 230, 250), clouds=0.55) -> np.ndarray:
    """A sky with soft clouds, (CANVAS, CANVAS, 3)."""
    y = np.linspace(0, 1.4, CANVAS_PX, dtype=np.float32)[:, None].repeat(CANVAS_PX, 1)
    image = blend(top, bottom, y)
    cover = np.clip((noise(rng, (4, 8, 16)) - clouds) * 6, 0, 0.9)[..., None]
    return image * (1 - cover) + 250 * cover


def _split(sky: np.ndarray, ground: np.ndarray, line: np.ndarray, names: tuple[str, str]):
    """Sky above `line` (a height per column), ground below, and the map of both."""
    below = np.arange(CANVAS_PX)[:, None] >= line[None, :]
    return np.where(below[..., None], ground, sky), np.where(below, ade(names[1]), ade(names[0]))


def _flat(rng, low: float, high: float) -> np.ndarray:
    return np.full(CANVAS_PX, _height(rng, low, high))


def _rolling(rng, low: float, high: float, swing: float = 14) -> np.ndarray:
    bump = noise(rng, (2, 4), CANVAS_PX, 8)[0] - 0.5
    return (_height(rng, low, high) + bump * 2 * swing).astype(int)


def _grass(rng):
    blades = noise(rng, (160, 80)) * 0.6 + noise(rng, (6, 12)) * 0.4
    return _split(
        _sky(rng), blend((30, 110, 30), (130, 205, 70), blades), _rolling(rng, 0.35, 0.55, 6), ("sky", "grass")
    )


def _snow(rng):
    ground = blend((196, 210, 232), (255, 255, 255), noise(rng, (3, 8, 60)))
    image, seg = _split(
        _sky(rng, (140, 160, 190), (220, 228, 238), 0.5), ground, _rolling(rng, 0.35, 0.55), ("sky", "earth")
    )
    for _ in range(90):  # falling flakes
        x, y = rng.integers(1, CANVAS_PX - 1, 2)
        image[y : y + 2, x : x + 2] = 255
    return image, seg


def _beach(rng):
    sand = blend((222, 190, 130), (250, 228, 178), noise(rng, (120, 160, 10)))
    horizon = _height(rng, 0.25, 0.4)
    shore = horizon + _height(rng, 0.1, 0.18) + (noise(rng, (3, 6), CANVAS_PX, 8)[0] * 8).astype(int)
    sea = blend((20, 110, 180), (60, 190, 215), noise(rng, (4, 20), CANVAS_PX, CANVAS_PX))
    image, seg = _split(_sky(rng), sea, np.full(CANVAS_PX, horizon), ("sky", "sea"))
    rows = np.arange(CANVAS_PX)[:, None]
    on_sand, foam = rows >= shore[None], np.abs(rows - shore[None]) < 2
    image = np.where(on_sand[..., None], sand, image)
    return np.where(foam[..., None], 250, image), np.where(on_sand, ade("sand"), seg)


def _desert(rng):
    waves = np.sin((np.arange(CANVAS_PX)[:, None] + 18 * noise(rng, (3, 5))) * rng.uniform(0.5, 0.8)) * 0.5 + 0.5
    dunes = blend((196, 118, 52), (240, 178, 98), waves * 0.35 + noise(rng, (3, 6)) * 0.65)
    return _split(
        _sky(rng, (235, 150, 70), (255, 226, 170), 0.75), dunes, _rolling(rng, 0.35, 0.55, 22), ("sky", "sand")
    )


def _street(rng):
    image, seg = _sky(rng, (120, 160, 200), (215, 225, 235)), np.full((CANVAS_PX, CANVAS_PX), ade("sky"))
    base, x = _height(rng, 0.45, 0.55), 0
    while x < CANVAS_PX:  # a row of houses with lit windows
        width, top = int(rng.integers(18, 34)), base - int(rng.integers(22, 62))
        wall = np.float32(
            rng.choice([(150, 92, 80), (110, 118, 140), (172, 150, 118), (96, 128, 122), (140, 110, 140)])
        )
        image[top:base, x : x + width - 1], seg[top:base, x : x + width] = wall, ade("building")
        for wy in range(top + 4, base - 5, 9):
            for wx in range(x + 3, min(x + width - 6, CANVAS_PX - 4), 8):
                image[wy : wy + 5, wx : wx + 4] = (255, 226, 140) if rng.random() < 0.6 else (70, 84, 110)
        x += width
    road = blend((70, 70, 76), (112, 112, 116), noise(rng, (160, 90)))
    image[base:], seg[base:] = road[base:], ade("road")
    image[base : base + 5], seg[base : base + 5] = (176, 172, 166), ade("sidewalk")
    middle = base + int((CANVAS_PX - base) * 0.6)
    for x in range(int(rng.integers(0, 24)), CANVAS_PX, 30):
        image[middle : middle + 4, x : x + 16] = (235, 232, 215)
    return image, seg


def _night(rng):
    y = np.linspace(0, 1, CANVAS_PX, dtype=np.float32)[:, None].repeat(CANVAS_PX, 1)
    sky = blend((8, 10, 38), (44, 40, 96), y * 1.4)
    for _ in range(70):
        sx, sy = rng.integers(0, CANVAS_PX, 2)
        sky[sy, sx] = rng.uniform(150, 255)
    canvas = Image.fromarray(sky.astype(np.uint8))
    mx, my, r = rng.integers(40, 120), rng.integers(24, 44), rng.integers(8, 13)
    ImageDraw.Draw(canvas).ellipse((mx - r, my - r, mx + r, my + r), fill=(252, 246, 214))
    ground = blend((10, 22, 20), (32, 52, 40), noise(rng, (12, 80)))
    return _split(np.float32(canvas), ground, _rolling(rng, 0.55, 0.7, 10), ("sky", "grass"))


def _underwater(rng):
    y = np.linspace(0, 1, CANVAS_PX, dtype=np.float32)[:, None].repeat(CANVAS_PX, 1)
    image = blend((60, 190, 220), (8, 52, 110), y)
    x = np.arange(CANVAS_PX)[None, :] + y * rng.uniform(-60, 60)
    rays = np.clip(np.sin(x / rng.uniform(7, 12)) * (1 - y), 0, 1)[..., None]
    image = image + rays * 38
    floor = blend((120, 140, 120), (176, 182, 140), noise(rng, (40, 90)))
    image, seg = _split(image, floor, _rolling(rng, 0.78, 0.9, 6), ("water", "sand"))
    canvas = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(16):  # bubbles
        bx, by, r = rng.integers(4, 156), rng.integers(4, 130), rng.integers(1, 5)
        draw.ellipse((bx - r, by - r, bx + r, by + r), outline=(214, 244, 252))
    return np.float32(canvas), seg


def _forest(rng):
    image = blend((10, 46, 22), (70, 130, 50), noise(rng, (10, 24, 60)))
    seg = np.full((CANVAS_PX, CANVAS_PX), ade("tree"))
    floor_at = _height(rng, 0.62, 0.75)
    x = int(rng.integers(0, 12))
    while x < CANVAS_PX:  # trunks
        width = int(rng.integers(6, 15))
        bark = blend((56, 36, 24), (108, 74, 48), noise(rng, (8,), max(width, 2), CANVAS_PX))
        image[:floor_at, x : x + width] = bark[:floor_at, : CANVAS_PX - x]
        x += width + int(rng.integers(12, 30))
    floor = blend((48, 40, 20), (112, 96, 48), noise(rng, (30, 100)))
    image[floor_at:], seg[floor_at:] = floor[floor_at:], ade("earth")
    return image, seg


def _bricks(rng):
    mortar = np.float32((206, 198, 188))
    image = np.tile(mortar, (CANVAS_PX, CANVAS_PX, 1))
    tone, height, width = np.float32((172, 74, 52)), 11, 24
    for row, y in enumerate(range(0, CANVAS_PX, height)):
        for x in range(-width + (row % 2) * width // 2, CANVAS_PX, width):
            image[y : y + height - 2, max(x, 0) : max(x + width - 2, 0)] = tone * rng.uniform(0.8, 1.15)
    image *= 0.92 + 0.16 * noise(rng, (60, 120))[..., None]
    seg = np.full((CANVAS_PX, CANVAS_PX), ade("wall"))
    ground_at = _height(rng, 0.78, 0.88)
    ground = blend((120, 116, 112), (164, 160, 154), noise(rng, (120,)))
    image[ground_at:], seg[ground_at:] = ground[ground_at:], ade("sidewalk")
    return image, seg


def _table(rng):
    wall = blend(
        *[(np.float32(c) * s) for c, s in (((214, 200, 178), 0.96), ((226, 214, 196), 1.0))], noise(rng, (3, 6))
    )
    stretched = np.asarray(Image.fromarray(noise(rng, (5, 9), 24, CANVAS_PX)).resize((CANVAS_PX, CANVAS_PX)))
    grain = np.sin((np.arange(CANVAS_PX)[:, None] * 0.55) + stretched * 9) * 0.5 + 0.5
    wood = blend((118, 66, 30), (182, 116, 62), grain)
    for y in range(0, CANVAS_PX, 22):
        wood[y : y + 1] *= 0.55
    return _split(wall, wood, _flat(rng, 0.45, 0.6), ("wall", "table"))


def _mountains(rng):
    image, seg = _sky(rng, (96, 150, 220), (222, 232, 244), 0.6), np.full((CANVAS_PX, CANVAS_PX), ade("sky"))
    rows = np.arange(CANVAS_PX)[:, None]
    columns = np.arange(CANVAS_PX, dtype=np.float32)
    for _ in range(4):
        peak, top = rng.uniform(0, CANVAS_PX), _height(rng, 0.08, 0.3)
        slope = rng.uniform(0.75, 1.2)
        edge = top + np.abs(columns - peak) * slope + noise(rng, (16, 32), CANVAS_PX, 8)[0] * 8
        rock = blend((84, 88, 112), (138, 140, 160), noise(rng, (20, 50)))
        rock = np.where((columns[None, :, None] > peak), rock * 0.78, rock)
        snowline = edge + 20 + noise(rng, (12, 24), CANVAS_PX, 8)[0] * 12
        inside = rows >= edge[None]
        image = np.where(inside[..., None], np.where((rows < snowline[None])[..., None], 246, rock), image)
        seg = np.where(inside, ade("mountain"), seg)
    meadow = blend((58, 112, 62), (120, 164, 84), noise(rng, (80, 12)))
    below = rows >= _rolling(rng, 0.68, 0.8, 6)[None]
    return np.where(below[..., None], meadow, image), np.where(below, ade("field"), seg)


def _space(rng):
    glow = noise(rng, (3, 6, 12))
    image = blend((4, 2, 14), (70, 20, 104), np.clip(glow * 2.2 - 0.9, 0, 1))
    canvas = Image.fromarray(image.astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(110):
        x, y, r = *rng.integers(0, CANVAS_PX, 2), rng.choice([0, 0, 1])
        draw.ellipse((x, y, x + r, y + r), fill=tuple(int(v) for v in rng.uniform(170, 255, 3)))
    px, py, r = rng.integers(16, 144), rng.integers(16, 60), rng.integers(11, 19)
    tone = np.float32(rng.choice([(220, 150, 90), (120, 190, 200), (210, 110, 110), (150, 130, 210)]))
    for k in range(r, 0, -1):  # a planet, shaded from one side
        fill = tuple(int(v) for v in tone * (0.45 + 0.55 * (1 - k / r)))
        draw.ellipse(
            (px - k - (r - k) // 3, py - k - (r - k) // 3, px + k - (r - k) // 3, py + k - (r - k) // 3), fill=fill
        )
    draw.arc((px - r * 2, py - r // 2, px + r * 2, py + r // 2), 0, 180, fill=(236, 220, 190), width=2)
    return np.float32(canvas), np.full((CANVAS_PX, CANVAS_PX), ade("sky"))


@dataclass(frozen=True)
class Place:
    """A background: its name, how captions say it, the light it throws on an object (RGB factors), and its painter."""

    name: str
    phrases: tuple[str, ...]
    paint: Callable
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def phrase(self) -> str:
        return self.phrases[0]


PLACES = (
    Place("grass", ("on the grass", "in a meadow"), _grass),
    Place("snow", ("in the snow", "on snow"), _snow, (0.97, 1.0, 1.04)),
    Place("beach", ("on the beach", "on a sandy beach"), _beach, (1.02, 1.0, 0.97)),
    Place("desert", ("in the desert", "on a sand dune"), _desert, (1.04, 0.99, 0.92)),
    Place("street", ("on a city street", "in the city"), _street),
    Place("night", ("at night", "under the night sky"), _night, (0.72, 0.74, 0.9)),
    Place("underwater", ("under water", "in the deep sea"), _underwater, (0.8, 0.95, 1.05)),
    Place("forest", ("in the forest", "between trees"), _forest, (0.9, 0.97, 0.86)),
    Place("bricks", ("in front of a brick wall", "by a brick wall"), _bricks),
    Place("table", ("on a wooden table", "on a table"), _table, (1.02, 1.0, 0.96)),
    Place("mountains", ("in the mountains", "in front of mountains"), _mountains),
    Place("space", ("in space", "in outer space"), _space, (0.88, 0.86, 0.96)),
)


def paint(place: Place, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One drawing of a place: image (CANVAS, CANVAS, 3) uint8 and ADE20K map (CANVAS, CANVAS) uint8."""
    image, seg = place.paint(np.random.default_rng((seed, PLACES.index(place))))
    return np.clip(image, 0, 255).astype(np.uint8), seg.astype(np.uint8)
