"""Parts of a page that follow run folders: asked for by a timer, sent only where they changed.

So nothing flickers, no picture is loaded twice, and what a person opened or is typing in stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.web.pages.act import shown_error
from training.errors import StudioError

SECONDS = 1.5
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}  # for events that only look


def live(page: gr.Blocks, look: Callable[..., Sequence[Any]], outputs: Sequence[Any], inputs: Sequence[Any] = ()):
    """Call `look(request, *inputs)` when the page opens and on every tick, and show what changed.

    Args:
        look: returns one value for each output: an update, or a plain value.

    Returns:
        The timer.
    """
    seen = gr.State({})

    def refresh(request: gr.Request, known: dict, *values: Any) -> list[Any]:
        try:
            found = list(look(request, *values))
        except StudioError as error:  # damaged in this moment: what is shown stays, the fault comes first
            found = [shown_error(error), *(gr.skip() for _ in outputs[1:])]
        marks = {i: _mark(value) for i, value in enumerate(found)}
        fresh = [gr.skip() if known.get(i) == marks[i] else value for i, value in enumerate(found)]
        return [*fresh, gr.skip() if marks == known else marks]

    def first(request: gr.Request, *values: Any) -> list[Any]:
        return refresh(request, {}, *values)

    page.load(first, list(inputs), [*outputs, seen], **QUIET)
    timer = gr.Timer(SECONDS)
    timer.tick(refresh, [seen, *inputs], [*outputs, seen], concurrency_limit=None, **QUIET)
    return timer


def query(request: gr.Request, name: str) -> str:
    """A parameter of the page's address, "" where it is not there."""
    return str(request.query_params.get(name, "")) if request else ""


def _mark(value: Any) -> Any:
    """What tells two values apart: for a component's update its settings."""
    settings = getattr(value, "constructor_args", value)
    return repr(settings)
