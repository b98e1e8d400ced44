"""The `gr.Blocks` of the app: whatever goes wrong in an event or a call is told in words."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import gradio as gr

from app.terminal import plain
from app.web.door.unforeseen import UNFORESEEN
from training.errors import StudioError


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
        try:
            values = await super().preprocess_data(block_fn, inputs, *args, **settings)
        except (gr.Error, StudioError):
            raise
        except Exception as error:
            labels = ", ".join(str(getattr(block, "label", None) or block.get_block_name()) for block in wanted)
            words = f"A value does not fit its field; the fields are: {labels}."
            raise gr.Error(words, print_exception=False) from error
        texts = [isinstance(block, gr.Textbox) for block in block_fn.inputs]  # one without a text is empty
        return ["" if text and value is None else value for text, value in zip(texts, values, strict=True)]
