"""Scores: the three figures against steps, the recommendation and what the figures mean."""

from __future__ import annotations

from html import escape

from app import words
from app.web.parts.run.filmstrip import best_tag
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves
from evaluation import curves
from evaluation.figures import CLEAN, FIGURES, Figures
from evaluation.recommend import Recommendation
from evaluation.scores import Scores

SIZE = {"width": 400, "height": 290}  # of a plot; letters stay readable on a phone
HALVES = (
    "Place and thing are the halves of “Follows the prompt”: CLIP's hold on each, told from other places and other "
    "things, against the base model's. A thing counts as the kind that the prompt names, or as your own."
)


def section(view: RunView) -> str:
    """What has collapsed, recommendation, the plots, what they mean, and all scores folded."""
    book = view.book
    head = f'<h2 id="ds-scores">Scores</h2>{words.paragraph(view.score_error, "ds-error")}'
    if book is None:
        return f'<section aria-labelledby="ds-scores">{head}{words.paragraph(_waiting(view))}</section>'
    told = f'{collapse(view.recommendation)}<p class="ds-advice">{escape(view.recommendation.reason)}</p>'
    last = planned_saves(view.spec)[0]
    plots = curves.figure_plots(book, view.recommendation.step, last, name=view.name, **SIZE)
    shown = "".join(f"<figure>{plot}</figure>" for plot in plots)
    over = words.folded("Trained too long?", words.paragraph(overfitting_words(view.name)), "ds-overfitting")
    all_scores = words.folded("All scores", table(view), "ds-score-table")
    note = words.paragraph(book.note, "ds-quiet")
    return (
        f'<section aria-labelledby="ds-scores">{head}{told}<div class="ds-plots">{shown}</div>'
        f'<div class="ds-meaning">{meaning(view)}{note}</div>{over}{all_scores}</section>'
    )


def collapse(advice: Recommendation | None) -> str:
    """A box that says since when the pictures are no longer clean, and when they last were; or nothing."""
    if advice is None or not advice.warning:
        return ""
    return (
        f'<div class="ds-warning" role="note"><strong>Not a clean picture since step {advice.collapsed}</strong>'
        f"{words.paragraph(advice.warning)}</div>"
    )


def meaning(view: RunView) -> str:
    """What each of the figures means; where the judges know nothing of the pictures, of the one that they can tell."""
    book = view.book
    told = FIGURES if book is None or book.known else (CLEAN,) if book.sees else ()
    return "".join(words.paragraph(figure.explained(view.spec.class_word)) for figure in told)


def overfitting_words(name: str) -> str:
    """How to see that a save was trained too long."""
    return (
        f"Trained too long: it no longer learns what {name} looks like but learns your photos by heart. Same pose, "
        "same sofa, whatever you ask for. Sign: likeness stays, 'follows the prompt' falls. Take an earlier save."
    )


def _waiting(view: RunView) -> str:
    if view.score_error or view.state.ended:
        return "" if view.score_error else "No scores: it ended before a save was scored."
    return f"No recommendation yet; the first scores come at step {planned_saves(view.spec)[0]}."


def table(view: RunView) -> str:
    """Every figure of every save, and what they are."""
    book = view.book
    rows = [_row("Base model", book.base, book.figures(0))]
    for step, scores in book.saves.items():
        tag = best_tag(view, step)
        name = f"Step {step}" + (f' <span class="ds-tag">{tag}</span>' if tag else "")
        rows.append(_row(name, scores, book.figures(step)))
    if book.real:
        whole = "100 %" if book.known else "–"
        figures = (whole, "–", "–", f"{book.real['dino']:.3f}", f"{book.real['clip_i']:.3f}", "–", "–", "–")
        cells = "".join(f"<td>{figure}</td>" for figure in figures)
        rows.append(f'<tr><th scope="row">Your pictures</th>{cells}</tr>')
    names = ("Save", *(figure.name for figure in FIGURES), "DINO", "CLIP-I", "CLIP-T", "Place", "Thing")
    judges = "; ".join(f"{kind.upper()}: {j['name']} ({j['preprocessing']})" for kind, j in book.base.encoders.items())
    told = f"{book.base.pictures} pictures a row. DINO is given with its standard error. {HALVES} {judges}."
    return words.table("All scores", names, "".join(rows), "ds-figured") + words.paragraph(told, "ds-quiet")


def _row(name: str, scores: Scores, told: Figures) -> str:
    """name: HTML."""
    cells = [words.percent(getattr(told, figure.key)) for figure in FIGURES]
    cells += [f"{scores.dino:.3f} ± {scores.dino_stderr:.3f}", f"{scores.clip_i:.3f}", f"{scores.clip_t:.3f}"]
    cells += [words.percent(told.place), words.percent(told.thing)]
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
