"""The formats of a run that are made when somebody asks: who wants each, how large it is, and how its making stands."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from app import words
from app.adapters.formats import about
from app.orders import exports
from app.orders.exports import Base, Export
from app.orders.order import OrderState
from app.web.parts import links
from app.web.parts.run import downloads
from app.web.parts.run.filmstrip import best_tag
from app.web.reading import folders
from app.web.reading.follow import RunView
from app.web.reading.kept import Kept
from training.base import modelref
from training.errors import StudioError

LARGE = 200e6  # numbers in a base model: from here on loading it takes more than a moment
TITLES = {
    "kohya": "For ComfyUI and AUTOMATIC1111",
    "comfyui": "For ComfyUI and Forge",
    "diffusers": "For diffusers",
    "peft": "For PEFT",
    "merged": "Merged model",
    "native": "For DeLoRA Studio",
}
PROGRAMS = {
    "kohya": "ComfyUI and AUTOMATIC1111",
    "comfyui": "ComfyUI and Forge",
    "diffusers": "diffusers",
    "peft": "PEFT",
    "merged": "programs that load no LoRA",
    "native": "DeLoRA Studio",
}
WHO = {
    "kohya": "A LoRA file for ComfyUI (models/loras), AUTOMATIC1111 (models/Lora), Forge, InvokeAI and diffusers.",
    "comfyui": "A file for ComfyUI (models/loras) and Forge.",
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
AGAIN = "Make the file again."
Key = tuple[str, int]  # a format and the step of a save
Orders, Made = dict[Key, Export], dict[Key, dict[str, Any]]
_bases: Kept[Base | None] = Kept(16)


def section(view: RunView, data: Path, step: int | None = None) -> str:
    """The formats of a save that the run has not written by itself, with the choice of the save where there are more.

    Empty while the run is trained and before its first save. step: the save; None, or one that is gone, is that of
    `exports.step_of`.
    """
    if not (view.state.ended and view.saves):
        return ""
    try:
        base, own = _base(data, view.spec.base), exports.step_of(view.run)
    except StudioError as error:
        told = words.paragraph(f"No other format can be made now. {error}")
        return _framed("Other formats" if view.exports else "Files", told)
    step = step if step in view.saves else own
    orders, made = exports.of_run(data, view.id), {_key(file): file for file in _there(view)}
    kinds = [kind for kind in exports.kinds(view.spec, base.caps) if kind not in _written(view, step)]
    found = _list(view, kinds, step, base, orders, made)
    if step == own:  # what few people need, folded until something of it is made
        readers = {**PROGRAMS, "kohya": "diffusers"} if base.caps.embedded else PROGRAMS
        programs = dict.fromkeys(readers[kind] for kind in kinds)
        begun = any((kind, step) in made or _begun(orders.get((kind, step))) for kind in kinds)
        found = words.folded(f"For {', '.join(programs)}", found, "ds-formats-list", begun)
    title = "Other formats" if _written(view, step) else f"Files of step {step}"
    return _framed(title, f"{choice(view, step)}{found}{_others(view, step, base, orders, made)}")


def choice(view: RunView, step: int) -> str:
    """The choice of the save that files are made of; empty where there is one only."""
    if len(view.saves) == 1:
        return ""
    options = "".join(
        f'<option value="{save}"{" selected" if save == step else ""}>step {save}'
        f"{', ' + tag.lower() if (tag := best_tag(view, save)) else ''}</option>"
        for save in view.saves
    )
    return (
        '<p class="ds-row"><label for="ds-format-save">Make files of</label>'
        f'<select id="ds-format-save" class="ds-select" data-act="save" data-keep="format-save">{options}</select></p>'
    )


def who_words(view: RunView, kind: str, base: Base) -> tuple[str, str]:
    """A format's title, and who wants it in a sentence."""
    if kind == "kohya" and base.caps.embedded:
        return KOHYA_OF_THE_TOY
    told = MERGED[exports.one_file(base.caps)].format(name=view.name) if kind == "merged" else WHO[kind]
    return TITLES[kind], f"{told} {about(view.spec, kind)}".strip()


def standing(state: OrderState) -> str:
    """What becomes of an order at present, or how it failed; "" where there is nothing to say."""
    if state.name == "failed":
        return words.failure(state.message, state.remedy)
    if state.ended:
        return ""
    told = {"queued": "Waits for the worker.", "waiting": state.waits_for or "Waits for the device."}
    return f"<p role='status'>{escape(told.get(state.name) or state.message or 'Begins.')}</p>"


def _framed(title: str, html: str) -> str:
    return f'<section aria-labelledby="ds-formats-title"><h2 id="ds-formats-title">{title}</h2>{html}</section>'


def _list(view: RunView, kinds: list[str], step: int, base: Base, orders: Orders, made: Made) -> str:
    """A row for each format of a save."""
    rows = []
    for kind in kinds:
        key, (title, who) = (kind, step), who_words(view, kind, base)
        if key not in made and (size := exports.size_bytes(view.spec, kind, base)):
            who += f" About {words.size(round(size))}."
        rows.append(_row(view, key, title, who, orders.get(key), made.get(key)))
    note = TAKES.format(base=words.base(view.spec.base)) if kinds and base.numbers > LARGE else ""
    return f'{words.paragraph(note)}<ul class="ds-formats">{"".join(rows)}</ul>' if rows else ""


def _others(view: RunView, step: int, base: Base, orders: Orders, made: Made) -> str:
    """What was made of other saves than that at `step`, or is being made."""
    keys = made.keys() | {key for key, order in orders.items() if order.is_open}
    keys = sorted((key for key in keys if key[1] != step), key=lambda key: (key[1], list(TITLES).index(key[0])))
    rows = [
        _row(view, key, f"{who_words(view, key[0], base)[0]}, step {key[1]}", "", orders.get(key), made.get(key))
        for key in keys
    ]
    return f'<h3>Of other saves</h3><ul class="ds-formats">{"".join(rows)}</ul>' if rows else ""


def _row(view: RunView, key: Key, title: str, who: str, order: Export | None, made: dict | None) -> str:
    fault = order.fault() if order else ""
    state = order.state() if order and not fault else None
    told = standing(state) if state else words.failure(f"This order cannot be read. {fault}", AGAIN) if fault else ""
    if state and not state.ended:
        button = _button("stop-export", key, "Stop", f"Stop making: {title}")
    else:
        button = "" if made else _button("export", key, "Make it", f"Make: {title}")
    link = _link(view, made) if made else ""
    return (
        f'<li><div><b id="{_row_id(key)}" tabindex="-1" data-keep="{_row_id(key)}">{escape(title)}</b>'
        f"{words.paragraph(who, 'ds-quiet')}{told}</div>"
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


def _button(act: str, key: Key, label: str, name: str) -> str:
    kind, step = key
    return (
        f'<button type="button" class="ds-button" data-act="{act}" data-kind="{kind}" data-step="{step}" '
        f'data-keep="{act}-{kind}-{step}" data-instead="{_row_id(key)}" aria-label="{escape(name, quote=True)}">'
        f"{escape(label)}</button>"
    )


def _row_id(key: Key) -> str:
    """Element id of a row's title, which has the focus when the button that had it is no more."""
    return f"ds-format-{key[0]}-{key[1]}"


def _begun(order: Export | None) -> bool:
    """Whether there is something to say of an order."""
    return order is not None and (bool(order.fault()) or order.state().name != "done")


def _written(view: RunView, step: int) -> set[str]:
    """The formats of a save that the run wrote by itself and that are still there."""
    if not view.record or view.record["step"] != step:
        return set()
    return {file["kind"] for file in view.exports if (view.run.path / "adapter" / file["name"]).exists()}


def _there(view: RunView) -> list[dict[str, Any]]:
    """The files made on demand that are still there; the run may have written its own in the place of one."""
    own = {file["name"] for file in view.exports}
    found = [file for file in folders.made(view.run) if file["name"] not in own]
    return [file for file in found if (view.run.path / "adapter" / file["name"]).is_file()]


def _key(file: dict[str, Any]) -> Key:
    return file["kind"], file["step"]


def _base(data: Path, ref: str) -> Base:
    found = _bases.get(modelref.resolve(ref, data).path, lambda: exports.base_of(data, ref), None)
    return found or exports.base_of(data, ref)
