"""A picture that was drawn here, given to the page Generate: the settings that it carries fill the form."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import reuse
from app.pages.act import part, shown_error
from app.pages.live import QUIET
from app.studio import Studio
from training.errors import StudioError

TAKEN = "<p role='status'>Its settings are in the form. Draw draws it again.</p>"


def build(studio: Studio, outputs: list[Any], filled: Callable[[reuse.Reused], list[Any]]) -> None:
    """The folded place for the picture.

    Args:
        filled: the values of `outputs`, the form, for what was found in a picture.
    """
    with gr.Accordion("Reuse the settings of a picture", open=False, elem_id="ds-reuse"):
        file = gr.File(label="A PNG that was drawn here", type="filepath", height=140)
    told = part()

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
        words = f"<p role='alert' class='ds-warn'>{escape(found.missing)}</p>" if found.missing else TAKEN
        return [None, words, *filled(found)]

    file.upload(given, file, [file, told, *outputs], **QUIET)
