"""Line plots as inline SVG: small, sharp at any size, and in the page's own text colour, light or dark."""

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

COLOURS = ("#2f6fde", "#d9622b", "#2e9e6b", "#8a5bd1", "#b58900", "#c2407a", "#0e93a8", "#8c6d5a")
SMALLEST = 1e-200  # values below have too few digits to be divided by their like
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 34, 46


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        points: (x, y) pairs in order of x.
        errors: the half length of a bar at each point, or empty.
        style: `line` (drawn full), `limit` (a long-dashed line) or `light` (a thin dotted one).
        colour: of the line; empty for the next of COLOURS.
        crossed: the x of a point that is crossed out: where pictures stop being clean.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    errors: tuple[float, ...] = ()
    style: str = "line"
    colour: str = ""
    crossed: float | None = None


def line_plot(
    series: list[Series],
    *,
    title: str,
    y_label: str,
    x_label: str = "step",
    mark_x: float | None = None,
    mark_label: str = "",
    showing: tuple[float, ...] = (),
    width: int = 640,
    height: int = 330,
) -> str:
    """An `<svg>` element with axes, ticks, a legend and, at `mark_x`, a labelled upright line.

    A plot without points says so in words.

    Args:
        showing: values that the upright axis shows in any case, so that a small change looks small.
    """
    points = [point for line in series for point in line.points]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="100%" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="currentColor"><title>{escape(title)}</title>'
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>'
    )
    if not points:
        return head + f'<text x="{LEFT}" y="{height / 2}">Nothing measured yet.</text></svg>'
    columns = _legend_columns(series, width)
    legend_height = 18 * ceil(len(series) / columns)
    frame = (LEFT, TOP, width - RIGHT, height - BOTTOM - legend_height)
    reach = [y + sign * e for line in series for (_, y), e in zip(line.points, line.errors) for sign in (-1, 1)]  # noqa: B905 - errors may be empty
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    x_ticks = ticks(first, max(last, first + 1), whole=True)  # steps come in ones
    heights = [y for _, y in points] + reach + list(showing)
    y_ticks = ticks(min(heights), max(heights))
    place = _Placement(frame, (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    parts = [head, *_axes(place, frame, x_ticks, y_ticks, x_label, y_label)]
    if mark_x is not None:
        x = place.x(mark_x)
        right = x > (frame[0] + frame[2]) / 2  # beside the line, on the side with more room
        anchor = f'x="{x - 4:.1f}" text-anchor="end"' if right else f'x="{x + 4:.1f}"'
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{frame[1]}" y2="{frame[3]}" stroke="currentColor" opacity="0.55"/>'
            f'<text {anchor} y="{frame[1] + 12}">{escape(mark_label)}</text>'
        )
    for index, line in enumerate(series):
        colour = line.colour or COLOURS[index % len(COLOURS)]
        parts += _drawn(line, place, colour)
        parts.append(_legend_entry(line, index, columns, colour, frame, height - legend_height))
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, count: int = 5, whole: bool = False) -> list[float]:
    """About `count` round (or whole) numbers whose first and last enclose [low, high]."""
    largest = max(abs(low), abs(high))
    if high - low <= 1e-12 * largest or largest < SMALLEST:  # what digits do not tell apart
        room = 0.1 * (largest if largest >= SMALLEST else 1)
        low, high = low - room, high + room
    rough = max((high - low) / count, 1 if whole else 0)
    power = 10 ** floor(log10(rough))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(power * factor for factor in factors if rough <= power * factor * 1.0001)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


class _Placement:
    """From values to coordinates inside the frame (left, top, right, bottom)."""

    def __init__(self, frame, x_range, y_range):
        self.frame, self.x_range, self.y_range = frame, x_range, y_range

    def x(self, value: float) -> float:
        left, _, right, _ = self.frame
        return left + (right - left) * (value - self.x_range[0]) / (self.x_range[1] - self.x_range[0])

    def y(self, value: float) -> float:
        _, top, _, bottom = self.frame
        return bottom - (bottom - top) * (value - self.y_range[0]) / (self.y_range[1] - self.y_range[0])


def _axes(place, frame, x_ticks, y_ticks, x_label, y_label) -> list[str]:
    left, top, right, bottom = frame
    parts = [f'<line x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="currentColor" opacity="0.6"/>']
    for value in y_ticks:
        y = place.y(value)
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity="0.13"/>'
            f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>'
        )
    for value in x_ticks:
        parts.append(f'<text x="{place.x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:.6g}</text>')
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    return parts + [
        f'<text x="{middle_x}" y="{bottom + 33}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]


def _drawn(line: Series, place: _Placement, colour: str) -> list[str]:
    stroke = {
        "line": f'stroke="{colour}" stroke-width="2.2"',
        "limit": f'stroke="{colour}" stroke-width="2" stroke-dasharray="9 5"',
        "light": f'stroke="{colour}" stroke-width="1.4" stroke-dasharray="2 4" opacity="0.8"',
    }[line.style]
    coordinates = [(place.x(x), place.y(y)) for x, y in line.points]
    parts = [f'<polyline fill="none" {stroke} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in coordinates)}"/>']
    if line.style == "line" and len(coordinates) <= 40:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in coordinates]
    for x, y in (at for at, (step, _) in zip(coordinates, line.points, strict=True) if step == line.crossed):
        parts.append(
            f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12" stroke="{colour}" stroke-width="2.4" fill="none"/>'
        )
    for (value_x, value_y), error in zip(line.points, line.errors, strict=False):
        x, low, high = place.x(value_x), place.y(value_y - error), place.y(value_y + error)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>')
    return parts


def _legend_columns(series: list[Series], width: int) -> int:
    """Two where the longest name fits into half the width, about 6.3 px a letter beside its 30 px of line."""
    longest = max(len(line.name) for line in series)
    return 2 if 30 + 6.3 * longest <= (width - LEFT - RIGHT) / 2 else 1


def _legend_entry(line: Series, index: int, columns: int, colour: str, frame, top: float) -> str:
    x = frame[0] + (index % columns) * (frame[2] - frame[0]) / columns
    y = top + 10 + 18 * (index // columns)
    dash = {"line": "", "limit": ' stroke-dasharray="9 5"', "light": ' stroke-dasharray="2 4"'}[line.style]
    return (
        f'<line x1="{x:.1f}" x2="{x + 24:.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}" stroke="{colour}" stroke-width="2"'
        f"{dash}/>"
        f'<text x="{x + 30:.1f}" y="{y:.1f}">{escape(line.name)}</text>'
    )
