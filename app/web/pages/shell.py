"""What stands at the top of every page: name, navigation, and the status strip, which static/studio.js fills."""

from html import escape

import gradio as gr

from app.web.pages.act import part
from app.web.parts import links

LINKS = (
    ("New", links.NEW),
    ("Runs", links.RUNS),
    ("Compare", links.COMPARE),
    ("Generate", links.GENERATE),
    ("This computer", links.COMPUTER),
)


def top(current: str) -> None:
    """The header of the page named `current`."""
    part(header(current), elem_id="ds-top")
    with gr.Row(elem_classes="ds-away"):
        gr.Navbar(visible=False)


def header(current: str) -> str:
    """Its HTML; a run belongs to Runs. The strip is empty until the script has asked for the status."""
    at = {current: " aria-current=page"} | ({"Runs": " aria-current=true"} if current == "Run" else {})
    links = "".join(f'<a href="{address}"{at.get(name, "")}>{escape(name)}</a>' for name, address in LINKS)
    return (
        '<a class="ds-skip" href="#ds-main">Skip to the page</a>'
        '<header class="ds-header"><a class="ds-brand" href="./"><span aria-hidden="true">◐</span> DeLoRA Studio</a>'
        f'<nav aria-label="Pages">{links}</nav></header>'
        '<div id="ds-lost" role="alert" hidden></div>'
        '<div id="ds-strip" class="ds-strip" aria-label="Status" role="region"><span>&nbsp;</span></div>'
        '<div id="ds-said" class="ds-hidden" role="status" aria-live="polite"></div>'
        '<span id="ds-main" tabindex="-1"></span>'
    )
