"""The page Generate's own HTML: a drawing's pictures beside the base model's, how it stands, and earlier drawings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from app import imported
from app.drawings import Drawing
from app.drawrequest import SAMPLER_TITLES, DrawRequest
from app.pages.parts import links, words
from training.errors import StudioError
from training.run import Run

PICTURE_PX = 512
IMPORTED = "adapter:"  # before an imported adapter's name where a run's id could stand; no id holds a colon


def viewer(drawing: Drawing | None, chosen: int = 0) -> str:
    """The chosen picture over the base model's at the same seed, with a slider and two buttons that do the same."""
    if drawing is None:
        return '<div class="ds-viewer ds-none"><p class="ds-quiet">Nothing drawn yet.</p></div>'
    pictures, bases = drawing.pictures(), drawing.base_pictures()
    if not pictures:
        return '<div class="ds-viewer ds-none"><p class="ds-quiet">The first picture is on its way.</p></div>'
    request, chosen = drawing.request(), min(chosen, len(pictures) - 1)
    seed = request.seed + chosen
    alt = escape(f"{request.prompt}, seed {seed}", quote=True)
    mine = links.drawing(drawing.id, pictures[chosen].name)
    download = f'<a class="ds-button" href="{mine}" download>Download this picture</a>'
    if chosen >= len(bases):
        image = f'<img src="{mine}" alt="{alt}" width="{PICTURE_PX}" height="{PICTURE_PX}">'
        return f'<div class="ds-viewer">{image}</div><div class="ds-row ds-under">{download}</div>'
    base = links.drawing(drawing.id, bases[chosen].name)
    return (
        '<div class="ds-viewer ds-pair" style="--cut: 50%">'
        f'<img src="{mine}" alt="With the adapter: {alt}" width="{PICTURE_PX}" height="{PICTURE_PX}">'
        f'<img class="ds-over" src="{base}" alt="Base model: {alt}" width="{PICTURE_PX}" height="{PICTURE_PX}">'
        '<span class="ds-cut" aria-hidden="true"></span></div>'
        '<div class="ds-row ds-under"><button type="button" class="ds-button" data-cut="100">Base model</button>'
        '<input type="range" min="0" max="100" value="50" data-slide aria-label="How much of the base model is shown">'
        f'<button type="button" class="ds-button" data-cut="0">With the adapter</button>{download}</div>'
    )


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
        "drawing": f"Drawing {_count(state.done)} of {words.counted(state.total, 'picture')}.",
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


def facts(drawing: Drawing | None, data) -> str:
    """What made the pictures, and the button to take it over into the form."""
    if drawing is None:
        return ""
    request = drawing.request()
    who = words.base(request.base or "embedded")
    if request.run:
        who = f"{_name(data, request.run)}, step {request.step}, strength {request.strength:g}, on {who}"
    elif request.adapter:
        known = imported.find(data, request.adapter)
        name = known.name if known else f"{request.adapter} (removed)"
        who = f"{name} (imported), strength {request.strength:g}, on {who}"
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


def chip(subject: str) -> str:
    """The words that call the subject, as a button that writes them into the prompt; nothing where there are none."""
    if not subject:
        return ""
    subject = escape(subject, quote=True)
    return (
        f'<div class="ds-row"><span class="ds-quiet">Its words</span><button type="button" class="ds-button ds-small" '
        f'data-act="words" data-word="{subject}" aria-label="Write {subject} into the prompt">{subject}</button></div>'
    )


def as_form(request: DrawRequest) -> dict:
    """A request as the form's values, where an imported adapter stands in the field of the run."""
    values = request.model_dump(exclude={"with_base", "adapter"})
    return values | ({"run": IMPORTED + request.adapter, "base": None} if request.adapter else {})


def from_form(values: dict) -> dict:
    """The form's values as a request's, without those that are empty."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    if str(given.get("run", "")).startswith(IMPORTED):
        given["adapter"] = given.pop("run").removeprefix(IMPORTED)
    return {"prompt": "", **given}


def _count(done: float) -> int:
    return int(done) + 1


def _name(data, run_id: str) -> str:
    try:
        return Run(data / "runs" / run_id).name
    except StudioError:
        return f"{run_id} (deleted)"
