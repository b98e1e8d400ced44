"""Buttons in our own HTML: a click becomes an event of the `gr.HTML` around it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from training import jsonfile
from training.errors import BadInput, StudioError

NO_PRESS = "What was pressed says no {name} that can be used."
NEWLY = "Load the page again."


def part(value: str = "", **settings) -> gr.HTML:
    """HTML of our own, in our own looks."""
    return gr.HTML(value, apply_default_css=False, **settings)


def acting(*busy: str, sure: str = "") -> str:
    """`js_on_load` of a part whose `data-act` elements are pressed, ticked, chosen from or typed into.

    The event's data are the element's `data-` values, its `value`, and `checked` of a box.

    Args:
        busy: actions whose button is off until the part is shown anew, since they are to be done once. It keeps the
            focus, and is on again after some seconds where nothing came of it.
        sure: script that may return to forget the click.
    """
    return """
const busy = BUSY, changing = '[type=checkbox], [type=text], select';
const tell = (event) => {
  const pressed = event.target.closest('[data-act]');
  if (!pressed || pressed.matches(changing) !== (event.type === 'change')) return;
  if (pressed.ariaDisabled === 'true') return;
  SURE
  if (busy.includes(pressed.dataset.act)) {
    pressed.ariaDisabled = 'true';
    setTimeout(() => { pressed.ariaDisabled = null; }, 5000);
  }
  trigger('click', {...pressed.dataset, checked: pressed.checked ?? false, value: pressed.value ?? ''});
};
element.addEventListener('click', tell);
element.addEventListener('change', tell);
""".replace("BUSY", repr(list(busy))).replace("SURE", sure)


class Pressed(gr.EventData):
    """What was pressed in a part of `acting`: its `data-` values as attributes, each a text.

    Reading one that did not come, or is no text, raises BadInput: only what is not our page sends such.
    """

    def __getattr__(self, name: str) -> str:
        return self._text(name)

    @property
    def checked(self) -> bool:
        """Whether a box was ticked."""
        return self._values.get("checked") is True

    def number(self, name: str) -> float:
        """A value as a finite number."""
        try:
            found = float(self._text(name))
        except ValueError:
            found = math.nan
        if not abs(found) <= jsonfile.LARGEST_NUMBER:
            raise BadInput(NO_PRESS.format(name=name), NEWLY)
        return found

    def _text(self, name: str) -> str:
        """A value, also one that has the name of something in this class."""
        value = self._values.get(name)
        if not isinstance(value, str) or not jsonfile.keeps(value):
            raise BadInput(NO_PRESS.format(name=name), NEWLY)
        return value

    @property
    def _values(self) -> dict[str, Any]:
        return self._data if isinstance(self._data, dict) else {}


def goto() -> str:
    """The script of a `.then` that opens the address which the event before it gave."""
    return "(address) => { if (address) location.assign(address); }"


def told(event: Callable[..., Any]) -> Callable[..., Any]:
    """An event's function whose errors, such as a full disk, are shown in the corner of the page."""

    @functools.wraps(event)  # Gradio reads the parameters' types
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return event(*args, **kwargs)
        except StudioError as error:
            raise gr.Error(f"{error.message} {error.on_page}".strip(), duration=None, print_exception=False) from error

    return wrapped


def shown_error(error: StudioError) -> str:
    """An error as a person sees it beside what they pressed."""
    remedy = f" {escape(error.on_page)}" if error.on_page else ""
    return f"<p role='alert' class='ds-error'>{escape(error.message)}{remedy}</p>"
