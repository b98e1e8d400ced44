"""How a comparison stands and what can be done with it, on its page and on its card."""

from __future__ import annotations

from html import escape

from app import words
from app.comparisons import together
from app.comparisons.comparison import Comparison
from app.web.parts import links
from app.web.parts.comparison.shown import Shown, Whole
from app.web.reading import follow
from training.errors import StudioError

AT_WORK = ("queued", "running", "stopping")


def title(whole: Whole) -> str:
    """The page's heading."""
    name = whole.document.name
    return f"<h1 data-page-title='{escape(name, quote=True)}'>{escape(name)}</h1>"


def standing(whole: Whole) -> str:
    """The state, how many columns are at their end, and what the one at work does."""
    ended = sum(column.told.ended for column in whole.columns)
    told = f"{ended} of {words.counted(len(whole.columns), 'column')} at the end"
    lines = [_at_work(column) for column in whole.there if column.view.live]
    saves = ", ".join(map(str, whole.document.saves))
    return (
        f'<section class="ds-state" aria-label="State"><h2>{words.state_badge(whole.state)}</h2>'
        f"<p>{told}.{''.join(f' {escape(line)}' for line in lines)}</p>"
        f'<p class="ds-facts">Saves at steps {escape(saves)}. ×2 is twice the learning rates that the method usually '
        "has. Everything else is alike: pictures, prompts, seeds, noise.</p></section>"
    )


def buttons(whole: Whole) -> str:
    """Stop or resume, rename, delete, and what can be taken away."""
    found = []
    if whole.state in ("queued", "running"):
        found.append(_button("stop", "Stop", "ds-button"))
    elif whole.state not in AT_WORK and together.unfinished(whole.comparison):
        found.append(_button("resume", "Resume", "ds-button ds-primary"))
    if whole.there:
        html, sheet = links.comparison_file(whole.id, "html"), links.comparison_file(whole.id, "png")
        found.append(f'<a class="ds-button" href="{escape(html)}" download>Export as HTML</a>')
        found.append(f'<a class="ds-button" href="{escape(sheet)}" download>Export as PNG</a>')
    found += [_button("rename", "Rename", "ds-button"), _button("delete", "Delete", "ds-button")]
    return f'<div class="ds-row" role="group" aria-label="What you can do">{"".join(found)}</div>'


def damaged(made: Comparison, error: StudioError) -> str:
    """The page of one that cannot be read."""
    return (
        f"<h1 data-page-title='Damaged'>{escape(made.id)}</h1><section class='ds-state' aria-label='State'>"
        f"<h2>{words.state_badge('damaged')}</h2>{words.paragraph(_plain(made, error))}"
        f"{words.paragraph(error.on_page)}</section>"
    )


def delete_button() -> str:
    """The one thing to do with a damaged one here."""
    button = _button("delete", "Delete", "ds-button")
    return f'<div class="ds-row" role="group" aria-label="What you can do">{button}</div>'


def card(made: Comparison, whole: Whole | StudioError) -> str:
    """A card for the page Runs."""
    where = escape(links.comparison(made.id))
    if isinstance(whole, StudioError):
        return (
            f'<li class="ds-run-card ds-damaged"><div><h2><a href="{where}">{escape(made.id)}</a></h2>'
            f"<p>{words.state_badge('damaged')} Comparison</p><p>{escape(_plain(made, whole))}</p></div>"
            f'<div class="ds-card-actions"><a class="ds-button ds-small" href="{where}">What can be done</a></div></li>'
        )
    names = ", ".join(column.name for column in whole.columns)
    ended = sum(column.told.ended for column in whole.columns)
    return (
        f'<li class="ds-run-card ds-damaged"><div><h2><a href="{where}">{escape(whole.document.name)}</a></h2>'
        f"<p>{words.state_badge(whole.state)} Comparison, {ended} of {words.counted(len(whole.columns), 'column')} at "
        f"the end</p><p>{escape(whole.sentence)}</p>"
        f'<p class="ds-quiet">{escape(names)}<br>{words.moment(whole.document.created)}</p></div></li>'
    )


def _at_work(column: Shown) -> str:
    """What a column does now."""
    view = column.view
    left = follow.left_words(view.left)
    doing = "saving, then stopping" if view.stopping else follow.doing(view)
    return f"{column.name}: {doing}, step {view.step} of {view.spec.steps}{', ' + left if left else ''}."


def _button(key: str, label: str, kind: str) -> str:
    return f'<button type="button" class="{kind}" data-act="{key}" data-keep="{key}">{label}</button>'


def _plain(made: Comparison, error: StudioError) -> str:
    return error.message.replace(f"{made.path}/", "")
