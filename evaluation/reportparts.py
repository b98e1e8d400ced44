"""What a report says of a run between its heading and its settings: the curves of any run, and all of a subject's."""

from collections.abc import Sequence
from html import escape

from evaluation import curves
from evaluation.figures import FIGURES
from evaluation.html import images
from evaluation.runscores import drawn_steps
from evaluation.scorebook import ScoreBook
from training.runs.run import Run


def subject_parts(run: Run, book: ScoreBook | None) -> list[str]:
    """What is told of a subject: its pictures, the prompts through the saves, curves and scores."""
    best = book.recommend(run.spec.name).step if book else None
    return [
        f'<h2>Your pictures</h2><div class="own">{images(run.pictures())}</div>',
        _film_strip(run, book),
        plots(run, curves.figure_plots(book, best) if book else []),
        _table(book, run.spec.class_word) if book else "",
    ]


def plots(run: Run, figures: list[str]) -> str:
    """The curves: of what a save is judged by, then distance and loss."""
    cells = "".join(f"<div>{plot}</div>" for plot in [*figures, curves.distance_plot(run), curves.loss_plot(run)])
    return f'<h2>Curves</h2><div class="plots">{cells}</div><p>{escape(curves.limit_words(run))}</p>'


def _film_strip(run: Run, book: ScoreBook | None) -> str:
    """Rows: prompts and their first seed; columns: saves, the base model first."""
    steps, sample = drawn_steps(run), run.spec.sample
    if not steps:
        return ""
    best = book.recommend(run.spec.name).step if book else None
    head = "".join(f"<td>{'base model' if step == 0 else f'step {step}'}</td>" for step in steps)
    rows = []
    for index, prompt in enumerate(sample.prompts):
        cells = []
        for step in steps:
            paths = run.samples(step)[index * len(sample.seeds) :][:1]
            cells.append(f"<td>{images(paths, 'best' if step == best else '')}</td>")
        rows.append(f"<tr><th>{escape(run.spec.prompt(prompt))}</th>{''.join(cells)}</tr>")
    return (
        f'<h2>Film strip (seed {sample.seeds[0]})</h2><div class="wide"><table class="strip">'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def _table(book: ScoreBook, kind: str) -> str:
    def row(name: str, told: Sequence[float | None], plain: Sequence[float | None]) -> str:
        cells = ["–" if value is None else f"{value:.0f} %" for value in told]
        cells += ["–" if value is None else f"{value:.3f}" for value in plain]
        return f"<tr><td>{escape(name)}</td>{''.join(f'<td class=n>{cell}</td>' for cell in cells)}</tr>"

    rows = []
    for step, scores in {0: book.base, **book.saves}.items():
        told = book.figures(step)
        percents = [getattr(told, figure.key) for figure in FIGURES]
        rows.append(
            row(f"step {step}" if step else "base model", percents, (scores.dino, scores.clip_i, scores.clip_t))
        )
    if book.real:
        whole = (100.0 if book.known else None, None, None)
        rows.append(row("your pictures", whole, (book.real["dino"], book.real["clip_i"], None)))
    judges = "; ".join(f"{kind.upper()}: {d['name']} ({d['preprocessing']})" for kind, d in book.base.encoders.items())
    names = ("", *(figure.name for figure in FIGURES), "DINO", "CLIP-I", "CLIP-T")
    head = "".join(f"<th>{name}</th>" for name in names)
    meaning = "".join(f"<p>{escape(figure.explained(kind))}</p>" for figure in FIGURES)
    return (
        f'<h2>Scores</h2>{meaning}<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
        f'<p class="quiet">{book.base.pictures} pictures a row. {escape(judges)}.</p>'
    )
