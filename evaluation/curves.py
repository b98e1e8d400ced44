"""A run's curves as plots: the three figures, how far it moved and how far it may, loss.

Each curve of a run has a variant that takes its events, for callers that follow a run and have read them already.
"""

from collections.abc import Sequence

from evaluation.figures import CLEAN, FIGURES, FOLLOWS, LIKENESS, Figure
from evaluation.plots import Series, line_plot
from evaluation.scorebook import ScoreBook
from training.runs.run import Run

LIMIT_WORDS = (
    "Training moves {count} layers away from the base model. No layer can go past its limit; {reach}"
    "the limit is a limit, not a mark for quality."
)
REACH_WORDS = "independent directions usually end at the lower line; "
REACH = "usual reach, about limit / √r"
Events = Sequence[dict]


UNITS = {LIKENESS: "% ± standard error", FOLLOWS: "% of the base model", CLEAN: "% of the base model"}


def figure_series(
    figure: Figure, book: ScoreBook, name: str = "adapter", colour: str = "", crossed: int | None = None
) -> list[Series]:
    """A figure of every save against steps, as one line; none where it cannot be measured.

    The base model begins it, where it has the figure; likeness carries its standard error. crossed: the step that is
    crossed out, see `Series`.
    """
    points = [(step, getattr(book.figures(step), figure.key)) for step in (0, *book.saves)]
    points = tuple((step, value) for step, value in points if value is not None)
    if len(points) < 1 + bool(book.saves):
        return []
    errors = ()
    if figure is LIKENESS:
        scale = 100 / (book.real["dino"] - book.base.dino)
        errors = tuple(scale * scores.dino_stderr for scores in (book.base, *book.saves.values()))
    return [Series(name, points, errors, colour=colour, crossed=crossed)]


def figure_plot(figure: Figure, lines: list[Series], steps: Sequence[int], mark: int | None = None, **size: int) -> str:
    """One of the three figures in percent, with what is asked for.

    Args:
        lines: of `figure_series`.
        steps: from the first of which to the last the line of what is asked for goes.
        mark: the step to mark, the recommended one.
        size: `width` and `height` of the plot.
    """
    ends = [min(steps), max(steps)]
    levels = [_level("what we ask for", figure.asked, ends, "limit")]
    if figure is LIKENESS:
        levels.append(_level("your own pictures", 100.0, ends, "light"))
    return line_plot(
        [*lines, *levels], title=figure.title, y_label=UNITS[figure], showing=(0.0, 100.0), **_mark(mark), **size
    )


def figure_plots(
    book: ScoreBook, mark: int | None = None, last: int = 0, name: str = "adapter", **size: int
) -> list[str]:
    """The plots of the three figures of one run, without those that cannot be measured.

    Args:
        last: the step that the plots go to, where no save is there yet.
        name: what the run's line is called.
    """
    steps = (0, last, *book.saves)
    lines = ((figure, figure_series(figure, book, name)) for figure in FIGURES)
    return [figure_plot(figure, drawn, steps, mark, **size) for figure, drawn in lines if drawn]


def distance_plot(run: Run) -> str:
    """How far the adapter has moved the weights, with its limit drawn in where it has one (the paper's Fig. 3)."""
    return line_plot(distance_series(run), title="How far it moved", y_label="distance / ‖W‖", showing=(0.0,))


def loss_plot(run: Run) -> str:
    """The training loss against steps, neighbours averaged."""
    return losses_plot(run.history("step"))


def losses_plot(steps: Events, **size: int) -> str:
    """The same from the run's step events."""
    losses = tuple((event["step"], event["loss"]) for event in steps if event.get("loss") is not None)
    return line_plot([Series("loss", thinned(losses))], title="Loss", y_label="mean squared error", **size)


def distance_series(run: Run) -> list[Series]:
    """See `distances`."""
    return distances(_measurements(run))


def distances(geometry: Events, reach: str = REACH) -> list[Series]:
    """Distance / ||W|| against steps: mean and furthest layer, the guaranteed limit and the usual reach where any.

    The limit and the reach are the furthest layer's own, so that the line and what bounds it belong together. reach:
    what to call its line.
    """
    if not geometry:
        return []
    name = furthest_layer(geometry)
    drawn = "layer nearest to its limit" if geometry[-1]["layers"][name]["bound"] else "furthest layer"

    def line(key: str) -> tuple[tuple[float, float], ...]:
        points = ((event["step"], event["layers"][name][key]) for event in geometry if name in event["layers"])
        return tuple((step, value) for step, value in points if value is not None)

    lines = [
        Series("mean of all layers", mean_of_layers(geometry, "distance")),
        Series(drawn, line("distance")),
        Series("its limit (guaranteed)", line("bound"), style="limit"),
        Series(reach, line("reach"), style="light"),
    ]
    return [series for series in lines if series.points]


def furthest_layer(geometry: Events) -> str:
    """The layer that is nearest to its own limit now, or simply the furthest where there is none; one measurement at
    least."""
    last = geometry[-1]["layers"]
    return max(last, key=lambda layer: last[layer]["distance"] / (last[layer]["bound"] or 1.0))


def mean_of_layers(geometry: Events, key: str) -> tuple[tuple[float, float], ...]:
    """(step, mean over all layers) of a quantity; nothing where a layer has none."""
    points = ((event["step"], [layer[key] for layer in event["layers"].values()]) for event in geometry)
    return tuple((step, sum(values) / len(values)) for step, values in points if None not in values)


def furthest_share(run: Run) -> float | None:
    """See `furthest`."""
    return furthest(_measurements(run))


def furthest(geometry: Events) -> float | None:
    """The furthest layer's distance in percent of its limit now; None where nothing bounds it."""
    layers = geometry[-1]["layers"].values() if geometry else []
    shares = [100 * layer["distance"] / layer["bound"] for layer in layers if layer["bound"]]
    return max(shares, default=None)


def limit_words(run: Run) -> str:
    """What stands under the plot of distances; empty before the first measurement."""
    share, events = furthest_share(run), _measurements(run)
    if not events:
        return ""
    layers = events[-1]["layers"]
    if share is None:
        return f"Training moves {len(layers)} layers away from the base model. This method has no limit."
    reach = REACH_WORDS if any(layer["reach"] for layer in layers.values()) else ""
    words = LIMIT_WORDS.format(count=len(layers), reach=reach)
    return f"{words} Furthest layer: {share:.0f} % of its limit."


def thinned(points: tuple[tuple[float, float], ...], most: int = 400) -> tuple[tuple[float, float], ...]:
    """At most `most` points: the means of neighbours, each at its last step."""
    size = max(1, -(-len(points) // most))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((group[-1][0], sum(y for _, y in group) / len(group)) for group in groups)


def _measurements(run: Run) -> Events:
    """The run's measurements with a distance for every layer; NaN is written as null."""
    found = run.history("geometry")
    return [event for event in found if all(layer["distance"] is not None for layer in event["layers"].values())]


def _level(name: str, value: float, steps: list[int], style: str) -> Series:
    return Series(name, ((steps[0], value), (steps[-1], value)), style=style)


def _mark(step: int | None) -> dict:
    return {} if step is None else {"mark_x": step, "mark_label": f"recommended: {step}"}
