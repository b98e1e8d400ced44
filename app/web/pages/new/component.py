"""The component of a setting, made of what `app.drafts.settings` says of it."""

from __future__ import annotations

import functools

import gradio as gr

from app import words
from app.drafts import settings
from app.drafts.problem import anchor
from training.adapterspec import METHODS
from training.spec import KINDS


def setting(name: str, info: str = "") -> gr.components.Component:
    """The component of a setting. info: in the place of its help."""
    field = _fields()[name]
    common = {"label": field.label, "info": info or field.help, "elem_id": anchor(name), "min_width": 300}
    if field.kind == "switch":
        return gr.Checkbox(**common)
    if field.kind == "choice":
        return gr.Dropdown([(words.choice(value), value) for value in field.choices], **common)
    lines = {"lines": 3, "max_lines": 8} if field.kind in ("lines", "pairs") else {"max_lines": 1}
    return gr.Textbox(**common, **lines)


@functools.cache
def _fields() -> dict[str, settings.SettingField]:
    """Every setting by name, as it is for whichever task and method first has it."""
    found: dict[str, settings.SettingField] = {}
    for task in KINDS:
        for method in METHODS:
            for field in settings.settings_fields(method, task=task):
                found.setdefault(field.name, field)
    return found
