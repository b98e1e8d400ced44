"""The five actions that other programs call by name: start, status, stop, generate, download.

What is wrong comes back as the error's words. Pictures and files are given as addresses of the app's own routes, to be
put behind the app's address.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr

from app import actions, control
from app.orders import drawings
from app.orders.request import parse_request
from app.web.parts import links
from app.web.studio import Studio
from training.errors import BadInput, StudioError

KINDS = {
    str: "a text",
    list[dict]: "a list of uploaded files: gradio_client.handle_file(path) for each",
    dict: "settings by their names",
}
NO_SETTING = "{name} takes a text, a number, true or false, or a list of those."


def build(studio: Studio) -> None:
    """Add them to the `gr.Blocks` around the call."""
    data, engine = studio.data, studio.engine

    def start(pictures: list[dict], name: str, class_word: str, settings: dict = {}) -> str:  # noqa: B006 - read only
        """Make a run of uploaded pictures (`handle_file(path)` each) and start it; returns its id.

        settings: base, effort, method, token, and any other setting by its name.
        """
        files = [_upload(studio, picture) for picture in pictures]
        try:
            _check_settings(settings)
            return actions.start(data, files, name, class_word, settings, engine=engine, delete=True)
        finally:
            for file in files:  # used or not: they are uploaded anew for another try
                file.unlink(missing_ok=True)

    def status(id: str) -> dict[str, Any]:
        """Where a run or a drawing stands; of a drawing also the addresses of its pictures."""
        if drawings.ID.fullmatch(id):
            return _drawing_status(data, id)
        return actions.status(data, id)

    def stop(id: str) -> dict[str, Any]:
        """Have a run save and stop, or a drawing stop; returns its status."""
        if drawings.ID.fullmatch(id):
            control.stop_order(data, drawings.open_drawing(data, id), engine)
            return status(id)
        return actions.stop(data, id, engine)

    def generate(prompt: str, run: str = "", settings: dict = {}) -> str:  # noqa: B006 - read only
        """Draw; returns the drawing's id at once, for `status`. settings: count, seed, strength, step, steps ..."""
        _check_settings(settings)
        return control.draw(data, parse_request({"prompt": prompt, "run": run, **settings}), engine).id

    def download(id: str) -> str:
        """The address of a finished run's file for ComfyUI, AUTOMATIC1111 and diffusers."""
        return f"/{links.export(id, actions.download(data, id).name)}"

    for action in (start, status, stop, generate, download):
        gr.api(_checked(action), api_name=action.__name__, queue=False)


def _checked(action: Callable) -> Callable:
    """The action with its values looked at before it sees them; what is wrong is said without repeating it."""
    kinds, given = get_type_hints(action), inspect.signature(action)

    @functools.wraps(action)
    def checked(*values: Any) -> Any:
        for name, value in given.bind(*values).arguments.items():
            if not _fits(value, kinds[name]):
                raise gr.Error(f"{name} is not {KINDS[kinds[name]]}.", print_exception=False)
        try:
            return action(*values)
        except StudioError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return checked


def _fits(value: Any, kind: Any) -> bool:
    if kind == list[dict]:
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return isinstance(value, kind)


def _check_settings(settings: dict[str, Any]) -> None:
    """Raises BadInput for a setting that is no plain value, such as a file. What it was is not repeated."""
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if not all(item is None or isinstance(item, (str, int, float, bool)) for item in values):
            raise BadInput(NO_SETTING.format(name=name[:60]), field=name)


def _upload(studio: Studio, picture: dict) -> Path:
    """Where an uploaded file lies; no other path is accepted. (`app.web.door.calls` has looked whose it is.)"""
    path = picture.get("path")
    if not isinstance(path, str) or not studio.uploads.holds(path):
        raise BadInput("A picture is no upload.", "Give it as gradio_client.handle_file(path).", "pictures")
    return Path(path)


def _drawing_status(data: Path, drawing_id: str) -> dict[str, Any]:
    drawing = drawings.open_drawing(data, drawing_id)
    state = drawing.state()
    return {
        "id": drawing.id,
        **state.model_dump(include={"done", "total", "message", "remedy", "waits_for"}),
        "state": state.name,
        "pictures": [f"/{links.drawing(drawing.id, path.name)}" for path in drawing.pictures()],
        "base_pictures": [f"/{links.drawing(drawing.id, path.name)}" for path in drawing.base_pictures()],
    }
