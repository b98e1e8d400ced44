"""The formats of a run that are made when somebody asks: who wants each, how large it is, and how its making stands."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from app import exports
from app.exporting import ABOUT
from app.exports import Base, Export
from app.order import OrderState
from app.pages.parts import downloads, links, reading, words
from app.pages.parts.follow import RunView
from app.pages.parts.kept import Kept
from training import modelref
from training.errors import StudioError

LARGE = 200e6  # numbers in a base model: from here on loading it takes more than a moment
TITLES = {
    "kohya": "For ComfyUI and AUTOMATIC1111",
    "comfyui": "For ComfyUI",
    "diffusers": "For diffusers",
    "peft": "For PEFT",
    "merged": "Merged model",
    "native": "For DeLoRA Studio",
}
PROGRAMS = {
    "kohya": "ComfyUI and AUTOMATIC1111",
    "comfyui": "ComfyUI",
    "diffusers": "diffusers",
    "peft": "PEFT",
    "merged": "programs that load no LoRA",
    "native": "DeLoRA Studio",
}
WHO = {
    "kohya": "A LoRA file for ComfyUI (models/loras), AUTOMATIC1111 (models/Lora) and diffusers.",
    "comfyui": "A file for ComfyUI alone (models/loras).",
    "diffusers": "A LoRA file for Python programs that call `load_lora_weights`.",
    "peft": "A folder for Python programs that use the PEFT library, packed as a .zip.",
    "native": "For this program on another computer: `delora generate --adapter FILE`.",
}
KOHYA_OF_THE_TOY = ("For diffusers, with kohya's names", "A LoRA file for programs that read kohya's names.")
MERGED = {  # by whether it is one file
    True: "A whole model with {name} in it, for programs that load no LoRA: goes into ComfyUI/models/checkpoints, or "
    "stable-diffusion-webui/models/Stable-diffusion.",
    False: "A whole model with {name} in it, for Python programs that load no LoRA: a diffusers folder, packed as a "
    ".zip.",
}
TAKES = "Each is made when you ask for it and takes some minutes, since {base} is loaded for it."
_bases: Kept[Base | None] = Kept(16)


def section(view: RunView, data: Path) -> str:
    """The formats that the run has not written by itself; empty while it is trained and before its first save."""
    if not (view.state.ended and view.saves):
        return ""
    try:
        base, step = _base(data, view.spec.base), exports.step_of(view.run)
    except StudioError as error:
        return _framed(view, None, words.paragraph(f"No other format can be made now. {error}"))
    have = {file["kind"] for file in view.exports if (view.run.path / "adapter" / file["name"]).exists()}
    orders, made = exports.of_run(data, view.id), {file["kind"]: file for file in _there(view)}
    kinds = [kind for kind in exports.kinds(view.spec, base.caps) if kind not in have]
    if not kinds:
        return ""
    rows = [_row(view, kind, base, step, orders.get(kind), made.get(kind)) for kind in kinds]
    note = TAKES.format(base=words.base(view.spec.base)) if base.numbers > LARGE else ""
    html = f'{words.paragraph(note)}<ul class="ds-formats">{"".join(rows)}</ul>'
    readers = {**PROGRAMS, "kohya": "diffusers"} if base.caps.embedded else PROGRAMS
    programs = dict.fromkeys(readers[kind] for kind in kinds)
    shown = bool(made) or any(order.state().name != "done" for order in orders.values())
    return _framed(view, step, words.folded(f"For {', '.join(programs)}", html, "ds-formats-list", shown))


def who_words(view: RunView, kind: str, base: Base) -> tuple[str, str]:
    """A format's title, and who wants it in a sentence."""
    if kind == "kohya" and base.caps.embedded:
        return KOHYA_OF_THE_TOY
    told = MERGED[exports.one_file(base.caps)].format(name=view.name) if kind == "merged" else WHO[kind]
    told += f" {ABOUT[view.spec.adapter.method, kind]}" if (view.spec.adapter.method, kind) in ABOUT else ""
    return TITLES[kind], told


def standing(state: OrderState) -> str:
    """What becomes of an order at present, or how it failed; "" where there is nothing to say."""
    if state.name == "failed":
        return words.failure(state.message, state.remedy)
    if state.ended:
        return ""
    told = {"queued": "Waits for the worker.", "waiting": state.waits_for or "Waits for the device."}
    return f"<p role='status'>{escape(told.get(state.name) or state.message or 'Begins.')}</p>"


def _framed(view: RunView, step: int | None, html: str) -> str:
    """The section, under a heading of its own where the run has written no file by itself."""
    title = "Other formats" if view.exports else "Files" if step is None else f"Files of step {step}"
    return f'<section aria-labelledby="ds-formats-title"><h2 id="ds-formats-title">{title}</h2>{html}</section>'


def _row(view: RunView, kind: str, base: Base, step: int, order: Export | None, made: dict | None) -> str:
    title, who = who_words(view, kind, base)
    state = order.state() if order else None
    busy = state is not None and not state.ended
    told = standing(state) if state else ""
    if not made and (size := exports.size_bytes(view.spec, kind, base)):
        who += f" About {words.size(round(size))}."
    if busy:
        button = _button("stop-export", kind, "Stop", f"Stop making: {title}")
    elif made and made["step"] == step:
        button = ""
    else:
        button = _button("export", kind, f"Make it of step {step}" if made else "Make it", f"Make: {title}")
    link = _link(view, made) if made else ""
    return (
        f"<li><div><b>{escape(title)}</b>{words.paragraph(who, 'ds-quiet')}{told}</div>"
        f'<div class="ds-row">{link}{button}</div></li>'
    )


def _link(view: RunView, made: dict[str, Any]) -> str:
    size = words.size((view.run.path / "adapter" / made["name"]).stat().st_size)
    address = escape(links.export(view.id, made["name"]), quote=True)
    told = f"Step {made['step']}, {size}. {downloads.checked_words(made)}".strip()
    return (
        f'<a class="ds-button" href="{address}" download>{escape(made["name"])}</a> '
        f'<span class="ds-quiet">{escape(told)}</span>'
    )


def _button(act: str, kind: str, label: str, name: str) -> str:
    return (
        f'<button type="button" class="ds-button" data-act="{act}" data-kind="{kind}" data-keep="format-{kind}" '
        f'aria-label="{escape(name, quote=True)}">{escape(label)}</button>'
    )


def _there(view: RunView) -> list[dict[str, Any]]:
    """The files made on demand that are still there."""
    return [file for file in reading.made(view.run) if (view.run.path / "adapter" / file["name"]).is_file()]


def _base(data: Path, ref: str) -> Base:
    found = _bases.get(modelref.resolve(ref, data).path, lambda: exports.base_of(data, ref), None)
    return found or exports.base_of(data, ref)
