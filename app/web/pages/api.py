"""The five actions that other programs call by name: start, status, stop, generate, download.

What is wrong comes back as the error's words. Pictures and files are given as addresses of the app's own routes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import actions, control
from app.orders import drawings
from app.orders.request import parse_request
from app.web.parts import links
from app.web.studio import Studio
from training.errors import BadInput, StudioError


def build(studio: Studio) -> None:
    """Add them to the `gr.Blocks` around the call."""
    data, engine = studio.data, studio.engine

    def start(pictures: list[dict], name: str, class_word: str, settings: dict = {}) -> str:  # noqa: B006 - read only
        """Make a run of uploaded pictures (`handle_file(path)` each) and start it; returns its id.

        settings: base, effort, method, token, and any other setting by its name.
        """
        files = [_upload(studio, picture) for picture in pictures]
        return _told(lambda: actions.start(data, files, name, class_word, engine=engine, delete=True, **settings))

    def status(id: str) -> dict[str, Any]:
        """Where a run or a drawing stands; of a drawing also the addresses of its pictures."""
        if drawings.ID.fullmatch(id):
            return _told(lambda: _drawing_status(data, id))
        return _told(lambda: actions.status(data, id))

    def stop(id: str) -> dict[str, Any]:
        """Have a run save and stop, or a drawing stop; returns its status."""
        if drawings.ID.fullmatch(id):
            _told(lambda: control.stop_order(data, drawings.open_drawing(data, id), engine))
            return status(id)
        return _told(lambda: actions.stop(data, id, engine))

    def generate(prompt: str, run: str = "", settings: dict = {}) -> str:  # noqa: B006 - read only
        """Draw; returns the drawing's id at once, for `status`. settings: count, seed, strength, step, steps ..."""
        given = {"prompt": prompt, "run": run, **settings}
        return _told(lambda: control.draw(data, parse_request(given), engine).id)

    def download(id: str) -> str:
        """The address of a finished run's file for ComfyUI, AUTOMATIC1111 and diffusers."""
        return _told(lambda: links.export(id, actions.download(data, id).name))

    for action in (start, status, stop, generate, download):
        gr.api(action, api_name=action.__name__, queue=False)


def _upload(studio: Studio, picture: Any) -> Path:
    """Where an uploaded file lies; no other path is accepted."""
    path = Path(str(picture.get("path") if isinstance(picture, dict) else picture)).resolve()
    if not path.is_relative_to((studio.data / "uploads").resolve()) or not path.is_file():
        raise gr.Error("A picture is no upload. Give it as gradio_client.handle_file(path).", print_exception=False)
    return path


def _drawing_status(data: Path, drawing_id: str) -> dict[str, Any]:
    drawing = drawings.open_drawing(data, drawing_id)
    state = drawing.state()
    return {
        "id": drawing.id,
        **state.model_dump(include={"done", "total", "message", "remedy", "waits_for"}),
        "state": state.name,
        "pictures": [links.drawing(drawing.id, path.name) for path in drawing.pictures()],
        "base_pictures": [links.drawing(drawing.id, path.name) for path in drawing.base_pictures()],
    }


def _told(action) -> Any:
    """What the action returns; its errors as the caller reads them."""
    try:
        return action()
    except StudioError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except TypeError as error:  # a setting of the wrong kind, such as a number for a name
        raise gr.Error(str(BadInput(f"The settings do not fit: {error}")), print_exception=False) from error
