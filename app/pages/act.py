"""Buttons in our own HTML: a click becomes an event of the `gr.HTML` around it."""

from __future__ import annotations

from html import escape

import gradio as gr

from training.errors import StudioError


def part(value: str = "", **settings) -> gr.HTML:
    """HTML of our own, in our own looks."""
    return gr.HTML(value, apply_default_css=False, **settings)


def acting(*busy: str, sure: str = "") -> str:
    """`js_on_load` of a part whose `data-act` elements are pressed or ticked.

    The event's data are the element's `data-` values, and `checked` of a box.

    Args:
        busy: actions whose button is off until the part is shown anew, since they are to be done once.
        sure: script that may return to forget the click.
    """
    return """
const busy = BUSY;
const tell = (event) => {
  const pressed = event.target.closest('[data-act]');
  if (!pressed || (pressed.type === 'checkbox') !== (event.type === 'change')) return;
  SURE
  if (busy.includes(pressed.dataset.act)) pressed.disabled = true;
  trigger('click', {...pressed.dataset, checked: pressed.checked ?? false, value: pressed.value ?? ''});
};
element.addEventListener('click', tell);
element.addEventListener('change', tell);
""".replace("BUSY", repr(list(busy))).replace("SURE", sure)


def goto() -> str:
    """The script of a `.then` that opens the address which the event before it gave."""
    return "(address) => { if (address) location.assign(address); }"


def shown_error(error: StudioError) -> str:
    """An error as a person sees it beside what they pressed."""
    remedy = f" {escape(error.remedy)}" if error.remedy else ""
    return f"<p role='alert' class='ds-error'>{escape(error.message)}{remedy}</p>"
