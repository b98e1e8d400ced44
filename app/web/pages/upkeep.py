"""Renaming and deleting what a page lists: two rows that open under the list, one of which asks first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.web.pages.act import part, shown_error
from app.web.pages.live import QUIET
from training.errors import StudioError

SHUT = {"visible": False}
# The rows stand above the list: the keyboard goes to the one that opened, and afterwards back to what was pressed.
TO_THE_ROW = """() => {
  const pressed = document.activeElement;
  if (!['rename', 'delete'].includes(pressed?.dataset.act)) return;
  window.studioPressed = pressed;
  const places = '.ds-naming input, .ds-naming textarea, .ds-asking button';
  setTimeout(() => [...document.querySelectorAll(places)].at(-1)?.focus(), 150);  // "Keep it" is the last
}"""
BACK = """() => setTimeout(() => {
  const pressed = window.studioPressed;
  (pressed?.isConnected ? pressed : document.getElementById('ds-main'))?.focus();
}, 150)"""


@dataclass(frozen=True)
class Kind:
    """What is listed. All four take an id, and what is wrong is a StudioError.

    name: its present name. rename: give it another. question: what would go with it, as HTML; raises where it cannot be
    deleted. delete: do it.
    """

    name: Callable[[str], str]
    rename: Callable[[str, str], Any]
    question: Callable[[str], str]
    delete: Callable[[str], Any]


class Upkeep:
    """The two rows and the place for what is told. `outputs` are what `opened` fills; `after` is what is to follow."""

    def __init__(self, kind: Kind):
        self.kind, self.chosen, self.said = kind, gr.State(""), part()
        with gr.Row(visible=False, elem_classes="ds-naming") as self._naming:
            self._name = gr.Textbox(label="New name", max_lines=1)
            self._keep = gr.Button("Rename", scale=0, min_width=120)
            drop = gr.Button("Leave it", scale=0, min_width=120)
        with gr.Row(visible=False, elem_classes="ds-asking") as self._asking:
            self._question = part()
            self._sure = gr.Button("Delete it", variant="stop", scale=0, min_width=120)
            not_sure = gr.Button("Keep it", scale=0, min_width=120)
        self.outputs = [self.chosen, self._naming, self._asking, self._name, self._question, self.said]
        drop.click(lambda: gr.update(**SHUT), None, self._naming, **QUIET).then(None, js=BACK)
        not_sure.click(lambda: gr.update(**SHUT), None, self._asking, **QUIET).then(None, js=BACK)

    def opened(self, act: str, item: str) -> list[Any]:
        """Values for `outputs` when "rename" or "delete" was pressed on an item."""
        try:
            if act == "rename":
                name = self.kind.name(item)
                named = gr.update(value=name, label=f"New name for {name}")
                return [item, gr.update(visible=True), gr.update(**SHUT), named, gr.skip(), ""]
            return [item, gr.update(**SHUT), gr.update(visible=True), gr.skip(), self.kind.question(item), ""]
        except StudioError as error:
            return ["", gr.update(**SHUT), gr.update(**SHUT), gr.skip(), gr.skip(), shown_error(error)]

    def opens(self, pressed: Any) -> Any:
        """To be called with the event whose values `opened` gave; returns what further events may follow."""
        return pressed.then(None, js=TO_THE_ROW)

    def after(self, look: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        """Have `look` show the list anew when something was renamed or deleted."""
        renamed = gr.on(
            [self._keep.click, self._name.submit],
            self._rename,
            [self.chosen, self._name],
            [self._naming, self.said],
            **QUIET,
        )
        deleted = self._sure.click(self._delete, self.chosen, [self._asking, self.said], **QUIET)
        for done in (renamed, deleted):
            done.then(look, inputs, outputs, **QUIET).then(None, js=BACK)

    def _rename(self, item: str, given: str) -> tuple[Any, str]:
        try:
            self.kind.rename(item, given)
        except StudioError as error:
            return gr.skip(), shown_error(error)
        return gr.update(**SHUT), "<p role='status'>Renamed.</p>"

    def _delete(self, item: str) -> tuple[Any, str]:
        try:
            self.kind.delete(item)
        except StudioError as error:
            return gr.update(**SHUT), shown_error(error)
        return gr.update(**SHUT), "<p role='status'>Deleted.</p>"
