"""LoRA files from elsewhere on the page Generate: imported by the drawing process, then chosen like a run."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import control, words
from app.adapters import imported, sources
from app.orders.importing import LARGEST_FILE_MB, Import
from app.web.pages.act import Pressed, acting, part, shown_error
from app.web.pages.live import QUIET, live
from app.web.pages.new.form import bases
from app.web.pages.upkeep import Kind, Upkeep
from app.web.parts import importlist
from app.web.studio import Studio
from training.errors import StudioError

ABOUT = (
    "A LoRA or DoRA of kohya, LyCORIS, OneTrainer, diffusers or PEFT for Stable Diffusion 1.x or 2.x, up to "
    f"{LARGEST_FILE_MB} MB. PEFT's needs the adapter_config.json that lies beside it as well."
)
BY_THE_FILE = ("The one the file names", "")
NAMES_NONE = "Where the file names none: Stable Diffusion 1.5."


def build(
    studio: Studio, page: gr.Blocks, changed: Callable[..., list[Any]], inputs: list[Any], fields: list[Any]
) -> None:
    """The folded form with what has been imported, and below it what becomes of a file.

    changed: what `fields` are to show when an adapter was renamed or deleted, from the values of `inputs`.
    """
    asked = gr.State("")
    with gr.Accordion("LoRA files from elsewhere", open=False, elem_id="ds-import"):
        listed = part(js_on_load=acting(), elem_id="ds-imported")
        upkeep = Upkeep(_kind(studio))
        part(words.paragraph(ABOUT, "ds-quiet"))
        files = gr.File(label="LoRA file", file_count="multiple", file_types=[".safetensors", ".json"], height=140)
        name = gr.Textbox(label="Name", info="Empty: the title in the file, or the file's name.", max_lines=1)
        trigger = gr.Textbox(label="Its words", info="Empty: those in the file, if it has any.", max_lines=1)
        base = gr.Dropdown([BY_THE_FILE], value="", label="Base model it was made for", info=NAMES_NONE)
        ignore = gr.Checkbox(label="Leave out what cannot be used here, such as the text encoder")
        press = gr.Button("Import", elem_id="ds-import-press")
    told = part()

    def look(request: gr.Request, asked: str) -> list[str]:
        listed = importlist.listing(imported.list_imported(studio.data), imported.list_unreadable(studio.data))
        return [importlist.standing(_order(studio, asked)), listed]

    def again(asked: str, *values: Any) -> list[Any]:
        return [*look(None, asked), *changed(*values)]

    def opened() -> dict:
        return gr.update(choices=[BY_THE_FILE, *bases(studio.data)])

    def pressed(given: list[str] | None, name: str, trigger: str, base: str, ignore: bool) -> tuple[str, str]:
        settings = {"name": name.strip(), "trigger": trigger.strip(), "base": base or "", "ignore_others": ignore}
        try:
            order = control.import_lora(studio.data, [Path(file) for file in given or []], studio.engine, **settings)
        except StudioError as error:
            return "", shown_error(error)
        return order.id, importlist.standing(order)

    def act(event: Pressed) -> list[Any]:
        return upkeep.opened(event.act, event.adapter)

    live(page, look, [told, listed], [asked])
    page.load(opened, None, base, **QUIET)
    press.click(pressed, [files, name, trigger, base, ignore], [asked, told], **QUIET)
    upkeep.opens(listed.click(act, None, upkeep.outputs, **QUIET))
    upkeep.after(again, [asked, *inputs], [told, listed, *fields])


def _kind(studio: Studio) -> Kind:
    """How imported adapters are renamed and deleted."""

    def question(slug: str) -> str:
        if any(damaged.slug == slug for damaged in imported.list_unreadable(studio.data)):
            return f"<p><b>Delete {escape(slug)}?</b> Its folder goes with all that is in it.</p>"
        name = escape(sources.of_imported(studio.data, slug).title)
        kept = "Pictures drawn with it stay, and so does the file that it came from, where you keep that."
        return f"<p><b>Delete {name}?</b> {kept}</p>"

    return Kind(
        name=lambda slug: sources.of_imported(studio.data, slug).title,
        rename=lambda slug, name: imported.rename(studio.data, slug, name),
        question=question,
        delete=lambda slug: imported.remove(studio.data, slug),
    )


def _order(studio: Studio, order_id: str) -> Import | None:
    """The order of that id, where it is still there."""
    found = Import(Import.folder(studio.data) / order_id)
    return found if order_id and found.path.is_dir() else None
