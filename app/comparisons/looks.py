"""What is known of each column of a comparison, read from its run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.comparisons import plan
from app.comparisons.comparison import Comparison, RunColumn, has_finished
from evaluation import curves, scorebook
from evaluation.figures import FIGURES
from evaluation.findings import Told
from evaluation.scorebook import ScoreBook
from training.errors import StudioError
from training.runs.run import Run
from training.runs.states import RunState


@dataclass(frozen=True)
class Look:
    """One column. state: None for a run that is gone or damaged. distance: ‖ΔW‖ / ‖W‖ at its last measurement, the mean
    of all layers, None before the first."""

    column: RunColumn
    told: Told
    state: RunState | None
    distance: float | None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        told, best = self.told, self.told.best
        return {
            "column": told.name,
            **self.column.model_dump(exclude_none=True),
            "state": self.state.name if self.state else "gone",
            "recommended": told.advice.step if told.advice else None,
            **{figure.key: best and getattr(best, figure.key) for figure in FIGURES},
            "collapsed": told.advice.collapsed if told.advice else None,
            "broken": told.broken,
            "distance": self.distance,
        }


def columns(comparison: Comparison) -> list[Look]:
    """All columns as they stand now. Raises BadInput where the comparison itself is damaged."""
    document = comparison.read()
    named = zip(document.columns, plan.labels(document.columns), comparison.runs(), strict=True)
    return [_look(column, name, run) for column, name, run in named]


def told(name: str, subject: str, book: ScoreBook | None, state: RunState | None) -> Told:
    """A column for the sentence. state: None for a run that is gone or damaged."""
    broken = state.step if state and state.name == "failed" and has_finished(state) else None
    return Told(name, subject, book, ended=state is None or has_finished(state), broken=broken)


def _look(column: RunColumn, name: str, run: Run | None) -> Look:
    try:
        if run is None:
            return Look(column, told(name, "", None, None), None, None)
        state, subject = run.state(), run.spec.name
    except StudioError:
        return Look(column, told(name, "", None, None), None, None)
    return Look(column, told(name, subject, _book(run), state), state, _distance(run.history("geometry")))


def _book(run: Run) -> ScoreBook | None:
    try:
        return scorebook.read(run)
    except StudioError:
        return None


def _distance(geometry: Sequence[dict]) -> float | None:
    points = curves.mean_of_layers(geometry, "distance")
    return points[-1][1] if points else None
