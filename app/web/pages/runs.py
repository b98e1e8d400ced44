"""Runs: a card for each, the unfinished first; filter, rename, delete, and tick two to four to compare."""

from __future__ import annotations

import gradio as gr

from app import words
from app.web.pages.act import Pressed, acting, goto, part
from app.web.pages.live import QUIET, live
from app.web.pages.upkeep import Upkeep, runs
from app.web.parts import cards, links, summaries
from app.web.parts.comparison import cards as comparisons
from app.web.parts.run import compare
from app.web.studio import Studio


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    part("<h1 data-page-title='Runs'>Runs</h1>")
    together = part()
    with gr.Row(equal_height=True):
        text = gr.Textbox(label="Filter", placeholder="name, method, base model", max_lines=1, elem_id="ds-filter")
        choices = [(label, key) for key, label in cards.FILTERS.items()]
        state = gr.Dropdown(choices, value="", label="State", elem_id="ds-filter-state")
    number, ticked = gr.State(1), gr.State([])
    ticks = part(js_on_load=acting())
    upkeep = Upkeep(runs(studio.data))
    grid, pager = part(js_on_load=acting(), elem_id="ds-grid"), part(js_on_load=acting())
    where = gr.Textbox(visible=False)

    def look(request: gr.Request, text: str, state: str, number: int, ticked: list[str]) -> list[str]:
        found = summaries.summaries(studio.data)
        shown, there = cards.page(found, number, text or "", state or ""), {summary.id for summary in found}
        for gone in set(ticked) - there:
            ticked.remove(gone)
        return [
            cards.grid(shown, ticked),
            _pager(shown),
            _ticks(ticked),
            comparisons.section(studio.data, studio.engine),
        ]

    def again(text: str, state: str, number: int, ticked: list[str]) -> list[str]:
        return look(None, text, state, number, ticked)

    def act(event: Pressed, ticked: list[str]):
        """A button or a tick of a card."""
        run_id = event.run
        if event.act != "tick":
            return [ticked, *upkeep.opened(event.act, run_id)]
        others = [other for other in ticked if other != run_id]
        ticked[:] = [*others, run_id] if event.checked else others  # in place: the next tick may not wait for this
        return [ticked, *upkeep.untouched()]

    def turn(event: Pressed) -> int:
        return int(event.number("page"))

    def tick_act(event: Pressed, ticked: list[str]) -> tuple[list[str], str]:
        return ([], "") if event.act == "none" else (ticked, links.compare(ticked))

    filters, shown = [text, state, number, ticked], [grid, pager, ticks, together]
    live(page, look, shown, filters)
    gr.on([text.input, state.input], lambda: 1, None, number, **QUIET).then(again, filters, shown, **QUIET)
    upkeep.opens(grid.click(act, ticked, [ticked, *upkeep.outputs], **QUIET)).then(again, filters, shown, **QUIET)
    pager.click(turn, None, number, **QUIET).then(again, filters, shown, **QUIET)
    ticks.click(tick_act, ticked, [ticked, where], **QUIET).then(again, filters, shown, **QUIET).then(
        None, where, None, js=goto()
    )
    upkeep.after(again, filters, shown)


def _ticks(ticked: list[str]) -> str:
    """What is ticked, and the button to compare."""
    if not ticked:
        return "<p class='ds-quiet'>Tick two to four runs to compare them.</p>"
    count = words.counted(len(ticked), "run is", "runs are")
    clear = '<button type="button" class="ds-button" data-act="none" data-keep="none">Untick all</button>'
    if not compare.LEAST <= len(ticked) <= compare.MOST:
        told = f"{count} ticked; two to four can be compared."
        return f'<div class="ds-row"><span role="status">{told}</span>{clear}</div>'
    go = '<button type="button" class="ds-button ds-primary" data-act="compare" data-keep="compare">Compare</button>'
    return f'<div class="ds-row"><span role="status">{count} ticked.</span>{go}{clear}</div>'


def _pager(shown: cards.Page) -> str:
    """Which page, and buttons to the next ones."""
    if shown.pages == 1:
        return ""

    def button(number: int, label: str) -> str:
        off = "" if 1 <= number <= shown.pages else " disabled"
        return f'<button type="button" class="ds-button" data-act="page" data-page="{number}"{off}>{label}</button>'

    return (
        f'<nav class="ds-row" aria-label="Pages of runs">{button(shown.number - 1, "Newer")}'
        f"<span>Page {shown.number} of {shown.pages} ({words.counted(shown.found, 'run')})</span>"
        f"{button(shown.number + 1, 'Older')}</nav>"
    )
