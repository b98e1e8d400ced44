"""A finished run's files: where each goes, what was checked, and how large it is."""

from __future__ import annotations

from html import escape
from typing import Any

from app import words
from app.adapters.formats import CHECKED, USES, about, main_file
from app.web.parts import links
from app.web.reading.follow import RunView

TITLES = {"kohya": "For ComfyUI and AUTOMATIC1111", "comfyui": "For ComfyUI and Forge"}
TITLES |= {"diffusers": "For diffusers", "native": "For DeLoRA Studio"}

WITH_A_MAP = "It was taught with maps: draw with one, steered as in training."


def section(view: RunView) -> str:
    """What to do with the main file, and all files with their size; empty before the export."""
    files = [file for file in view.exports if (view.run.path / "adapter" / file["name"]).exists()]
    if not files:
        return ""
    main = main_file(files)
    files.sort(key=lambda file: file is not main)
    told = "".join(words.paragraph(line) for line in (where_words(view, main), checked_words(main)))
    return (
        f'<section aria-labelledby="ds-files"><h2 id="ds-files">Files of step {view.record["step"]}</h2>{told}'
        f'<ul class="ds-files">{"".join(_file(view, file, file is main) for file in files)}</ul></section>'
    )


def where_words(view: RunView, file: dict[str, Any]) -> str:
    """Where the file goes and what it was made for; a file of the built-in model goes nowhere else."""
    name, kind = file["name"], file["kind"]
    base, trigger = words.base(view.spec.base), view.record["trigger"]
    write = f'Write "{trigger}" in the prompt.' if trigger else WITH_A_MAP
    if view.spec.base == "embedded":
        where = "here and in diffusers" if kind in CHECKED else "here"
        return (
            f"{name} was made for the {base[0].lower()}{base[1:]}: it works {where}, not in ComfyUI or "
            f"AUTOMATIC1111. {write}"
        )
    if kind == "native":
        return f"{name} is for this program. `delora export --format merged` makes a whole model for others. {write}"
    place = "ComfyUI/models/loras" + (", or stable-diffusion-webui/models/Lora" if kind == "kohya" else "")
    call = "ComfyUI loads it with a Load LoRA node, at strength 1."
    if kind == "kohya":
        call += f" AUTOMATIC1111 loads it where the prompt also holds <lora:{name.removesuffix('.safetensors')}:1>."
    told = f"{name} goes into {place}. {write} {call} Made for {base}; it does not work with SDXL or Flux."
    return f"{told} {about(view.spec, kind)}".strip()


def checked_words(file: dict[str, Any]) -> str:
    """What loading it back measured."""
    check = file["check"]
    if not check:
        return ""
    return (
        f"Checked {check['checked'][11:16]}: loaded back by diffusers' own loader, it drew the same picture "
        f"(largest difference {check['picture_difference']:.0e})."
    )


def _file(view: RunView, file: dict[str, Any], main: bool) -> str:
    path = view.run.path / "adapter" / file["name"]
    size = words.size(path.stat().st_size) if path.is_file() else "a folder"
    embedded = view.spec.base == "embedded"
    title = (
        "For diffusers, with kohya's names" if embedded and file["kind"] == "kohya" else TITLES.get(file["kind"], "")
    )
    use = title or USES.get(file["kind"], "")
    kind = "ds-button ds-primary" if main else "ds-button"
    told = f"{use}, {size}" + (f". {known}" if not main and (known := about(view.spec, file["kind"])) else "")
    return (
        f'<li><a class="{kind}" href="{escape(links.export(view.id, file["name"]))}" download>'
        f'{escape(file["name"])}</a> <span class="ds-quiet">{escape(told)}</span></li>'
    )
