"""A picture that was drawn here, given to the page Generate: the settings that it carries fill the form."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.orders import reuse
from app.web.pages.act import shown_error
from app.web.pages.live import QUIET
from app.web.studio import Studio
from training.errors import StudioError

LOST = "Its settings are in the form, but the map that it follows is not kept here any more."


def build(studio: Studio, said: gr.HTML, outputs: list[Any], filled: Callable[[reuse.Reused], list[Any]]) -> None:
    """The folded place for the picture.

    Args:
        said: where it is told what became of it: beside Draw, the button to press next.
        filled: the values of `outputs`, the form, for what was found in a picture.
    """
    with gr.Accordion("Reuse the settings of a picture", open=False, elem_id="ds-reuse"):
        file = gr.File(label="A PNG that was drawn here", type="filepath", height=140)

    def given(path: str | None) -> list[Any]:
        """The empty place again, what there is to say, and the form."""
        picture, same = Path(path or ""), [gr.skip()] * len(outputs)
        try:
            found = reuse.read(studio.data, picture)
        except StudioError as error:
            return [None, shown_error(error), *same]
        finally:
            if path:
                picture.unlink(missing_ok=True)  # the settings are all that is wanted of it
        return [None, _told(found), *filled(found)]

    file.upload(given, file, [file, said, *outputs], **QUIET)


def _told(found: reuse.Reused) -> str:
    if found.missing:
        return f"<p role='alert' class='ds-warn'>{escape(found.missing)}</p>"
    if found.lost:
        return f"<p role='alert' class='ds-warn'>{LOST}</p>"
    seed = found.request.seed
    return f"<p role='status'>Its settings are in the form, for one picture with seed {seed}. Draw draws it again.</p>"
