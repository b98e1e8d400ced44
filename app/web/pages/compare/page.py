"""Compare: by its address a comparison (id), chosen runs (ids), or the form that starts one."""

from __future__ import annotations

import gradio as gr

from app.web.pages.compare import chosen, form, whole
from app.web.pages.live import QUIET, query
from app.web.studio import Studio


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    with gr.Column(visible=False) as starting:
        begun = form.build(studio)
    with gr.Column(visible=False, elem_id="ds-whole") as one:
        whole.build(studio, page)
    with gr.Column(visible=False) as several:
        chosen.build(studio, page)

    def opened(request: gr.Request) -> list:
        asked = ("id" if query(request, "id") else "ids") if query(request, "id") or query(request, "ids") else ""
        shown = [gr.update(visible=asked == key) for key in ("", "id", "ids")]
        return [*shown, *(form.opened(studio, request) if not asked else [gr.skip()] * len(begun))]

    page.load(opened, None, [starting, one, several, *begun], **QUIET)
