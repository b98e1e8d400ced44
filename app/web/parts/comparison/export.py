"""A comparison as files: one HTML with its pictures, styles and scripts inside, and a sheet of its pictures as PNG."""

from __future__ import annotations

import base64
import io
import re
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from app.comparisons.comparison import Comparison
from app.web.parts.comparison import found, grid, head
from app.web.parts.comparison.shown import Whole, whole
from evaluation.pictures import read_pictures
from evaluation.sheets import Row, contact_sheet
from training.atomic import write_text
from training.errors import BadInput, from_os_error

STATIC = Path(__file__).parents[2] / "static"
STYLES, SCRIPTS = ("studio.css", "parts.css", "generate.css", "comparison.css"), ("pictures.js", "beside.js")
PICTURE = re.compile(r"studio/picture/([^/\"]+)/(step-[0-9]{6,})/([0-9a-z-]{1,40}\.png)")
LINK = re.compile(r'<a (?:class="ds-button ds-small" )?href="(?:run|studio/(?:file|save))[^"]*"[^>]*>(.*?)</a>', re.S)
SAVE = re.compile(r' data-save="[^"]*"')
# Nothing is asked of any address: what is shown is inside.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
PAGE = (
    "body { margin: 0; background: var(--ds-paper); font: 16px/1.55 system-ui, sans-serif; }"
    ".gradio-container { padding-top: 24px !important; } .ds-hidden { position: absolute; }"
    "@media (prefers-color-scheme: dark) { :root { %s } }"
)
QUALITY = 90


def write(made: Comparison, path: Path) -> Path:
    """Write the HTML of a comparison. Raises BadInput where it is damaged, and as `from_os_error`."""
    try:
        write_text(path, document(whole(made)))
    except OSError as error:
        raise from_os_error(error, path) from error
    return path


def document(shown: Whole) -> str:
    """One HTML text that needs nothing else: all grids with pictures to lay beside one another, curves, heat maps."""
    body = "".join(
        (head.title(shown), head.standing(shown), found.sentence(shown), grid.section(shown), found.table(shown))
    )
    body += found.curves(shown) + found.heat_maps(shown)
    body += grid.BESIDE
    body = LINK.sub(r"\1", SAVE.sub("", body)).replace(' loading="lazy"', "")
    kept: dict[str, str] = {}
    body = PICTURE.sub(partial(_inside, shown.comparison.data, kept), body)
    styles = "\n".join((STATIC / name).read_text("utf-8") for name in STYLES)
    dark = re.search(r"\.dark \{(.*?)\}", styles, re.S).group(1)
    scripts = "".join(f"<script>{(STATIC / name).read_text('utf-8')}</script>" for name in SCRIPTS)
    name = escape(shown.document.name)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: comparison</title><style>{styles}\n{PAGE % dark}</style></head>"
        f'<body><main class="gradio-container">{body}</main>{scripts}</body></html>\n'
    )


def sheet(shown: Whole) -> bytes:
    """All grids as one PNG: a block a prompt, a row a column of the comparison, a picture a save."""
    spec, rows = shown.there[0].view.spec, []
    for index, prompt in enumerate(spec.sample.prompts):
        for column in shown.there:
            pictures = [_picture(column.view, step, index) for step in shown.steps]
            rows.append(Row(f"{column.name}: {spec.prompt(prompt)}", pictures))
    names = [f"step {step}" if step else "base model" for step in shown.steps]
    buffer = io.BytesIO()
    contact_sheet(rows, columns=names, title=shown.document.name, label_px=190).save(buffer, "PNG")
    return buffer.getvalue()


def _picture(view, step: int, prompt: int) -> Image.Image:
    """A picture, or an empty one where there is none."""
    file = f"{prompt:02d}-00.png"
    try:
        if file in view.samples.get(step, ()):
            return read_pictures([view.run.samples_folder(step) / file])[0]
    except BadInput:  # damaged: it is not on the page either
        pass
    return Image.new("RGB", (8, 8), (236, 232, 227))


def _inside(data: Path, kept: dict[str, str], found: re.Match[str]) -> str:
    """A picture's address as the picture itself, whole; one that cannot be read stays a gap."""
    address = found.group()
    if address not in kept:
        run, step, file = map(unquote, found.groups())
        try:
            (picture,) = read_pictures([data / "runs" / run / "samples" / step / file])
        except BadInput:
            return "data:,"
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY)
        kept[address] = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return kept[address]
