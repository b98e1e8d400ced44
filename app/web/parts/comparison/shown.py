"""Everything that a page shows of a comparison, read from the folders of its runs."""

from __future__ import annotations

from dataclasses import dataclass

from app.comparisons import comparison, looks, plan
from app.comparisons.comparison import Comparison, Document, RunColumn
from app.web.reading import follow
from app.web.reading.follow import RunView
from app.work.engines import Engine
from evaluation import findings
from evaluation.findings import Told
from training.errors import StudioError


@dataclass(frozen=True)
class Shown:
    """One column. view: None for a run that is gone or damaged."""

    column: RunColumn
    name: str
    view: RunView | None
    told: Told


@dataclass(frozen=True)
class Whole:
    """A comparison as it stood. state: one of a run's, or "damaged" where all of its runs are gone."""

    comparison: Comparison
    document: Document
    columns: tuple[Shown, ...]
    state: str

    @property
    def id(self) -> str:
        """The comparison's id."""
        return self.comparison.id

    @property
    def there(self) -> list[Shown]:
        """The columns whose runs can be read."""
        return [column for column in self.columns if column.view]

    @property
    def steps(self) -> list[int]:
        """The steps at which any column has pictures, and those to come."""
        drawn = {step for column in self.there for step in column.view.samples}
        return sorted({0, *self.document.saves} | drawn)

    @property
    def sentence(self) -> str:
        """What it found."""
        return findings.sentence([column.told for column in self.columns])


def whole(made: Comparison, engine: Engine | None = None) -> Whole:
    """The comparison as it stands now. Raises BadInput where comparison.json is damaged."""
    document = made.read()
    named = zip(document.columns, plan.labels(document.columns), made.runs(), strict=True)
    columns = tuple(_shown(column, name, run, engine) for column, name, run in named)
    return Whole(made, document, columns, comparison.standing([c.view and c.view.state for c in columns]))


def _shown(column: RunColumn, name: str, run, engine: Engine | None) -> Shown:
    try:
        view = follow.view(run, engine) if run else None
    except StudioError:
        view = None
    told = looks.told(name, view.spec.name, view.book, view.state) if view else looks.told(name, "", None, None)
    return Shown(column, name, view, told)
