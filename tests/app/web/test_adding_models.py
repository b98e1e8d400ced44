"""What the page This computer answers to somebody who adds a model: each made model is taken, or refused in words."""

from html import escape

import gradio as gr
import mademodels
import pytest

import assets
from app.web.pages import computer
from app.web.parts import machine
from app.web.studio import Studio


@pytest.fixture
def add(tmp_path):
    """The page's event: from what is in the field, what is said and what the field then holds."""
    with gr.Blocks() as page:
        computer.build(Studio(tmp_path), page)
    return next(event.fn for event in page.fns.values() if event.name == "add_model")


@pytest.mark.parametrize("name", mademodels.TABLE)
def test_each_made_model_is_taken_or_refused(name, add, sd15_folder, tmp_path, monkeypatch):
    made, real = mademodels.TABLE[name], assets.path
    path = made.write(sd15_folder, tmp_path / "made")
    monkeypatch.setattr(assets, "path", lambda *parts: sd15_folder if parts == ("sd15-config",) else real(*parts))
    said, field = add(f" {path} ")
    rows = machine.model_list(machine.model_rows(tmp_path))
    if made.refused:
        assert "role='alert'" in said and escape(made.refused) in said and field == f" {path} "
        assert escape(str(path)) not in rows
    else:
        assert said == "<p role='status'>Added as made. Choose it as base model on New.</p>" and field == ""
        assert f"{made.size_px} px pictures" in rows[rows.index("made") :]


def test_what_cannot_be_added_is_answered_with_what_the_page_can_do(add, sd15_folder, tmp_path):
    plain = mademodels.TABLE["plain"]
    first, again, odd = (plain.write(sd15_folder, tmp_path / path) for path in ("a/mine", "b/mine", "my model!"))
    assert "Added as mine." in add(str(first))[0]
    for path, words in (
        ("  ", "Write the path of the folder or checkpoint first."),
        (tmp_path / "gone", f"There is no file or folder {tmp_path / 'gone'}. Check the path."),
        (again, f"'mine' is {first} already. Remove that one, or rename the file or folder."),
        (odd, "'my model!' cannot be a model's name here. Rename the folder: letters, digits, dots, - and _."),
    ):
        said, field = add(str(path))
        assert "role='alert'" in said and escape(words) in said and "--name" not in said and field == str(path)
