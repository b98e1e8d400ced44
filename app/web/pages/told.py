"""The `gr.Blocks` of the app: whatever goes wrong in an event or a call is told in words."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import gradio as gr

from app.terminal import plain
from app.web.door.unforeseen import UNFORESEEN
from training.errors import StudioError

NO_CHOICE = "not in the list of choices"  # as Gradio says it


class Pages(gr.Blocks):
    """As `gr.Blocks`, which answers `{"error": null}` to everything that is not a `gr.Error`."""

    async def process_api(self, *args, **settings) -> dict[str, Any]:
        """As in Gradio; raises `gr.Error` alone."""
        try:
            return await super().process_api(*args, **settings)
        except gr.Error as error:
            error.print_exception = False  # Gradio's own, as of a choice that there is not, would print its traceback
            raise
        except StudioError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            print(plain("".join(traceback.format_exception(error))), file=sys.stderr, flush=True)
            raise gr.Error(UNFORESEEN.format(kind=type(error).__name__), print_exception=False) from error

    async def preprocess_data(self, block_fn, inputs: list[Any], *args, **settings) -> list[Any]:
        """As in Gradio; values that do not fit are told by the fields that they are for."""
        wanted = [block for block in block_fn.inputs if not getattr(block, "stateful", False)]
        if len(inputs) < len(block_fn.inputs):
            raise gr.Error(f"{len(wanted)} values are needed, and {len(inputs)} came.", print_exception=False)
        labels = ", ".join(str(getattr(block, "label", None) or block.get_block_name()) for block in wanted)
        misfit = gr.Error(f"A value does not fit its field; the fields are: {labels}.", print_exception=False)
        if not all(_fits(block, value) for block, value in zip(block_fn.inputs, inputs, strict=False)):
            raise misfit
        try:
            values = await super().preprocess_data(block_fn, inputs, *args, **settings)
        except gr.Error as error:
            if NO_CHOICE not in str(error.message):
                raise
            words = f"Something is {NO_CHOICE} of its field; the fields are: {labels}. Load the page again."
            raise gr.Error(words, print_exception=False) from error  # Gradio's own repeats what was sent
        except StudioError:
            raise
        except Exception as error:
            raise misfit from error
        return [
            "" if value is None and isinstance(block, (gr.Textbox, gr.Dropdown)) else value  # without a value: empty
            for block, value in zip(block_fn.inputs, values, strict=True)
        ]


def _fits(block: gr.components.Component, value: Any) -> bool:
    """Whether a value is of a type that the field's page sends; Gradio looks at that for some fields only."""
    if value is None or getattr(block, "stateful", False):
        return True
    if isinstance(block, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(block, gr.Dropdown) and block.allow_custom_value:
        return isinstance(value, str)
    if isinstance(block, (gr.Dropdown, gr.Radio)):  # of each of ours one thing is chosen
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return True
