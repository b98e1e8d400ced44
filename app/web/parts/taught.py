"""What of the pages Run and Compare hangs on what a run teaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.web.parts.maprun import comparing, film
from app.web.parts.maprun import scores as mapscores
from app.web.parts.run import compare, filmstrip, scores
from app.web.reading.follow import RunView

One, Several = Callable[[RunView], str], Callable[[Sequence[RunView]], str]


@dataclass(frozen=True)
class Shown:
    """film, scores: sections of a run's page. strips, plots: those of several runs that teach the same."""

    film: One
    scores: One
    strips: Several
    plots: Several


SHOWN = {
    "dreambooth": Shown(filmstrip.section, scores.section, compare.strips, compare.plots),
    "maps": Shown(film.section, mapscores.section, comparing.strips, comparing.plots),
}


def of(view: RunView) -> Shown:
    """What is shown of a run."""
    return SHOWN[view.spec.task]


def side_by_side(views: Sequence[RunView]) -> tuple[str, str]:
    """Film strips and plots of several runs; of runs that teach different things how far each moved is left."""
    if len({view.spec.task for view in views}) > 1:
        plot = f"<figure>{compare.moved_plot(views)}</figure>"
        return "", f'<section aria-label="Distance"><div class="ds-plots">{plot}</div></section>'
    shown = of(views[0])
    return shown.strips(views), shown.plots(views)
