"""A run's curves as plots: likeness, prompt following, how far it moved and how far it may, loss.

Each curve of a run has a variant that takes its events, for callers that follow a run and have read them already.
"""

from collections.abc import Sequence

from evaluation.plots import Series, line_plot
from evaluation.recommend import OBEYS
from evaluation.scorebook import ScoreBook
from training.runs.run import Run

LIMIT_WORDS = (
    "Training moves {count} layers away from the base model. No layer can go past its limit; {reach}"
    "the limit is a limit, not a mark for quality."
)
REACH_WORDS = "independent directions usually end at the lower line; "
REACH = "usual reach, about limit / √r"
Events = Sequence[dict]


def likeness_plot(book: ScoreBook, mark: int | None = None, **size: int) -> str:
    """DINO with its standard error against steps, between the base model and the real pictures' self-similarity.

    Args:
        mark: the step to mark, the recommended one.
        size: `width` and `height` of the plot.
    """
    steps, saves = [0, *book.saves], [book.base, *book.saves.values()]
    points = tuple((step, scores.dino) for step, scores in zip(steps, saves, strict=True))
    lines = [
        Series("adapter", points, tuple(scores.dino_stderr for scores in saves)),
        _level("base model", book.base.dino, steps, "light"),
    ]
    lines += [_level("your pictures with one another", book.real["dino"], steps, "limit")] if book.real else []
    return line_plot(lines, title="Likeness (DINO)", y_label="mean cosine ± standard error", **_mark(mark), **size)


def prompt_plot(book: ScoreBook, mark: int | None = None, **size: int) -> str:
    """CLIP-T in percent of the base model's against steps, and what is asked for."""
    shares = [(step, scores.clip_t_share) for step, scores in book.saves.items() if scores.clip_t_share is not None]
    points = ((0, 100.0), *((step, 100 * share) for step, share in shares))
    return follows_plot([Series("adapter", points)], [0, *book.saves], **_mark(mark), **size)


def follows_plot(lines: list[Series], steps: Sequence[int], **more) -> str:
    """Prompt following in percent of the base model's, with what is asked for, on an axis that shows 90 to 100 %."""
    asked = _level("what we ask for", 100 * OBEYS, [min(steps), max(steps)], "limit")
    title, unit = "Follows the prompt (CLIP-T)", "% of the base model, at most 100"
    return line_plot([*lines, asked], title=title, y_label=unit, showing=(90.0, 100.0), **more)


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
