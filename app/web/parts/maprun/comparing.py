"""Two to four runs of maps beside one another: what each drew, and how well it follows the maps."""

from __future__ import annotations

from collections.abc import Sequence

from app import words
from app.web.parts.maprun import film, scores
from app.web.parts.run.compare import moved_plot, named, not_comparable, warnings
from app.web.parts.run.scores import SIZE
from app.web.reading.follow import RunView
from evaluation.maps.curves import FIGURES, figure_plot, figure_series
from evaluation.plots import COLOURS

LIKE = {"held-out maps", "judges", "seeds", "protocol"}  # where one of these differs, so do ceiling and base


def strips(views: Sequence[RunView]) -> str:
    """The film strip of each run's first maps."""
    body = "".join(film.first_rows(view, named(view, views)) for view in views)
    return f'<section aria-labelledby="ds-film"><h2 id="ds-film">Film strips</h2>{body}</section>'


def plots(views: Sequence[RunView]) -> str:
    """mIoU and pixel accuracy in one plot each, where one judge saw all on the same maps; and how far each moved."""
    scored = [(view, named(view, views), colour) for view, colour in zip(views, COLOURS, strict=False) if view.book]
    shown = []
    if scored and not LIKE & set(not_comparable(views)):
        last = max(view.spec.steps for view in views)
        for figure in FIGURES:
            lines = [line for view, *how in scored for line in figure_series(figure, view.book, *how)]
            shown.append(figure_plot(figure, lines, scored[0][0].book, last, **SIZE))
    figures = "".join(f"<figure>{plot}</figure>" for plot in (*shown, moved_plot(views)))
    tables = "".join(
        words.folded(f"All scores of {name}", scores.table(view), f"ds-scores-{view.id}") for view, name, _ in scored
    )
    protocols = [f"{named(view, views)}: {words.choice(view.spec.protocol)}." for view in views]
    told = protocols if "protocol" in not_comparable(views) else [f"Protocol: {words.choice(views[0].spec.protocol)}."]
    notes = dict.fromkeys(view.book.note for view, _, _ in scored)
    meaning = "".join(map(words.paragraph, (*scores.MEANING, *told, *notes, *warnings(views))))
    return (
        '<section aria-labelledby="ds-scores"><h2 id="ds-scores">Scores and distance</h2>'
        f'<div class="ds-plots">{figures}</div><div class="ds-meaning">{meaning}</div>{tables}'
        "</section>"
    )
