"""One comparison, at its own address, also while it runs."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from app.comparisons import comparison, together
from app.comparisons.comparison import Comparison
from app.web.pages.act import Pressed, acting, goto, part, shown_error
from app.web.pages.live import QUIET, live, query
from app.web.pages.upkeep import Kind, Upkeep
from app.web.parts import links
from app.web.parts.comparison import found, grid, head
from app.web.parts.comparison.shown import whole
from app.web.studio import Studio
from training.errors import StudioError

GONE = "<h1 data-page-title='Compare'>No such comparison</h1><p>{words}</p><p><a href='{runs}'>All runs</a></p>"


def build(studio: Studio, page: gr.Blocks) -> None:
    """Its part of the page."""
    top, state = part(), part()
    buttons, said = part(js_on_load=acting("stop", "resume"), elem_id="ds-actions"), part()
    upkeep = Upkeep(_upkeep(studio.data), gone=links.RUNS)
    sentence, pictures, table, curves, moved = part(), part(), part(), part(), part()
    part(grid.BESIDE)
    where = gr.Textbox(visible=False)

    def look(request: gr.Request) -> list[str]:
        if not query(request, "id"):
            return [""] * 8
        try:
            made = _made(studio, request)
        except StudioError as error:
            return [GONE.format(words=escape(error.message), runs=links.RUNS), *[""] * 7]
        try:
            now = whole(made, studio.engine)
        except StudioError as error:
            return [head.damaged(made, error), "", head.delete_button(), *[""] * 5]
        return [
            head.title(now),
            head.standing(now),
            head.buttons(now),
            found.sentence(now),
            grid.section(now),
            found.table(now),
            found.curves(now),
            found.heat_maps(now),
        ]

    def act(request: gr.Request, event: Pressed):
        """What a button does: words, the address to go to, and the two rows of `upkeep`."""
        if event.act in ("rename", "delete"):
            return "", "", *upkeep.opened(event.act, query(request, "id"))
        told = ""
        try:
            made = _made(studio, request)
            if event.act == "stop":
                together.stop(studio.data, made, studio.engine)
            elif event.act == "resume":
                together.start(studio.data, made, engine=studio.engine)
        except StudioError as error:
            told = shown_error(error)
        return told, "", *upkeep.shut()

    shown = [top, state, buttons, sentence, pictures, table, curves, moved]
    live(page, look, shown)
    pressed = upkeep.opens(buttons.click(act, None, [said, where, *upkeep.outputs], **QUIET))
    pressed.then(look, None, shown, **QUIET).then(None, where, None, js=goto())
    upkeep.after(look, [], shown)


def _made(studio: Studio, request: gr.Request) -> Comparison:
    """The comparison that the page's address names."""
    return comparison.by_id(studio.data, query(request, "id"))


def _upkeep(data: Path) -> Kind:
    """How comparisons are renamed and deleted; a damaged one can be deleted too."""

    def question(item: str) -> str:
        made = comparison.by_id(data, item)
        try:
            name = made.read().name
        except StudioError:
            name = made.id
        return f"<p><b>Delete the comparison {escape(name)}?</b> Its runs stay, each by itself.</p>"

    return Kind(
        name=lambda item: comparison.by_id(data, item).read().name,
        rename=lambda item, name: comparison.by_id(data, item).rename(name),
        question=question,
        delete=lambda item: comparison.by_id(data, item).delete(),
    )
