"""This computer: who works and who holds the device, what the doctor says, and the models."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from app.computer import downloads
from app.computer.checkup import Checkup
from app.web.pages.act import NEWLY, Pressed, acting, part, shown_error
from app.web.pages.live import QUIET, live
from app.web.parts import machine
from app.web.studio import Studio
from training.base import hub
from training.errors import BadInput, StudioError

SURE = "if (pressed.dataset.question && !confirm(pressed.dataset.question)) return;"


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    checkup = Checkup(studio.data)
    part("<h1 data-page-title='This computer'>This computer</h1>")
    work, said = part(), part(elem_id="ds-models-said")
    listed = part(js_on_load=acting(sure=SURE), elem_id="ds-models")
    with gr.Row(equal_height=True):
        path = gr.Textbox(
            label="A model of your own",
            info="A diffusers folder, or one Stable Diffusion 1.x .safetensors checkpoint. Nothing is copied.",
            placeholder="/path/to/model.safetensors",
            elem_id="ds-add-path",
        )
        add = gr.Button("Add it", scale=0, min_width=120)
    added = part()
    found = part()
    look_again = gr.Button("Look again", size="sm", scale=0)

    def look(request: gr.Request) -> list[str]:
        return [
            machine.work(studio.data, studio.worker_words()),
            machine.model_list(machine.model_rows(studio.data)),
            machine.findings(checkup.findings(), checkup.asking),
        ]

    def act(event: Pressed) -> str:
        do = {"download": downloads.start, "resume": downloads.start, "stop": downloads.stop}
        do |= dict.fromkeys(("remove", "forget", "aside"), _remove)
        try:
            if event.act not in do:
                raise BadInput("There is no such button.", NEWLY)
            return _words(do[event.act](studio.data, event.model) or "")
        except StudioError as error:
            return shown_error(error)

    def add_model(given: str) -> tuple[str, str]:
        if not given.strip():
            return shown_error(BadInput("Write the path of the folder or checkpoint first.")), given
        try:
            name = hub.add(Path(given.strip()), studio.data)
        except StudioError as error:
            return shown_error(error), given
        return _words(f"Added as {name}. Choose it as base model on New."), ""

    live(page, look, [work, listed, found])
    listed.click(act, None, said, **QUIET)
    gr.on([add.click, path.submit], add_model, path, [added, path], **QUIET)
    look_again.click(lambda: checkup.findings(again=True) and None, None, None, **QUIET)


def _remove(data: Path, name: str) -> str:
    downloads.stop(data, name)
    return hub.remove(name, data)


def _words(words: str) -> str:
    return f"<p role='status'>{escape(words)}</p>" if words else ""
