"""The comparisons on the page Runs: the newest as cards, the others by name."""

from __future__ import annotations

from html import escape
from pathlib import Path

from app import words
from app.comparisons import comparison
from app.comparisons.comparison import Comparison
from app.web.parts import links
from app.web.parts.comparison.head import card
from app.web.parts.comparison.shown import whole
from app.work.engines import Engine
from training.errors import StudioError

CARDS = 6  # to look at one is to look at up to eight runs


def section(data: Path, engine: Engine | None = None) -> str:
    """All comparisons, newest first, damaged ones among them; nothing where there are none."""
    found = comparison.every(data)
    if not found:
        return ""
    shown = "".join(_card(made, engine) for made in found[:CARDS])
    named = ((escape(links.comparison(made.id)), escape(_name(made))) for made in found[CARDS:])
    older = "".join(f'<li><a href="{address}">{name}</a></li>' for address, name in named)
    more = words.folded("Older comparisons", f"<ul>{older}</ul>", "ds-older-comparisons") if older else ""
    return (
        '<section aria-labelledby="ds-comparisons"><h2 id="ds-comparisons">Comparisons</h2>'
        f'<ul class="ds-cards">{shown}</ul>{more}<h2>Runs</h2></section>'
    )


def _card(made: Comparison, engine: Engine | None) -> str:
    try:
        return card(made, whole(made, engine))
    except StudioError as error:
        return card(made, error)


def _name(made: Comparison) -> str:
    try:
        return made.read().name
    except StudioError:
        return f"{made.id} (damaged)"
