"""The scores of a run of maps: how well what it drew follows the held-out maps, beside the ceiling and the base."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.web.parts.run.filmstrip import best_tag, kind
from app.web.parts.run.scores import SIZE, collapse
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves
from evaluation.maps.agreement import Areas
from evaluation.maps.book import MapBook
from evaluation.maps.curves import FIGURES, figure_plot, figure_series
from training.maps.classes import CLASSES

MEANING = (
    *(figure.explained for figure in FIGURES),
    "Ceiling: the real held-out pictures through the same segmentor; no drawn picture can be asked for more. Base: the "
    "same maps, captions and seeds without the adapter.",
)
CEILING, BASE = "Real pictures (ceiling)", "No adapter (base)"


def section(view: RunView) -> str:
    """Recommendation, mIoU and pixel accuracy against steps, what they mean, and all figures folded."""
    book = view.book
    head = f'<h2 id="ds-scores">Scores</h2>{words.paragraph(view.score_error, "ds-error")}'
    if book is None:
        return f'<section aria-labelledby="ds-scores">{head}{words.paragraph(_waiting(view))}</section>'
    advice = view.recommendation
    told = f'{collapse(advice)}<p class="ds-advice">{escape(advice.reason)}</p>'
    last = planned_saves(view.spec)[-1]
    shown = "".join(
        f"<figure>{figure_plot(figure, figure_series(figure, book), book, last, advice.step, **SIZE)}</figure>"
        for figure in FIGURES
    )
    return (
        f'<section aria-labelledby="ds-scores">{head}{told}<div class="ds-plots">{shown}</div>'
        f'<div class="ds-meaning">{meaning(view)}</div>'
        f"{words.folded('All scores', table(view), 'ds-score-table')}"
        f"{words.folded('Each class', classes(view), 'ds-class-table')}</section>"
    )


def meaning(view: RunView) -> str:
    """What the figures are, and by which judge and protocol."""
    told = (*MEANING, f"Protocol: {words.choice(view.book.protocol)}.", view.book.note)
    return "".join(map(words.paragraph, told))


def rows_below(view: RunView, steps: Sequence[int]) -> str:
    """The figures under the columns of a film strip that begins with map and real picture."""
    book = view.book
    if book is None:
        return ""
    rows = []
    for figure in FIGURES:
        cells = f"<td></td><td>{_percent(figure.of(book.real, book))}</td>"
        for step in steps:
            areas = areas_of(book, step)
            told = "–" if areas is None else _percent(figure.of(areas, book))
            cells += f'<td class="{kind(view, step)}">{told}</td>'
        last = " ds-last" if figure is FIGURES[-1] else ""
        rows.append(f'<tr class="ds-scored{last}"><th scope="row">{figure.name}</th>{cells}</tr>')
    return "".join(rows)


def areas_of(book: MapBook, step: int) -> Areas | None:
    """What was counted at a step, None where it is not scored."""
    return book.base if step == 0 else book.saves.get(step)


def table(view: RunView) -> str:
    """Every figure of every save with its interval, and those of base and ceiling."""
    book, rows = view.book, []
    for name, areas in ((BASE, book.base), *((f"Step {step}", areas) for step, areas in book.saves.items())):
        step = next((step for step, other in book.saves.items() if other is areas), 0)
        tag = best_tag(view, step) if step else ""
        shown = escape(name) + (f' <span class="ds-tag">{tag}</span>' if tag else "")
        rows.append(_row(shown, areas, book))
    rows.append(_row(CEILING, book.real, book))
    names = ("Pictures", *(figure.name for figure in FIGURES), "mIoU, all classes met", "Classes present")
    maps = words.counted(book.base.scores().maps, "picture")
    told = (
        f"{maps} a row. Classes present are those that the held-out maps have; all classes met also those that only a "
        "prediction has."
    )
    return words.table("All scores", names, "".join(rows), "ds-figured") + words.paragraph(told, "ds-quiet")


def classes(view: RunView) -> str:
    """IoU of each class that the held-out maps have: ceiling, base and the save to take."""
    book, best = view.book, view.best
    columns = {CEILING: book.real, BASE: book.base}
    columns |= {f"Step {best}": book.saves[best]} if best in book.saves else {}
    found = [{score.index: score for score in areas.scores().classes} for areas in columns.values()]
    there = sorted((score for score in found[0].values() if score.pixels), key=lambda score: -score.pixels)
    rows = "".join(
        f'<tr><th scope="row">{escape(CLASSES[score.index].name)}</th>'
        + "".join(f"<td>{_percent(each[score.index].iou if score.index in each else 0.0)}</td>" for each in found)
        + "</tr>"
        for score in there
    )
    return words.table("IoU of each class", ("Class", *columns), rows, "ds-figured")


def _row(name: str, areas: Areas, book: MapBook) -> str:
    """name: HTML."""
    scores = areas.scores()
    cells = [_percent(figure.of(areas, book)) for figure in FIGURES]
    cells += [_percent(scores.miou), str(sum(score.pixels > 0 for score in scores.classes))]
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _waiting(view: RunView) -> str:
    if view.score_error or view.state.ended:
        return "" if view.score_error else "No scores: it ended before a save was scored."
    return f"No recommendation yet; the first scores come at step {planned_saves(view.spec)[0]}."
