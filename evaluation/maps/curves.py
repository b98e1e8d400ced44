"""How well a run's pictures follow their maps, against steps, with the ceiling and the base drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.maps.agreement import Areas
from evaluation.maps.book import MapBook
from evaluation.plots import Series, line_plot


@dataclass(frozen=True)
class Figure:
    """One figure.

    key: its name in `agreement.Scores`, "" for the mIoU that the book judges by. explained: what it is, in a sentence.
    """

    key: str
    name: str
    explained: str

    def of(self, areas: Areas, book: MapBook) -> float:
        """Its value, from 0 to 1."""
        return getattr(areas.scores(), self.key or book.figure)


MIOU = Figure(
    "",
    "mIoU",
    "mIoU: what is drawn is turned back into a map by the segmentor; of each class the area that both maps share over "
    "the area that either has, then the mean over the classes. 100 % is the map itself.",
)
ACCURACY = Figure(
    "pixel_accuracy", "Pixel accuracy", "Pixel accuracy: the share of all pixels that are of their class."
)
FIGURES = (MIOU, ACCURACY)


def figure_series(figure: Figure, book: MapBook, name: str = "adapter", colour: str = "") -> list[Series]:
    """A figure of every save against steps, in percent, as one line that the base begins."""
    found = ((step, figure.of(areas, book)) for step, areas in ((0, book.base), *book.saves.items()))
    return [Series(name, tuple((step, 100 * value) for step, value in found), colour=colour)]


def figure_plot(
    figure: Figure, lines: Sequence[Series], book: MapBook, last: int, mark: int | None = None, **size: int
) -> str:
    """One figure with its ceiling and its base.

    Args:
        lines: of `figure_series`, of one run or several with the same judge and maps.
        book: whose ceiling and base are drawn.
        last: the step that the plot goes to. mark: the step to mark, the recommended one.
        size: `width` and `height`.
    """
    levels = [
        Series(told, ((0, 100 * value), (last, 100 * value)), style=style)
        for told, value, style in (
            ("real pictures (ceiling)", figure.of(book.real, book), "limit"),
            ("no adapter (base)", figure.of(book.base, book), "light"),
        )
    ]
    title = f"{figure.name}, classes present" if not figure.key and book.figure == "miou_present" else figure.name
    marked = {} if mark is None else {"mark_x": mark, "mark_label": f"recommended: {mark}"}
    return line_plot([*lines, *levels], title=title, y_label="%", showing=(0.0, 100.0), **marked, **size)
