"""Scores: likeness and prompt following against steps, the recommendation and what the figures mean."""

from __future__ import annotations

from html import escape

from app import words
from app.web.parts.run.filmstrip import best_tag
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves
from evaluation import curves
from evaluation.plots import Series, line_plot
from evaluation.scorebook import ScoreBook
from evaluation.subject import Scores

SIZE = {"width": 400, "height": 290}  # of a plot; letters stay readable on a phone
CENTRED = (
    "CLIP-T, centred: less each picture's mean cosine with other prompts, since a judge gives every pair a large "
    "common share. “Follows the prompt” is that figure against the base model's, at most 100 %."
)
FOLLOWS = "Follows the prompt (CLIP-T): compared with the base model; 100 % is as good."


def section(view: RunView) -> str:
    """Recommendation, both plots, what they mean, and all scores folded."""
    book = view.book
    head = f'<h2 id="ds-scores">Scores</h2>{words.paragraph(view.score_error, "ds-error")}'
    if book is None:
        return f'<section aria-labelledby="ds-scores">{head}{words.paragraph(_waiting(view))}</section>'
    told = f'<p class="ds-advice">{escape(view.recommendation.reason)}</p>'
    plots = f"<figure>{likeness_plot(view)}</figure><figure>{prompt_plot(view)}</figure>"
    meaning = words.paragraph(likeness_words(view)) + words.paragraph(FOLLOWS)
    over = words.folded("Trained too long?", words.paragraph(overfitting_words(view.name)), "ds-overfitting")
    all_scores = words.folded("All scores", table(view), "ds-score-table")
    note = words.paragraph(book.note, "ds-quiet")
    return (
        f'<section aria-labelledby="ds-scores">{head}{told}<div class="ds-plots">{plots}</div>'
        f'<div class="ds-meaning">{meaning}{note}</div>{over}{all_scores}</section>'
    )


def likeness_plot(view: RunView) -> str:
    """Likeness in percent with its standard error; DINO's own figures where there is no scale."""
    book = view.book
    lines = likeness_series(book, view.name)
    if not lines:
        return curves.likeness_plot(book, view.recommendation.step, **SIZE)
    last = max(planned_saves(view.spec)[0], *book.saves, 0)
    lines += [
        Series("base model", ((0, 0.0), (last, 0.0)), style="light"),
        Series("your own pictures", ((0, 100.0), (last, 100.0)), style="limit"),
    ]
    return line_plot(lines, title="Likeness (DINO)", y_label="% ± standard error", **_mark(view), **SIZE)


def prompt_plot(view: RunView) -> str:
    """Prompt following in percent of the base model's."""
    return curves.prompt_plot(view.book, view.recommendation.step, **SIZE)


def likeness_series(book: ScoreBook, name: str, colour: str = "") -> list[Series]:
    """Likeness in percent against steps, as one line; none where the scale has no length."""
    if book.likeness(0) is None:
        return []
    scale = 100 / (book.real["dino"] - book.base.dino)
    saves = [(0, book.base), *book.saves.items()]
    points = tuple((step, book.likeness(step)) for step, _ in saves)
    return [Series(name, points, tuple(scale * scores.dino_stderr for _, scores in saves), colour=colour)]


def likeness_words(view: RunView) -> str:
    """What the percent means."""
    return (
        f"Likeness (DINO): 0 % is any {view.spec.class_word} from the base model, 100 % is your own pictures compared "
        "with one another."
    )


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


def _mark(view: RunView) -> dict:
    step = view.recommendation.step
    return {} if step is None else {"mark_x": step, "mark_label": f"recommended: {step}"}


def table(view: RunView) -> str:
    """Every figure of every save, and what they are."""
    book = view.book
    rows = [_row("Base model", book.base, 1.0, book.likeness(0))]
    for step, scores in book.saves.items():
        tag = best_tag(view, step)
        name = f"Step {step}" + (f' <span class="ds-tag">{tag}</span>' if tag else "")
        rows.append(_row(name, scores, scores.clip_t_share, book.likeness(step)))
    if book.real:
        figures = (f"{book.real['dino']:.3f}", f"{book.real['clip_i']:.3f}", "–", "–", "–", "100 %")
        cells = "".join(f"<td>{figure}</td>" for figure in figures)
        rows.append(f'<tr><th scope="row">Your pictures</th>{cells}</tr>')
    names = ("Save", "DINO", "CLIP-I", "CLIP-T", "CLIP-T, centred", "Follows the prompt", "Likeness")
    judges = "; ".join(f"{kind.upper()}: {j['name']} ({j['preprocessing']})" for kind, j in book.base.encoders.items())
    told = f"{book.base.pictures} pictures a row. DINO is given with its standard error. {CENTRED} {judges}."
    return words.table("All scores", names, "".join(rows), "ds-figured") + words.paragraph(told, "ds-quiet")


def _row(name: str, scores: Scores, share: float | None, likeness: float | None) -> str:
    """name: HTML."""
    return (
        f'<tr><th scope="row">{name}</th><td>{scores.dino:.3f} ± {scores.dino_stderr:.3f}</td>'
        f"<td>{scores.clip_i:.3f}</td><td>{scores.clip_t_plain:.3f}</td><td>{scores.clip_t:.3f}</td>"
        f"<td>{words.percent(None if share is None else 100 * share)}</td><td>{words.percent(likeness)}</td></tr>"
    )
