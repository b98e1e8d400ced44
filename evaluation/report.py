"""A run's report: one HTML file with its pictures, scores and distances inside it, readable without anything else."""

from html import escape
from pathlib import Path

from evaluation import scorebook, tasks
from evaluation.scorebook import Book
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


def _called(run: Run) -> str:
    return f"write “{escape(run.spec.subject)}” in prompts" if run.spec.subject else escape(run.spec.task)


def _book(run: Run) -> tuple[Book | None, str]:
    """The run's scores, and what they recommend; or None, and why there are none to show."""
    try:
        book = scorebook.read(run)
    except BadInput as error:  # damaged, or made by other judges
        return None, str(error)
    return (book, book.recommend(run.spec.name).reason) if book else (None, "No scores yet.")


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
