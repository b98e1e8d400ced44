"""The Runs page: a card for each run, on pages and filtered."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

from app import words
from app.web.parts import links
from app.web.parts.summaries import Summary
from training.runs.states import ENDED

PAGE = 24
FILTERS = {"": "All", "unfinished": "Not finished", **{name: word for name, (word, _, _) in words.BADGES.items()}}


@dataclass(frozen=True)
class Page:
    """Cards of one page. number: counted from 1. found: on all pages, all: without the filter."""

    cards: tuple[Summary, ...]
    number: int
    pages: int
    found: int
    all: int


def page(cards: Sequence[Summary], number: int = 1, text: str = "", state: str = "") -> Page:
    """The page `number` of the cards in a state, a key of FILTERS, that have words which begin with those of `text`."""
    wanted = [re.compile(rf"(?<!\w){re.escape(word)}") for word in text.lower().split()]  # lora is not DeLoRA
    kept = [card for card in cards if _in(card, state) and all(word.search(card.text) for word in wanted)]
    pages = max(1, -(-len(kept) // PAGE))
    number = min(max(1, number), pages)
    return Page(tuple(kept[(number - 1) * PAGE : number * PAGE]), number, pages, len(kept), len(cards))


def grid(shown: Page, ticked: Collection[str] = ()) -> str:
    """The cards of a page as HTML. ticked: ids of those chosen for comparing."""
    if not shown.all:
        return f'<p>No runs yet. <a href="{links.NEW}">Start one</a>: the sample takes a few minutes.</p>'
    if not shown.cards:
        return f"<p>None of the {words.counted(shown.all, 'run')} fits the filter.</p>"
    return f'<ul class="ds-cards">{"".join(card(summary, summary.id in ticked) for summary in shown.cards)}</ul>'


def card(summary: Summary, ticked: bool = False) -> str:
    """One card: picture, name, state, figures, method and base, date; a tick for comparing, rename and delete."""
    if summary.state == "damaged":
        return _damaged_card(summary)
    name, run_id = escape(summary.name), escape(summary.id, quote=True)
    where = escape(links.run(summary.id))

    def acts(key: str) -> str:
        return f'data-act="{key}" data-run="{run_id}" data-keep="{key} {run_id}"'

    image = (
        f'<img src="{escape(summary.thumbnail)}" alt="" width="128" height="128" loading="lazy">'
        if summary.thumbnail
        else '<span class="ds-no-picture"></span>'
    )
    made = f" step {summary.step} of {summary.steps}" if summary.state != "done" and summary.step else ""
    about = (
        f"{words.method(summary.method)}, {words.counted(summary.steps, 'step')} at rate {summary.rate:g}, on "
        f"{words.base(summary.base)}"
    )
    about = f"{summary.taught}. {about}" if summary.taught else about
    remove = (
        f'<button type="button" class="ds-button ds-small" {acts("delete")} aria-label="Delete {name}">Delete</button>'
        if summary.state in ENDED
        else ""
    )
    return (
        f'<li class="ds-run-card" data-run="{run_id}"><a class="ds-thumb" href="{where}" tabindex="-1" '
        f'aria-hidden="true">{image}</a><div><h2><a href="{where}">{name}</a></h2>'
        f"<p>{words.state_badge(summary.state)}{made}</p><p>{escape(_judged(summary))}</p>"
        f"{words.paragraph(summary.warning, 'ds-warn')}"
        f'<p class="ds-quiet">{escape(about)}<br>{words.moment(summary.when)}</p></div>'
        f'<div class="ds-card-actions"><label><input type="checkbox" {acts("tick")} '
        f'aria-label="Compare {name}"{" checked" if ticked else ""}> Compare</label>'
        f'<button type="button" class="ds-button ds-small" {acts("rename")} '
        f'aria-label="Rename {name}">Rename</button>{remove}</div></li>'
    )


def _damaged_card(summary: Summary) -> str:
    """A card of a folder that cannot be opened: what is wrong, where it lies, what is left. It can be deleted."""
    name, run_id = escape(summary.name), escape(summary.id, quote=True)
    where = escape(links.run(summary.id))
    about = f"<p>{words.state_badge(summary.state)}</p><p>{escape(summary.warning)}</p>"
    if not summary.id:  # no address leads to it
        return f'<li class="ds-run-card ds-damaged"><div><h2>{name}</h2>{about}</div></li>'
    return (
        f'<li class="ds-run-card ds-damaged" data-run="{run_id}"><div><h2><a href="{where}">{name}</a></h2>{about}'
        f'<p class="ds-quiet">{escape(summary.left)}</p></div>'
        f'<div class="ds-card-actions"><a class="ds-button ds-small" href="{where}">What can be done</a>'
        f'<button type="button" class="ds-button ds-small" data-act="delete" data-run="{run_id}" '
        f'data-keep="delete {run_id}" aria-label="Delete {name}">Delete</button></div></li>'
    )


def _judged(summary: Summary) -> str:
    """The recommended save with its three figures, or why there is none."""
    if summary.older_judges:
        return "Scored by older judges: score it again"
    if summary.recommended is not None:
        told = f"Step {summary.recommended}: {summary.figures}"
    else:
        told = "No save is recommended" if summary.state in ENDED else "No recommendation yet"
    return told if summary.collapsed is None else f"{told}. Not a clean picture since step {summary.collapsed}"


def _in(card: Summary, state: str) -> bool:
    if state == "unfinished":
        return card.state not in ("done", "damaged")
    return not state or card.state == state
