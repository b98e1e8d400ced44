"""What a report says of a run of maps: its held-out maps through the saves, mIoU against steps, and each class."""

from __future__ import annotations

from html import escape

from PIL import Image

from evaluation.html import image, images
from evaluation.maps import told
from evaluation.maps.book import MapBook
from evaluation.plots import Series, line_plot
from evaluation.runscores import drawn_steps
from training.maps import SEGMENTATION, controls, dataset
from training.runs.run import Run

ROWS = 12  # held-out maps in the strip


def film_strip(run: Run, best: int | None) -> str:
    """Rows: held-out maps, with their first seed; columns: the map, the real picture, no adapter, each save."""
    steps, each = drawn_steps(run), len(run.spec.sample.seeds)
    if not steps:
        return ""
    kind = run.spec.control_kind
    first = "map" if kind == SEGMENTATION else kind
    names = [first, "real picture", *("no adapter" if step == 0 else f"step {step}" for step in steps)]
    rows = []
    for i, example in enumerate(dataset.read(run.path, dataset.HELD_OUT)[: min(ROWS, run.spec.held_out)]):
        shown = controls.painted(controls.of_pair(kind, example.picture, example.map))
        cells = [image(Image.fromarray(shown), first), images([example.picture])]
        cells += [images(run.samples(step)[i * each :][:1], "best" if step == best else "") for step in steps]
        filled = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f"<tr><th>{escape(example.caption)}</th>{filled}</tr>")
    head = "".join(f"<td>{name}</td>" for name in names)
    return (
        f'<h2>Held-out maps (seed {run.spec.sample.seeds[0]})</h2><div class="wide"><table class="strip">'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def figure_plots(book: MapBook, mark: int | None, last: int = 0, name: str = "adapter", **size: int) -> list[str]:
    """mIoU and pixel accuracy against steps, with the real pictures' and the base's drawn in.

    last: the step that the plots go to, where no save is there yet. name: what the run's line is called.
    """
    drawn = (("mIoU", book.figure), ("Pixel accuracy", "pixel_accuracy"))
    return [_plot(title, figure, book, mark, last, name, **size) for title, figure in drawn]


def _plot(title: str, figure: str, book: MapBook, mark: int | None, last: int, name: str, **size: int) -> str:
    def percent(areas) -> float:
        return 100 * getattr(areas.scores(), figure)

    made = {0: book.base, **book.saves}
    spread = [areas.interval(figure) for areas in made.values()]
    line = Series(
        name,
        tuple((step, percent(areas)) for step, areas in made.items()),
        tuple(50 * (high - low) for low, high in spread),
    )
    ends = (0, max(last, *made))
    levels = [
        Series(words, tuple((step, percent(areas)) for step in ends), style=style)
        for words, areas, style in (("real pictures", book.real, "limit"), ("no adapter", book.base, "light"))
    ]
    marked = {} if mark is None else {"mark_x": mark, "mark_label": f"recommended: {mark}"}
    return line_plot(
        [line, *levels], title=title, y_label="%, with the 95 % interval's half", showing=(0.0, 100.0), **marked, **size
    )


def table(book: MapBook) -> str:
    """Every save's figures, and the IoU of each class."""
    document = book.to_dict()
    headings, rows = told.table(document)
    saves = {"base": document["base"], **document["saves"], "real": document["real"]}
    names = {c["index"]: c["name"] for told in saves.values() for c in told["classes"]}
    classes = []
    for index, name in sorted(names.items()):
        found = [next((c["iou"] for c in told["classes"] if c["index"] == index), None) for told in saves.values()]
        classes.append([name, *("–" if iou is None else f"{100 * iou:.1f} %" for iou in found)])
    judge, extractor = (
        f"{told.get('name', '')} ({told.get('preprocessing', '')})" if told else "none"
        for told in (book.segmentor, book.extractor)
    )
    return (
        f"<h2>Scores</h2>{_html(headings, rows)}<h2>IoU of each class</h2>{_html(['class', *saves], classes)}"
        f'<p class="quiet">Segmentor: {escape(judge)}. Protocol: {escape(book.protocol)}. '
        f"CLIP of the Fréchet distances: {escape(extractor)}.</p>"
    )


def _html(headings: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    body = "".join(
        f"<tr><td>{escape(str(first))}</td>{''.join(f'<td class=n>{escape(cell)}</td>' for cell in cells)}</tr>"
        for first, *cells in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
