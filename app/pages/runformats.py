"""The formats of a run on its page: pressing one orders it of the drawing process, which makes the file."""

from __future__ import annotations

import gradio as gr

from app import control, exports
from app.pages.act import acting, part, shown_error
from app.pages.live import QUIET, query
from app.pages.parts import follow, formats
from app.studio import Studio
from training import rundir
from training.errors import StudioError


def build(studio: Studio) -> gr.HTML:
    """The part that `parts.formats.section` is shown in, with what its buttons do; errors are told under it."""
    shown, wrong = part(js_on_load=acting(), elem_id="ds-formats"), part()

    def act(request: gr.Request, event: gr.EventData) -> tuple[str, str]:
        """Have a format made, or its making stopped: the formats as they stand then, and what is wrong."""
        data, engine, words = studio.data, studio.engine, ""
        try:
            run = rundir.run_by_id(data, query(request, "id"))
            try:
                if event.act == "export":
                    control.export(data, run, event.kind, engine)
                elif order := exports.of_run(data, run.id).get(event.kind):
                    control.stop_order(data, order, engine)
            except StudioError as error:
                words = shown_error(error)
            return formats.section(follow.view(run, engine), data), words
        except StudioError as error:  # the run is no more
            return "", shown_error(error)

    shown.click(act, None, [shown, wrong], **QUIET)
    return shown
