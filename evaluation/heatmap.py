"""Where in the UNet an adapter moved the weights: a map of blocks and Q, K, V, Out as inline SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

ROWS = {"to_q": "Q", "to_k": "K", "to_v": "V", "to_out.0": "Out"}
BLOCK = re.compile(r"(?:^|\.)(down|mid|up)_blocks?(?:\.([0-9]+))?\.")
ORDER = ("down", "mid", "up")
CELL, HEAD, SIDE, HEIGHT = 46, 22, 34, 26  # px
DARKEST = 0.62  # opacity of the furthest cell; letters on it still are easy to read, light or dark
COLOUR = "#2f6fde"

Cells = dict[tuple[str, str], float]  # (row, block) -> mean distance / ‖W‖ of the layers there


def cells(geometry: Mapping) -> Cells:
    """The means of a measurement, a geometry event; layers that are none of these are left out."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, layer in geometry["layers"].items():
        block = BLOCK.search(name)
        row = next((row for end, row in ROWS.items() if name.endswith(f".{end}")), None)
        if block and row and layer["distance"] is not None:
            found.setdefault((row, " ".join(filter(None, block.groups()))), []).append(layer["distance"])
    return {place: sum(values) / len(values) for place, values in found.items()}


def blocks(maps: Sequence[Cells]) -> list[str]:
    """The blocks that any of these have, from the input to the output."""
    names = {block for cells in maps for _, block in cells}
    return sorted(names, key=lambda name: (ORDER.index(name.split()[0]), int("".join(name.split()[1:]) or 0)))


def heat_map(cells: Cells, columns: Sequence[str], most: float, title: str) -> str:
    """An `<svg>`. columns: the blocks, as `blocks` gives them. most: the distance that is darkest, for all maps alike.

    A part without cells says so in words.
    """
    width, height = SIDE + CELL * len(columns) + 2, HEAD + HEIGHT * len(ROWS) + 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="currentColor"><title>{escape(title)}</title>'
    )
    parts = [head]
    for x, block in enumerate(columns):
        parts.append(f'<text x="{SIDE + CELL * (x + 0.5)}" y="14" text-anchor="middle">{escape(block)}</text>')
    for y, row in enumerate(ROWS.values()):
        top = HEAD + HEIGHT * y
        parts.append(f'<text x="{SIDE - 6}" y="{top + 17}" text-anchor="end">{row}</text>')
        for x, block in enumerate(columns):
            value = cells.get((row, block))
            if value is None:
                continue
            shade = DARKEST * min(1.0, value / most) if most > 0 else 0.0
            left = SIDE + CELL * x
            parts.append(
                f'<rect x="{left + 1}" y="{top + 1}" width="{CELL - 2}" height="{HEIGHT - 2}" rx="3" fill="{COLOUR}" '
                f'fill-opacity="{shade:.3f}" stroke="currentColor" stroke-opacity="0.15"/>'
                f'<text x="{left + CELL / 2}" y="{top + 17}" text-anchor="middle">{_short(value)}</text>'
            )
    return "".join([*parts, "</svg>"])


def _short(value: float) -> str:
    """Three digits: 0.123, 1.23, 12.3."""
    return f"{value:.3f}" if value < 1 else f"{value:.3g}"
