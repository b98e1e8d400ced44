"""Generate: the picture first, then prompt, strength and number; the rest folded."""

from __future__ import annotations

import contextlib
from typing import Any

import gradio as gr

from app import control
from app.orders import drawings
from app.orders import reuse as reusing
from app.orders.request import parse_request
from app.web.pages.act import Pressed, acting, part, shown_error
from app.web.pages.generate import choices, imports, reuse
from app.web.pages.generate.form import DrawForm
from app.web.pages.generate.mapsection import READ, MapSection
from app.web.pages.live import QUIET, live, query
from app.web.parts import drawn, followed, summaries
from app.web.studio import Studio
from training.errors import StudioError

EARLIER = 12


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    part("<h1 data-page-title='Generate'>Generate</h1>")
    shown, chosen = gr.State(""), gr.State(0)
    with gr.Row(elem_classes="ds-generate"):
        with gr.Column(scale=3):
            viewer, thumbnails = part(elem_id="ds-view"), part(js_on_load=acting())
            standing, facts = part(js_on_load=acting("stop")), part(js_on_load=acting())
            result = part(elem_id="ds-result")
        with gr.Column(scale=2):
            form = DrawForm(studio.data)
            reused = gr.Column()
            imports.build(studio, page, form.renamed, form.who[:4], form.who)
    section = MapSection(studio, page, form)
    history = part(js_on_load=acting())
    with reused:
        reuse.build(studio, form.said, [*form.all, *section.put], lambda found: _reused(form, section, found))

    def look(request: gr.Request, shown: str, chosen: int) -> list[Any]:
        drawing = _drawing(studio, shown)
        earlier = drawn.history(drawings.list_drawings(studio.data)[:EARLIER], shown)
        return [*_shown(studio, drawing, chosen), earlier]

    parts = [viewer, thumbnails, standing, facts, result, history]
    live(page, look, parts, [shown, chosen])

    def again(shown: str, chosen: int) -> list[Any]:
        return look(None, shown, chosen)

    def pressed(*values: Any) -> list[Any]:
        """Draw: the new drawing and what is to be said of it, or what is wrong."""
        *values, follow, text = values
        try:
            request, labels = parse_request(form.given(tuple(values))), section.given(follow, text)
            drawing = control.draw(studio.data, request, studio.engine, labels)
        except StudioError as error:
            return [gr.skip(), gr.skip(), shown_error(error)]
        return [drawing.id, 0, _warning(studio, drawing)]

    filled = [*form.all, *section.put]

    def act(event: Pressed, shown: str, chosen: int) -> list[Any]:
        """A button in one of the parts: shown drawing, chosen picture, and the form with its map."""
        same = [gr.skip()] * len(filled)
        if event.act == "choose":
            return [shown, int(event.number("number")), *same]
        if event.act == "open":
            return [event.drawing, 0, *same]
        drawing = _drawing(studio, shown)
        with contextlib.suppress(StudioError):  # damaged, or at work: what is shown next says so
            if event.act == "stop" and drawing:
                control.stop_order(studio.data, drawing, studio.engine)
            if event.act == "discard" and drawing:
                drawing.delete()
                return ["", 0, *same]
            if event.act == "reuse" and drawing:
                return [shown, chosen, *form.filled(drawing.request()), *section.of_drawing(drawing)]
        return [shown, chosen, *same]

    def opened(request: gr.Request) -> list[Any]:
        return _opened(studio, form, request)

    page.load(opened, None, [shown, *form.who, *form.brought], **QUIET)
    asked = [form.draw.click, section.draw.click, form.fields["prompt"].submit]
    given = [*form.fields.values(), form.follow, section.labels]
    gr.on(asked, pressed, given, [shown, chosen, form.said], js=READ, **QUIET).then(
        again, [shown, chosen], parts, **QUIET
    )
    for source in (thumbnails, standing, facts, history):
        source.click(act, [shown, chosen], [shown, chosen, *filled], **QUIET).then(
            again, [shown, chosen], parts, **QUIET
        )


def _opened(studio: Studio, form: DrawForm, request: gr.Request) -> list[Any]:
    """The newest drawing, and the form for the run or adapter that the address names, else for the newest run."""
    found = drawings.list_drawings(studio.data)
    wanted, step = query(request, "run"), query(request, "step")
    if adapter := query(request, "adapter"):
        wanted = choices.IMPORTED + adapter
    who = wanted or next((s.id for s in summaries.summaries(studio.data) if s.state == "done"), "")
    return [found[0].id if found else "", *form.chosen(who, int(step) if step.isdecimal() else None)]


def _shown(studio: Studio, drawing: drawings.Drawing | None, chosen: int) -> list[str]:
    """A drawing's viewer, thumbnails, standing, facts, and how its pictures follow their map."""
    if drawing and (fault := drawing.fault()):
        return [*drawn.damaged(drawing, fault), ""]
    try:
        result = followed.result(drawing, chosen)
    except StudioError as error:  # its map is damaged, which the pictures are not
        result = shown_error(error)
    return [
        drawn.viewer(drawing, studio.data, chosen),
        drawn.thumbnails(drawing, chosen),
        drawn.standing(drawing),
        drawn.facts(drawing, studio.data),
        result,
    ]


def _reused(form: DrawForm, section: MapSection, found: reusing.Reused) -> list[Any]:
    """The form and its map for what was found in a picture."""
    return [*form.filled(found.request, keep=bool(found.missing)), *section.of_drawing(found.mapped)]


def _drawing(studio: Studio, drawing_id: str) -> drawings.Drawing | None:
    try:
        return drawings.open_drawing(studio.data, drawing_id) if drawing_id else None
    except StudioError:
        return None


def _warning(studio: Studio, drawing: drawings.Drawing) -> str:
    """That the prompt lacks the words which call the subject, where it does."""
    request = drawing.request()
    trigger = choices.choice(studio.data, choices.as_form(request)["run"] or "").trigger
    return drawn.without_words(trigger) if choices.lacks(request.prompt, trigger) else ""
