"""Cut-out glyphs of the toy world: where they come from, and the honest recolouring that gives "a green car".

Two styles: Microsoft's Fluent 3-D emoji (MIT, npm package `@lobehub/fluent-emoji-3d`) and Google's Noto glyphs
(Apache-2.0, npm package `@iconify-json/noto`). `python -m training.pretrain.toyworld.sprites` fetches both with
npm and writes the sprites of every class to `assets/world/`, and all other objects (for the DINO scorer's training) to
`.pretrain/`.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

import assets

SPRITE_PX = 144  # an object covers at most 85 % of a 128 px picture; a little more for rotation
STYLES = ("3d", "drawing")
EXTRA_DIR = Path(".pretrain/extra_glyphs")
PACKAGES = ("@lobehub/fluent-emoji-3d@1.1.0", "@iconify-json/noto@1.2.9", "emoji-datasource-google@16.0.0")
OBJECT_CATEGORIES = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")

# name -> (hue in turns, saturation factor, gamma of the value): yellow and pink are only themselves when light.
HUES = {
    "red": (0.99, 1.0, 1.0),
    "orange": (0.075, 1.0, 0.75),
    "yellow": (0.145, 1.0, 0.5),
    "green": (0.34, 1.0, 1.0),
    "blue": (0.60, 1.0, 0.9),
    "purple": (0.76, 0.9, 1.0),
    "pink": (0.91, 0.62, 0.5),
}
COLOURS = tuple(HUES)
COLOURED_SATURATION = 0.35  # below it a pixel counts as white, grey or black and keeps its colour
HONEST_SHARE = 0.45  # a colour word is used only where recolouring reaches this share of the visible sprite


@functools.cache
def classes() -> dict[str, dict]:
    """Class word -> {"ade": its ADE20K name, "glyphs": code points, "hues": may be recoloured}."""
    return json.loads(assets.path("world", "classes.json").read_text())


@functools.cache
def sprite(glyph: str, style: str = "3d") -> Image.Image | None:
    """The RGBA sprite of a code point, cropped to its visible part, or None where the style lacks it."""
    for folder in (assets.path("world", style), EXTRA_DIR):
        file = folder / f"{glyph}.webp"
        if file.exists():
            return Image.open(file).convert("RGBA")
    return None


@functools.cache
def _hsv(glyph: str, style: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rgba = sprite(glyph, style)
    hsv = np.asarray(rgba.convert("RGB").convert("HSV"), np.float32) / 255
    alpha = np.asarray(rgba.getchannel("A"))
    return hsv, alpha, hsv[..., 1] > COLOURED_SATURATION


@functools.cache
def can_be_recoloured(glyph: str, style: str) -> bool:
    """Whether a hue reaches enough of the sprite for a colour word to be true of it."""
    _, alpha, coloured = _hsv(glyph, style)
    visible = alpha > 128
    return bool((coloured & visible).sum() >= HONEST_SHARE * visible.sum())


@functools.lru_cache(maxsize=4096)
def recoloured(glyph: str, style: str, colour: str) -> Image.Image:
    """The sprite with every coloured pixel turned to `colour`; shading, whites and blacks stay."""
    hsv, alpha, coloured = _hsv(glyph, style)
    hue, saturation, gamma = HUES[colour]
    return _with_hue(hsv, alpha, coloured, hue, saturation, gamma)


def hue_shifted(glyph: str, style: str, turns: float) -> Image.Image:
    """The sprite with all hues turned by `turns`: a different subject of the same shape, for the DINO scorer."""
    hsv, alpha, _ = _hsv(glyph, style)
    shifted = hsv.copy()
    shifted[..., 0] = (shifted[..., 0] + turns) % 1.0
    return _to_rgba(shifted, alpha)


def _with_hue(hsv, alpha, coloured, hue, saturation, gamma) -> Image.Image:
    new = hsv.copy()
    new[..., 0] = np.where(coloured, hue, hsv[..., 0])
    new[..., 1] = np.where(coloured, np.minimum(hsv[..., 1] * saturation, 1), hsv[..., 1])
    new[..., 2] = np.where(coloured, hsv[..., 2] ** gamma, hsv[..., 2])
    return _to_rgba(new, alpha)


def _to_rgba(hsv: np.ndarray, alpha: np.ndarray) -> Image.Image:
    rgb = Image.fromarray((hsv * 255).astype(np.uint8), "HSV").convert("RGB")
    rgb.putalpha(Image.fromarray(alpha))
    return rgb


def extra_glyphs() -> tuple[str, ...]:
    """Code points of objects outside the classes (never a held-out one), fetched for the DINO scorer."""
    return tuple(sorted(file.stem for file in EXTRA_DIR.glob("*.webp")))


# ---------------------------------------------------------------------------------------------------- fetching


def fetch(work: Path) -> None:
    """Writes all sprites from the three npm packages, which are downloaded into `work` unless they are there."""
    work.mkdir(parents=True, exist_ok=True)
    packs = [_unpack(name, work) for name in PACKAGES]
    fluent, noto, names = packs[0] / "assets", packs[1], json.loads((packs[2] / "emoji.json").read_text())
    icons, chars = (json.loads((noto / f).read_text()) for f in ("icons.json", "chars.json"))
    wanted = {glyph for entry in classes().values() for glyph in entry["glyphs"]}
    for glyph in sorted(wanted):
        _write(_from_webp(fluent / f"{glyph}.webp"), assets.path("world", "3d"), glyph)
        _write(_from_svg(icons, chars, glyph), assets.path("world", "drawing"), glyph)
    for entry in names:
        glyph = entry["unified"].lower()
        if entry["category"] in OBJECT_CATEGORIES and glyph not in wanted and (fluent / f"{glyph}.webp").exists():
            _write(_from_webp(fluent / f"{glyph}.webp"), EXTRA_DIR, glyph)


def _unpack(package: str, work: Path) -> Path:
    folder = work / package.replace("/", "_")
    if not folder.exists():
        name = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=work, check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        with tarfile.open(work / name) as tar:
            tar.extractall(folder, filter="data")
    return folder / "package"


def _from_webp(file: Path) -> Image.Image:
    return Image.open(file).convert("RGBA")


def _from_svg(icons: dict, chars: dict, glyph: str) -> Image.Image | None:
    import cairosvg  # only here: nobody but the maker of the world needs it

    name = chars.get(glyph) or chars.get(glyph.replace("-fe0f", "")) or chars.get(glyph + "-fe0f")
    if name is None:
        return None
    icon = icons["icons"][name]
    size = f"0 0 {icon.get('width', 128)} {icon.get('height', 128)}"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{size}">'
    png = cairosvg.svg2png(bytestring=(svg + icon["body"] + "</svg>").encode(), output_width=288, output_height=288)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _write(image: Image.Image | None, folder: Path, glyph: str) -> None:
    if image is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    box = image.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
    image = image.crop(box)
    image.thumbnail((SPRITE_PX, SPRITE_PX), Image.Resampling.LANCZOS)
    image.save(folder / f"{glyph}.webp", quality=92, method=6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".pretrain/npm"), help="where the npm packages are kept")
    fetch(parser.parse_args().work)
