"""Two to four runs beside one another: film strips aligned by step, one plot a score, the settings that differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from app import words
from app.web.parts.run import details, filmstrip, scores
from app.web.parts.run.scores import SIZE
from app.web.reading.follow import RunView
from app.web.reading.kept import Kept
from evaluation import curves
from evaluation.figures import FIGURES, Figure
from evaluation.plots import COLOURS, Series, line_plot
from training import jsonfile
from training.errors import BadInput

LEAST, MOST = 2, 4
OF_THE_RUN = ("parent", "start_step")  # settings that say where a run came from, not how it was trained
LONGEST_NAME = 24
CROSSED = "× marks the save from which on no picture of that run is clean any more."
MOVED = "How far it moved, mean of all layers"

_pictures: Kept[str] = Kept(64)


def section(views: Sequence[RunView]) -> str:
    """Everything of the Compare page below its heading."""
    return f"{comparable(views)}{strips(views)}{plots(views)}{differences(views)}"


def comparable(views: Sequence[RunView]) -> str:
    """What makes the scores of these runs not comparable, or nothing."""
    found = not_comparable(views)
    if not found:
        return ""
    named = words.paragraph(
        f"These runs differ in {_listed(found)}. A score of one says little beside a score of another."
    )
    return f'<div class="ds-warning" role="note"><strong>Not comparable</strong>{named}</div>'


def not_comparable(views: Sequence[RunView]) -> list[str]:
    """The things that must be equal for scores to be compared, and are not."""
    kinds = {view.spec.task for view in views}
    if len(kinds) > 1:
        return [TEACHES]
    must = MUST | OF_TASK[kinds.pop()]
    found = [name for name, value in must.items() if any(value(view) != value(views[0]) for view in views)]
    judges = {JUDGES[view.spec.task](view) for view in views if view.book}
    return found + (["judges"] if len(judges) > 1 else [])


def strips(views: Sequence[RunView]) -> str:
    """The film strips under one another; columns are the steps of all of them."""
    steps = sorted({step for view in views for step in view.samples})
    differ, own = not_comparable(views), ""
    if OWN not in differ:
        own = filmstrip.subject_row(views[0])
    body = filmstrip.strip(views, steps, label="Film strips of the runs") if steps else "<p>Nothing is drawn yet.</p>"
    if steps and not {"seeds", "sampler settings"} & set(differ):
        body += words.paragraph(filmstrip.noise_words(views[0]), "ds-quiet")
        body += filmstrip.other_seeds(views, steps, label="Other seeds of the runs")
    return f'<section aria-labelledby="ds-film"><h2 id="ds-film">Film strips</h2>{own}{body}</section>'


def plots(views: Sequence[RunView], names: Sequence[str] = ()) -> str:
    """The three figures and distance against steps, a line a run; crossed out where its pictures stop being clean.

    names: what to call the runs, instead of their own names.
    """
    names = names or [named(view, views) for view in views]
    lines: dict[Figure, list[Series]] = {figure: [] for figure in FIGURES}
    for view, name, colour in zip(views, names, COLOURS, strict=False):
        for figure in FIGURES if view.book else ():
            collapsed = view.recommendation.collapsed
            lines[figure] += curves.figure_series(figure, view.book, name, colour, collapsed)
    steps = [0, *(step for view in views for step in view.samples)]
    drawn = [curves.figure_plot(figure, found, steps, **SIZE) for figure, found in lines.items()]
    drawn.append(moved_plot(views, names))
    figures = "".join(f"<figure>{plot}</figure>" for plot in drawn)
    notes = dict.fromkeys(view.book.note for view in views if view.book)
    told = warnings(views, names)
    if any(view.book and view.recommendation.collapsed is not None for view in views):
        told.insert(0, CROSSED)
    meaning = scores.meaning(views[0]) + "".join(map(words.paragraph, (*notes, *told)))
    tables = "".join(
        words.folded(f"All scores of {name}", scores.table(view), f"ds-scores-{view.id}")
        for view, name in zip(views, names, strict=True)
        if view.book
    )
    return (
        '<section aria-labelledby="ds-scores"><h2 id="ds-scores">Scores and distance</h2>'
        f'<div class="ds-plots">{figures}</div><div class="ds-meaning">{meaning}</div>{tables}</section>'
    )


def warnings(views: Sequence[RunView], names: Sequence[str] = ()) -> list[str]:
    """What is wrong with the scores of a run, and which training made its pictures worse, each with the run's name."""
    told = list(zip(views, names or [named(view, views) for view in views], strict=True))
    found = [f"{name}: {view.score_error}" for view, name in told if view.score_error]
    return found + [
        f"{name}: {view.recommendation.warning}" for view, name in told if view.book and view.recommendation.warning
    ]


def differences(views: Sequence[RunView]) -> str:
    """A table of only the settings that differ."""
    values = [{name: value for name, value, _ in details.settings(view.spec)} for view in views]
    told = {name: text for view in views for name, _, text in details.settings(view.spec)}
    rows = []
    for name, text in told.items():
        shown = [details.setting_value(name, run.get(name)) for run in values]
        if name not in OF_THE_RUN and len(set(shown)) > 1:
            shown = [value if name in run else "–" for run, value in zip(values, shown, strict=True)]
            cells = "".join(f"<td>{escape(value)}</td>" for value in shown)
            rows.append(f"<tr>{details.setting_head(name, text)}{cells}</tr>")
    head = '<h2 id="ds-differences">Settings that differ</h2>'
    if not rows:
        body = "<p>None: the runs were made with the same settings.</p>"
    else:
        names = ("Setting", *(named(view, views) for view in views))
        body = words.table("Table of settings that differ", names, "".join(rows), "ds-described")
    return f'<section aria-labelledby="ds-differences">{head}{body}</section>'


def moved_plot(views: Sequence[RunView], names: Sequence[str] = ()) -> str:
    """How far each run moved, and its limit."""
    lines = zip(views, names or [named(view, views) for view in views], COLOURS, strict=False)
    moved = [line for each in lines for line in _moved(*each)]
    size = {"width": 400, "height": 290 + 9 * len(moved)}
    return line_plot(moved, title=MOVED, y_label="distance / ‖W‖", showing=(0.0,), **size)


def _moved(view: RunView, name: str, colour: str) -> list[Series]:
    """Means over the layers: of the distances, and of the limits, which hold for the mean as for each layer."""
    geometry = view.journal.geometry
    moved, limit = (curves.mean_of_layers(geometry, key) for key in ("distance", "bound"))
    lines = [Series(name, moved, colour=colour)] if moved else []
    return lines + ([Series(f"{name}: mean limit", limit, style="limit", colour=colour)] if limit else [])


def named(view: RunView, views: Sequence[RunView]) -> str:
    """The run's name, with the end of its id where another run has the same."""
    same = sum(other.name == view.name for other in views) > 1
    name = view.name if len(view.name) <= LONGEST_NAME else view.name[: LONGEST_NAME - 1] + "…"
    return f"{name} ({view.id.rpartition('-')[2]})" if same else name


def _hash(path: Path) -> str:
    """Of a picture's content; its name where it cannot be read, which is like no other."""
    try:
        return hashlib.sha256(jsonfile.read_bytes(path)).hexdigest()
    except BadInput:
        return str(path)


def _encoders(view: RunView) -> str:
    judges = view.book.base.encoders
    return " ".join(f"{judges[kind]['sha256']} {judges[kind]['preprocessing']}" for kind in sorted(judges))


def _segmentor(view: RunView) -> str:
    judge = view.book.segmentor
    return f"{judge.get('fingerprint')} {judge.get('preprocessing')}"


def _files(view: RunView, part: str) -> str:
    """A hash of the pictures and maps in a folder of a run, whatever their order."""
    folder = view.run.path / part

    def digest() -> str:
        return " ".join(sorted(_hash(path) for path in jsonfile.files(view.run.path, part, "*.png")))

    return _pictures.get(folder, digest, "")


TEACHES, OWN = "what they teach", "pictures of the subject"
Value = Callable[[RunView], Any]
# What must be equal for scores to be compared: of every run, and of each task's.
MUST: dict[str, Value] = {
    "base model": lambda view: view.spec.base,
    "seeds": lambda view: view.spec.sample.seeds,
    "sampler settings": lambda view: view.spec.sample.model_dump(include={"steps", "guidance", "negative"}),
    "picture size": lambda view: view.spec.resolution,
}
OF_TASK: dict[str, dict[str, Value]] = {
    "dreambooth": {
        "prompts": lambda view: view.spec.sample.prompts,
        "kind word": lambda view: view.spec.class_word,
        OWN: partial(_files, part="dataset"),
    },
    "maps": {
        "protocol": lambda view: view.spec.protocol,
        "ControlNet": lambda view: view.spec.protocol == "frozen-controlnet" and view.spec.controlnet,
        "control scale": lambda view: view.spec.control_scale,
        "held-out maps": partial(_files, part="held-out"),
    },
}
JUDGES: dict[str, Value] = {"dreambooth": _encoders, "maps": _segmentor}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
