"""Renaming and deleting runs and imported adapters: two rows that open on a page, one of which asks first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import words
from app.computer.remove import check, remove_run
from app.web.pages.act import goto, part, shown_error
from app.web.pages.live import QUIET
from app.web.reading import folders
from training.errors import StudioError
from training.runs.run import Run
from training.runs.rundir import run_by_id

SHUT = {"visible": False}
# The rows stand apart from the buttons: the keyboard goes to the one that opened, and back to what was pressed.
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
    """What is kept up. All four take an id, and what is wrong is a StudioError.

    name: its present name. rename: give it another. question: what would go with it, as HTML; raises where it cannot be
    deleted. delete: do it.
    """

    name: Callable[[str], str]
    rename: Callable[[str, str], Any]
    question: Callable[[str], str]
    delete: Callable[[str], Any]


def runs(data: Path) -> Kind:
    """How runs are renamed and deleted; a damaged one can be deleted too."""

    def run(run_id: str) -> Run:
        return run_by_id(data, run_id)

    def question(run_id: str) -> str:
        check(data, run(run_id))
        return _all_of(run(run_id))

    return Kind(
        name=lambda run_id: run(run_id).name,
        rename=lambda run_id, name: run(run_id).rename(name),
        question=question,
        delete=lambda run_id: remove_run(data, run(run_id)),
    )


def _all_of(run: Run) -> str:
    """What would go with a run, by name."""
    files = [path for path in run.path.rglob("*") if path.is_file()]
    pictures = sum(path.suffix == ".png" for path in files)
    size = words.size(sum(path.stat().st_size for path in files))
    saves = words.counted(len(run.checkpoints()), "save")
    name = escape(folders.dated(run))
    return (
        f"<p><b>Delete {name}?</b> {words.counted(pictures, 'picture')}, {saves} and its exported files go, {size} in "
        "all. This cannot be undone.</p>"
    )


class Upkeep:
    """The two rows and the place for what is told. `outputs` are what `opened` fills; `after` is what is to follow.

    gone: the address to go to when something was deleted, "" to stay.
    """

    def __init__(self, kind: Kind, gone: str = ""):
        self.kind, self.gone, self.chosen, self.said = kind, gone, gr.State(""), part()
        self._where = gr.Textbox(visible=False)
        with gr.Row(visible=False, elem_classes="ds-naming") as self._naming:
            self._name = gr.Textbox(label="New name", max_lines=1)
            self._keep = gr.Button("Rename", scale=0, min_width=120)
            drop = gr.Button("Leave it", scale=0, min_width=120)
        with gr.Row(visible=False, elem_classes="ds-asking", elem_id="ds-sure") as self._asking:
            self._question = part()
            self._sure = gr.Button("Delete it", variant="stop", scale=0, min_width=120)
            not_sure = gr.Button("Keep it", scale=0, min_width=120)
        self.outputs = [self.chosen, self._naming, self._asking, self._name, self._question, self.said]
        drop.click(lambda: gr.update(**SHUT), None, self._naming, **QUIET).then(None, js=BACK)
        not_sure.click(lambda: gr.update(**SHUT), None, self._asking, **QUIET).then(None, js=BACK)

    def untouched(self) -> list[Any]:
        """Values for `outputs` when something else was pressed."""
        return [gr.skip() for _ in self.outputs]

    def shut(self) -> list[Any]:
        """Values for `outputs` that shut both rows."""
        return ["", gr.update(**SHUT), gr.update(**SHUT), gr.skip(), gr.skip(), ""]

    def opened(self, act: str, item: str) -> list[Any]:
        """Values for `outputs` when "rename" or "delete" was pressed on an item."""
        try:
            if act == "rename":
                name = self.kind.name(item)
                named = gr.update(value=name, label=f"New name for {name}")
                return [item, gr.update(visible=True), gr.update(**SHUT), named, gr.skip(), ""]
            return [item, gr.update(**SHUT), gr.update(visible=True), gr.skip(), self.kind.question(item), ""]
        except StudioError as error:
            return [*self.shut()[:-1], shown_error(error)]

    def opens(self, pressed: Any) -> Any:
        """To be called with the event whose values `opened` gave; returns what further events may follow."""
        return pressed.then(None, js=TO_THE_ROW)

    def after(self, look: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        """Have `look` show the page anew when something was renamed or deleted."""
        renamed = gr.on(
            [self._keep.click, self._name.submit],
            self._rename,
            [self.chosen, self._name],
            [self._naming, self.said],
            **QUIET,
        )
        deleted = self._sure.click(self._delete, self.chosen, [self._asking, self.said, self._where], **QUIET)
        deleted.then(None, self._where, None, js=goto())
        for done in (renamed, deleted):
            done.then(look, inputs, outputs, **QUIET).then(None, js=BACK)

    def _rename(self, item: str, given: str) -> tuple[Any, str]:
        try:
            self.kind.rename(item, given)
        except StudioError as error:
            return gr.skip(), shown_error(error)
        return gr.update(**SHUT), "<p role='status'>Renamed.</p>"

    def _delete(self, item: str) -> tuple[Any, str, str]:
        try:
            self.kind.delete(item)
        except StudioError as error:
            return gr.update(**SHUT), shown_error(error), ""
        return gr.update(**SHUT), "<p role='status'>Deleted.</p>", self.gone
