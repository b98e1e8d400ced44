"""A run's report: one HTML file with its pictures, scores and distances inside it, readable without anything else."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from evaluation import curves, scorebook, tasks
from evaluation.figures import FIGURES
from evaluation.html import images
from evaluation.scorebook import Book, ScoreBook
from training.atomic import write_text
from training.errors import BadInput, from_os_error
from training.runs.run import Run

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .3rem .7rem; text-align: left; vertical-align: top; }
th { font-weight: 600; } tr + tr td { border-top: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.strip td { padding: .25rem; border: 0; text-align: center; } .strip th { font-weight: 400; max-width: 11rem; }
.strip img, .own img { width: 112px; height: 112px; border-radius: 4px; display: block; }
.own { display: flex; flex-wrap: wrap; gap: .5rem; } .best { outline: 3px solid #2f6fde; outline-offset: 2px; }
.quiet { opacity: .75; }
"""


def write_report(run: Run, path: Path) -> Path:
    """Write the report of `run` to `path`. A run without scores yet, or with damaged ones, gets what there is."""
    spec, state = run.spec, run.state()
    book, reason = _book(run)
    warning = book.recommend(spec.name).warning if book else ""
    parts = [
        f"<h1>{escape(spec.name)}</h1>",
        f'<p class="quiet">{escape(run.id)} · {escape(state.name)}, step {state.step} of {spec.steps} · '
        f"{escape(spec.adapter.method)} on {escape(spec.base)} · {_called(run)}</p>",
        f"<p><strong>{escape(warning)}</strong></p>" if warning else "",
        f"<p>{escape(reason)}</p>",
        f'<p class="quiet">{escape(book.note)}</p>' if book and book.note else "",
        *tasks.of(spec).report(run, book),
        _settings(run),
    ]
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(spec.name)}: report</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
    try:
        write_text(path, text)
    except OSError as error:
        raise from_os_error(error, path) from error
    return path


def subject_parts(run: Run, book: ScoreBook | None) -> list[str]:
    """What is told of a subject: its pictures, the prompts through the saves, curves and scores."""
    best = book.recommend(run.spec.name).step if book else None
    return [
        f'<h2>Your pictures</h2><div class="own">{images(run.pictures())}</div>',
        _film_strip(run, book),
        plots(run, curves.figure_plots(book, best) if book else []),
        _table(book, run.spec.class_word) if book else "",
    ]


def _called(run: Run) -> str:
    return f"write “{escape(run.spec.subject)}” in prompts" if run.spec.subject else escape(run.spec.task)


def _book(run: Run) -> tuple[Book | None, str]:
    """The run's scores, and what they recommend; or None, and why there are none to show."""
    try:
        book = scorebook.read(run)
    except BadInput as error:  # damaged, or made by other judges
        return None, str(error)
    return (book, book.recommend(run.spec.name).reason) if book else (None, "No scores yet.")


def plots(run: Run, figures: list[str]) -> str:
    """The curves: of what a save is judged by, then distance and loss."""
    cells = "".join(f"<div>{plot}</div>" for plot in [*figures, curves.distance_plot(run), curves.loss_plot(run)])
    return f'<h2>Curves</h2><div class="plots">{cells}</div><p>{escape(curves.limit_words(run))}</p>'


def _film_strip(run: Run, book: ScoreBook | None) -> str:
    """Rows: prompts and their first seed; columns: saves, the base model first."""
    from evaluation.runscores import drawn_steps

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


def _settings(run: Run) -> str:
    rows = []
    for name, value in run.spec.model_dump(mode="json").items():
        nested = value.items() if isinstance(value, dict) else [("", value)]
        rows += [
            f"<tr><td>{escape(f'{name}.{key}' if key else name)}</td><td>{escape(str(inner))}</td></tr>"
            for key, inner in nested
        ]
    table = f"<table>{''.join(rows)}</table>"
    return f"<h2>Settings</h2><details><summary>Everything that made the run</summary>{table}</details>"
