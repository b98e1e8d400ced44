"""The page Generate's own HTML: a drawing's pictures beside the base model's, how it stands, and earlier drawings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from app import words
from app.adapters import imported
from app.adapters.names import slug
from app.orders.drawings import Drawing
from app.orders.request import SAMPLER_TITLES, DrawRequest
from app.web.parts import links
from training.errors import StudioError
from training.runs.run import Run

PICTURE_PX = 512


def viewer(drawing: Drawing | None, data: Path, chosen: int = 0) -> str:
    """The chosen picture, under the base model's at the same seed where that is there: see `_compared`."""
    if drawing is None:
        return _nothing("Nothing drawn yet.")
    request, pictures, bases = drawing.request(), drawing.pictures(), drawing.base_pictures()
    if not pictures and not bases:
        return _nothing(_coming(drawing, request))
    chosen = min(chosen, len(pictures or bases) - 1)
    seed, name = request.seed + chosen, _name(data, request)
    alt = escape(f"{request.prompt}, seed {seed}", quote=True)
    base = _image(drawing, bases[chosen], f"Base model: {alt}", "Base model", "ds-left") if chosen < len(bases) else ""
    if not pictures:
        return f'<div class="ds-viewer">{base}</div>'
    mine = _image(drawing, pictures[chosen], f"{escape(name, quote=True)}: {alt}", name, "ds-right")
    file = f"{slug(name)}-seed-{seed}.png"
    address = links.drawing(drawing.id, pictures[chosen].name)
    download = f'<a class="ds-button" href="{address}" download="{file}">Download this picture</a>'
    if not base:
        return f'<div class="ds-viewer">{mine}</div><div class="ds-row ds-under">{download}</div>'
    return _compared(mine, base, download)


def damaged(drawing: Drawing, fault: str) -> tuple[str, str, str, str]:
    """A drawing that cannot be read, in the places of viewer, thumbnails, standing and facts; it can be deleted."""
    button = (
        f'<button type="button" class="ds-button ds-small" data-act="discard" data-drawing="{escape(drawing.id)}" '
        'data-keep="discard">Delete this drawing</button>'
    )
    told = words.paragraph(f"This drawing cannot be read. {fault} Its folder: {drawing.path}", "ds-error")
    return _nothing("Damaged."), "", f'{told}<div class="ds-row">{button}</div>', ""


def _compared(mine: str, base: str, download: str) -> str:
    """Two pictures and the line between them, which static/pictures.js moves: dragged, by the slider, or by a button.

    The base model's lies over the other and is cut off at the line with its caption, so each is named where it is seen.
    """
    buttons = "".join(
        f'<button type="button" class="ds-button" data-cut="{cut}" aria-pressed="false">{label}</button>'
        for cut, label in ((100, "Only the base model"), (0, "Only the adapter"))
    )
    return (
        f'<div class="ds-compared" style="--cut: 50%"><div class="ds-viewer ds-pair">{mine}<div class="ds-over">{base}'
        '</div><span class="ds-cut" aria-hidden="true"></span></div><input type="range" min="0" max="100" step="any" '
        'value="50" data-slide aria-label="How much of the base model is shown"><div class="ds-row ds-under">'
        f"{buttons}{download}</div></div>"
    )


def _image(drawing: Drawing, path: Path, alt: str, caption: str, side: str) -> str:
    """A picture with its caption. alt: HTML already."""
    return (
        f'<img src="{links.drawing(drawing.id, path.name)}" alt="{alt}" width="{PICTURE_PX}" height="{PICTURE_PX}" '
        f'draggable="false"><span class="ds-caption {side}" aria-hidden="true">{escape(caption)}</span>'
    )


def _nothing(told: str) -> str:
    return f'<div class="ds-viewer ds-none"><p class="ds-quiet">{told}</p></div>'


def _coming(drawing: Drawing, request: DrawRequest) -> str:
    """What stands where no picture is there: several are drawn at once, so the first ones come together."""
    if drawing.state().ended:
        return "Nothing was drawn."
    return "The picture is on its way." if request.count == 1 else "The first pictures come several at once."


def thumbnails(drawing: Drawing | None, chosen: int = 0) -> str:
    """All pictures of a drawing, to choose one from."""
    pictures = drawing.pictures() if drawing else []
    if len(pictures) < 2:
        return ""
    seed = drawing.request().seed
    buttons = "".join(
        f'<button type="button" class="ds-thumb-button" data-act="choose" data-number="{i}" data-keep="choose-{i}" '
        f'aria-pressed="{str(i == chosen).lower()}"><img src="{links.drawing(drawing.id, path.name)}" width="84" '
        f'height="84" alt="Seed {seed + i}"></button>'
        for i, path in enumerate(pictures)
    )
    return f'<div class="ds-row" role="group" aria-label="Pictures">{buttons}</div>'


def standing(drawing: Drawing | None) -> str:
    """Where a drawing stands: its place, progress, whom it waits for, or what went wrong."""
    if drawing is None:
        return ""
    state = drawing.state()
    if state.name == "failed":
        return words.failure(state.message, state.remedy)
    if state.name == "stopped":
        return f"<p>{escape(state.message or 'Stopped.')}</p>"
    if state.ended:
        return ""
    told = {
        "queued": "Waits for the worker.",
        "waiting": state.waits_for or "Waits for the device.",
        "drawing": f"Drawing {int(state.done) + 1} of {_wanted(drawing.request())}.",
    }[state.name]
    if state.name == "drawing" and state.began and state.done > 0.5:
        left = (time.time() - state.began) / state.done * (state.total - state.done)
        told += f" {words.about(left).capitalize()} left."
    share = 100 * state.done / state.total if state.total else 0
    return (
        f'<p>{escape(told)}</p><div class="ds-row"><progress class="ds-progress" max="100" value="{share:.1f}" '
        'aria-label="Drawing"></progress><button type="button" class="ds-button ds-small" data-act="stop" '
        'data-keep="stop">Stop</button></div>'
    )


def facts(drawing: Drawing | None, data: Path) -> str:
    """What made the pictures, and the button to take it over into the form."""
    if drawing is None:
        return ""
    request = drawing.request()
    who = _name(data, request)
    if request.adapted:
        which = f", step {request.step}" if request.run else " (imported)"
        who += f"{which}, strength {request.strength:g}, on {words.base(request.base or 'embedded')}"
        who += " (not the base model it was made for)" if request.other_base else ""
    told = (
        f"{who}; seed {request.seed}{f' to {request.seed + request.count - 1}' if request.count > 1 else ''}, "
        f"{SAMPLER_TITLES[request.sampler]}, {words.counted(request.steps, 'step')}, guidance {request.guidance:g}"
    )
    return (
        f'<p><q>{escape(request.prompt)}</q></p><p class="ds-quiet">{escape(told)}</p>'
        '<button type="button" class="ds-button ds-small" data-act="reuse">Reuse these settings</button>'
    )


def history(found: Sequence[Drawing], shown: str) -> str:
    """Earlier drawings, newest first, each a button with its first picture."""
    buttons = []
    for drawing in found:
        try:
            pictures, request = drawing.pictures(), drawing.request()
        except StudioError:
            pressed = str(drawing.id == shown).lower()
            buttons.append(
                f'<button type="button" class="ds-button ds-small" data-act="open" data-drawing="{drawing.id}" '
                f'aria-pressed="{pressed}">Damaged</button>'
            )
            continue
        if pictures:
            prompt = escape(request.prompt, quote=True)
            buttons.append(
                f'<button type="button" class="ds-thumb-button" data-act="open" data-drawing="{drawing.id}" '
                f'title="{prompt}" aria-pressed="{str(drawing.id == shown).lower()}">'
                f'<img src="{links.drawing(drawing.id, pictures[0].name)}" width="84" height="84" alt="{prompt}" '
                'loading="lazy"></button>'
            )
    if not buttons:
        return ""
    return f'<h2>Earlier</h2><div class="ds-row" role="group" aria-label="Earlier drawings">{"".join(buttons)}</div>'


def chip(trigger: str, title: str = "Its words") -> str:
    """The words that call the subject, as a button that writes them into the prompt; nothing where there are none."""
    if not trigger:
        return ""
    trigger = escape(trigger, quote=True)
    return (
        f'<div class="ds-row"><span class="ds-quiet">{title}</span><button type="button" class="ds-button ds-small" '
        f'data-act="words" data-word="{trigger}" aria-label="Write {trigger} into the prompt">{trigger}</button></div>'
    )


def without_words(trigger: str) -> str:
    """What to say beside Draw where the prompt lacks the words that call the subject; it is drawn all the same."""
    told = f"The prompt does not hold “{escape(trigger)}”, so the subject may not appear."
    return f'<p role="status" class="ds-warn">{told}</p>{chip(trigger, "For the next one write")}'


def _wanted(request: DrawRequest) -> str:
    """How many are drawn, so that twice as many as were asked for is no riddle."""
    if request.with_base:
        return f"{request.total}: each also with the base model"
    return words.counted(request.total, "picture")


def _name(data: Path, request: DrawRequest) -> str:
    """What a person calls the run or adapter that draws; the base model where it draws alone."""
    if request.run:
        try:
            return Run(data / "runs" / request.run).name
        except StudioError:
            return f"{request.run} (deleted)"
    if request.adapter:
        known = imported.find(data, request.adapter)
        return known.name if known else f"{request.adapter} (removed)"
    return words.base(request.base or "embedded")
