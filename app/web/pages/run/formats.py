"""The formats of a run on its page: pressing one orders it of the drawing process, which makes the file."""

from __future__ import annotations

import gradio as gr

from app import control
from app.orders import exports
from app.web.pages.act import Pressed, acting, part, shown_error
from app.web.pages.live import QUIET, query
from app.web.parts.run import formats
from app.web.reading import follow
from app.web.studio import Studio
from training.errors import StudioError
from training.runs import rundir


def build(studio: Studio) -> tuple[gr.HTML, gr.State]:
    """The part that `parts.formats.section` is shown in, with what its buttons do, and the step of the chosen save.

    Errors are told under it.
    """
    shown, wrong = part(js_on_load=acting("export", "stop-export"), elem_id="ds-formats"), part()
    chosen = gr.State(None)

    def act(request: gr.Request, event: Pressed, step: int | None) -> tuple[str, str, int | None]:
        """Choose a save, have a format made or its making stopped: the formats then, what is wrong, and the save."""
        data, engine, words = studio.data, studio.engine, ""
        try:
            run = rundir.run_by_id(data, query(request, "id"))
            try:
                if event.act == "save":
                    step = int(event.number("value"))
                elif event.act == "export":
                    control.export(data, run, event.kind, engine, step=int(event.number("step")))
                elif order := exports.of_run(data, run.id).get((event.kind, int(event.number("step")))):
                    control.stop_order(data, order, engine)
            except StudioError as error:
                words = shown_error(error)
            return formats.section(follow.view(run, engine), data, step), words, step
        except StudioError as error:  # the run is no more
            return "", shown_error(error), step

    shown.click(act, chosen, [shown, wrong, chosen], **QUIET)
    return shown, chosen
