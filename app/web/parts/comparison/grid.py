"""The grid of pictures: a row a column of the comparison, a column a save, the same prompt and seed everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.web.parts import links
from app.web.parts.comparison.shown import Shown, Whole
from app.web.parts.run.filmstrip import OFF, PICTURE_PX, STOP, best_tag, noise_words
from evaluation.figures import CLEAN, LIKENESS

PRESS = "Press a picture to see it large beside any other one; the arrow keys go from one to the next."
GONE = "This column's run is gone or damaged."


BESIDE = '<div id="ds-beside"></div>'  # where static/beside.js opens what is pressed


def section(whole: Whole) -> str:
    """The first prompt's grid, and those of the others folded."""
    head = '<h2 id="ds-grid-head">Pictures</h2>'
    if not whole.there:
        return f'<section aria-labelledby="ds-grid-head">{head}{words.paragraph("There are no runs left.")}</section>'
    spec = whole.there[0].view.spec
    first, *others = spec.sample.prompts
    note = words.paragraph(f"{noise_words(whole.there[0].view)} {PRESS}", "ds-quiet")
    body = f"{_asked(whole, first)}{grid(whole, 0)}{note}"
    for index, prompt in enumerate(others, 1):
        body += words.folded(spec.prompt(prompt), grid(whole, index), f"ds-grid-{index}")
    return f'<section aria-labelledby="ds-grid-head">{head}{body}</section>'


def grid(whole: Whole, prompt: int) -> str:
    """One prompt's table, which scrolls sideways; of its links only one is a stop for Tab."""
    spec, steps = whole.there[0].view.spec, whole.steps
    label = f"Grid of {spec.prompt(spec.sample.prompts[prompt])}"
    head = "".join(f'<th scope="col">{_step(step)}</th>' for step in steps)
    rows = "".join(_row(column, steps, prompt) for column in whole.columns)
    return (
        f'<div class="ds-film ds-grid" tabindex="0" role="region" data-keep="{escape(label, quote=True)}" '
        f'aria-label="{escape(label, quote=True)}"><table><thead><tr><td class="ds-corner"></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    ).replace(OFF, STOP, 1)


def _asked(whole: Whole, prompt: str) -> str:
    asked = whole.there[0].view.spec.prompt(prompt)
    return f'<h3 class="ds-small-heading">{escape(asked)}</h3>'


def _step(step: int) -> str:
    return f"Step {step}" if step else "Base model"


def _row(column: Shown, steps: Sequence[int], prompt: int) -> str:
    view, name = column.view, escape(column.name)
    if view is None:
        head = f'<th scope="row">{name}<span class="ds-quiet">{GONE}</span></th>'
        return f'<tr>{head}<td colspan="{len(steps)}"></td></tr>'
    title = f'<a href="{escape(links.run(view.id))}">{name}</a> {words.state_badge(view.state.name)}'
    cells = "".join(_cell(column, step, prompt) for step in steps)
    return f'<tr><th scope="row">{title}</th>{cells}</tr>'


def _cell(column: Shown, step: int, prompt: int) -> str:
    view, file = column.view, f"{prompt:02d}-00.png"
    if file not in view.samples.get(step, ()):
        return '<td class="ds-gap"><span class="ds-hidden">no picture</span></td>'
    name = f"{column.name}, {_step(step).lower()}"
    address = escape(links.picture(view.id, step, file), quote=True)
    save = f' data-save="{escape(links.save(view.id, step), quote=True)}"' if step in view.saves else ""
    return (
        f'<td class="{"ds-best" if best_tag(view, step) else "ds-col"}"><a href="{address}" target="_blank" '
        f'rel="noopener" data-cell="{escape(name, quote=True)}"{save} {OFF}><img src="{address}" '
        f'alt="{escape(name, quote=True)}" width="{PICTURE_PX}" height="{PICTURE_PX}" loading="lazy"></a>'
        f"{_told(column, step)}</td>"
    )


def _told(column: Shown, step: int) -> str:
    """What a save's figures say under its picture: likeness, whether it is clean, whether it is the one to take."""
    view = column.view
    if step == 0 or view.book is None or step not in view.book.saves:
        return ""
    figures, tag = view.book.figures(step), best_tag(view, step)
    likeness = "" if figures.likeness is None else f"{LIKENESS.name.lower()} {words.percent(figures.likeness)}"
    clean = figures.clean is None or figures.clean >= CLEAN.asked
    marks = f'<span class="ds-tag">{tag}</span>' if tag else ""
    marks += "" if clean else '<span class="ds-is-bad">not clean</span>'
    return f'<span class="ds-quiet ds-under-cell">{likeness}</span>{marks}'
