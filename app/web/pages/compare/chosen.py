"""Two to four runs beside one another; live while any of them runs."""

from __future__ import annotations

from html import escape

import gradio as gr

from app.web.pages.act import part
from app.web.pages.live import live, query
from app.web.parts import links, taught
from app.web.parts.run import compare
from app.web.reading import follow
from app.web.studio import Studio
from training.errors import StudioError
from training.runs import rundir

HOW = f"Tick two to four runs on the page <a href='{links.RUNS}'>Runs</a> and press Compare."


def build(studio: Studio, page: gr.Blocks) -> None:
    """Its part of the page."""
    title, note, strips, plots, table = part(), part(), part(), part(), part()

    def look(request: gr.Request) -> list[str]:
        ids = list(dict.fromkeys(filter(None, query(request, "ids").split(","))))
        if not ids:
            return [""] * 5
        views, missing, head = [], [], "<h1 data-page-title='Compare'>Compare</h1>"
        for run_id in ids:
            try:
                views.append(follow.view(rundir.run_by_id(studio.data, run_id), studio.engine))
            except StudioError as error:
                missing.append(f"<p class='ds-error'>{escape(error.message)}</p>")
        if not compare.LEAST <= len(views) <= compare.MOST:
            return [head, f"{''.join(missing)}<p>{HOW}</p>", "", "", ""]
        return [
            head,
            "".join(missing) + compare.comparable(views),
            *taught.side_by_side(views),
            compare.differences(views),
        ]

    live(page, look, [title, note, strips, plots, table])
