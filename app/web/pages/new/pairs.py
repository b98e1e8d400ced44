"""The pairs of the page New: where they are dropped, what is asked about them, and each with its map."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.drafts.draft import Draft
from app.drafts.problem import anchor
from app.web.pages.act import acting, part
from app.web.pages.new.component import setting
from app.web.parts import pairs

TOLD = (
    "<h2>1. Pairs</h2><p>Pictures and their semantic maps in ADE20K's 150 classes: files whose names match, or a zip "
    "with its folders, such as <code>images/</code> and <code>annotations/</code> of ADEChallengeData2016. A caption "
    "may lie beside a picture as <code>.txt</code>, or in <code>metadata.jsonl</code>.</p>"
)
HELD_OUT = (
    "<h3>Held-out pairs</h3><p>They take no part in training: each save draws them from their maps and is judged by "
    "what it drew. Drop some for that, or let some of the others be split off.</p>"
)


class Pairs:
    """The components, made in the order of the page. fields, slots: those of the form, which get theirs."""

    def __init__(self, fields: dict[str, gr.components.Component], slots: dict[str, gr.HTML]):
        part(TOLD)
        self.upload = _drop("Drop pictures and maps here, or a zip of both", anchor("pairs"))
        with gr.Row(equal_height=True, elem_classes="ds-sample-row"):
            part("<p class='ds-quiet'>Or 64 pairs to train with and 64 to judge by, of the toy model's own world.</p>")
            self.try_it = gr.Button("Try the sample set", scale=0, min_width=210, elem_id="ds-try-scenes")
        self.refused = part()
        slots["pairs"] = part()
        self.questions = part(js_on_load=acting(), elem_id="ds-questions")
        self.shelf = part(js_on_load=acting("clear"), elem_id="ds-pairs")
        part(HELD_OUT)
        with gr.Row():
            with gr.Column(min_width=280):
                fields["held_out"] = setting("held_out", "How many of them. Empty: one pair in four, 64 at most.")
                slots["held_out"] = part()
            with gr.Column(min_width=280):
                self.upload_held = _drop("Drop held-out pairs here", "ds-drop-held-out")
        self._page: dict[str, int] = {}  # by user

    @property
    def following(self) -> list[Any]:
        """The parts that `follow` fills."""
        return [self.questions, self.shelf]

    def follow(self, now: Draft) -> list[Any]:
        """Values for `following`."""
        if now.task != "maps":
            return ["", ""]
        return [pairs.questions(now), pairs.shelf(now, self._page.get(now.user, 0))]

    def turn_to(self, now: Draft, page: int) -> None:
        """Show another page of the pairs, from 0."""
        self._page[now.user] = page


def _drop(label: str, elem_id: str) -> gr.File:
    return gr.File(
        label=label, file_count="multiple", type="filepath", height=130, elem_id=elem_id, elem_classes="ds-drop"
    )
