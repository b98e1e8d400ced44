"""One run, at its own address: where it stands, what it drew, how it scores and how far it moved."""

from __future__ import annotations

from html import escape

import gradio as gr

from app import control
from app.adapters.formats import main_file
from app.computer.damaged import look as look_at
from app.computer.damaged import put_aside
from app.drafts import again, draft
from app.web.pages.act import Pressed, acting, goto, part, shown_error
from app.web.pages.live import QUIET, live, query
from app.web.pages.run import formats as ordering
from app.web.pages.upkeep import Upkeep, runs
from app.web.parts import damaged, links, taught
from app.web.parts.run import actions, broken, details, distance, downloads, formats, header
from app.web.reading import follow
from app.web.studio import Studio, user_of
from training.errors import StudioError
from training.runs import rundir
from training.runs.run import Run

GONE = "<h1 data-page-title='Run'>No such run</h1><p>{words}</p><p><a href='{runs}'>All runs</a></p>"

ONCE = ("stop", "force_stop", "remove", "resume", "resume_less_memory", "new_half_lr", "again", "train_longer")
REPLACES = (
    "<div class='ds-card' role='alert'><p>The page New holds a draft that is not started. This would replace it.</p>"
    "<div class='ds-row'><button type='button' class='ds-button' data-act='{key}-sure'>Replace it</button>"
    "<a class='ds-button' href='./'>Look at it first</a></div></div>"
)


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    top, state, life, phases = part(), part(), part(), part()
    buttons = part(js_on_load=acting(*ONCE), elem_id="ds-actions")
    said = part(js_on_load=acting(), elem_id="ds-action-said")
    unread = part(js_on_load=acting("aside"), elem_id="ds-unread")
    upkeep = Upkeep(runs(studio.data), gone=links.RUNS)
    files, (other, save) = part(), ordering.build(studio)
    film, score, moved, more = part(), part(), part(), part()
    where = gr.Textbox(visible=False)

    def look(request: gr.Request, step: int | None) -> list[str]:
        try:
            view = follow.view(_run(studio, request), studio.engine)
        except StudioError as error:
            return _unreadable(studio, request, error)
        return [
            f"<h1 data-page-title='{escape(view.name, quote=True)}'>{escape(view.name)}</h1>{header.facts(view)}",
            header.life(view),
            header.phase_list(view),
            _buttons(view),
            header.block(view),
            broken.section(view),
            downloads.section(view),
            formats.section(view, studio.data, step),
            taught.of(view).film(view),
            taught.of(view).scores(view),
            distance.section(view),
            details.section(view),
        ]

    def act(request: gr.Request, event: Pressed):
        """What a button does: words, the address to go to, and the two rows of `upkeep`."""
        if event.act in ("rename", "delete"):
            return "", "", *upkeep.opened(event.act, query(request, "id"))
        try:
            run = _run(studio, request)
            if event.act == "aside":
                put_aside(run, event.file)
                return "<p role='status'>Put aside.</p>", "", *upkeep.shut()
            words, address = _do(studio, request, run, event.act)
        except StudioError as error:
            words, address = shown_error(error), ""
        return words, address, *upkeep.shut()

    shown = [top, life, phases, buttons, state, unread, files, other, film, score, moved, more]
    live(page, look, shown, [save])
    for pressed in (buttons, said, unread):
        told = upkeep.opens(pressed.click(act, None, [said, where, *upkeep.outputs], **QUIET))
        told.then(None, where, None, js=goto())
    upkeep.after(look, [save], shown)


def _run(studio: Studio, request: gr.Request) -> Run:
    """The run that the page's address names."""
    return rundir.run_by_id(studio.data, query(request, "id"))


def _unreadable(studio: Studio, request: gr.Request, error: StudioError) -> list[str]:
    """The page of a run that is damaged, or not there at all."""
    try:
        found = look_at(_run(studio, request))
    except StudioError:
        found = None
    if found is None:
        return [GONE.format(words=escape(str(error)), runs=links.RUNS), *[""] * 11]
    told = [damaged.buttons(), damaged.block(found), "", damaged.downloads(found)]
    return [damaged.title(found), "", "", *told, *[""] * 5]


def _do(studio: Studio, request: gr.Request, run: Run, key: str) -> tuple[str, str]:
    """One action; returns words to show and the address to go to, either may be empty."""
    data, engine = studio.data, studio.engine
    if key in ("stop", "remove"):
        control.stop(data, run, engine=engine)
        return "", ""
    if key == "force_stop":
        control.stop(data, run, grace=0, engine=engine)
        return "", ""
    if key == "resume":
        control.start(data, run, engine=engine)
        return "", ""
    if key in ("again", "train_longer"):
        if not draft.load(data, user_of(request)).is_blank:
            return REPLACES.format(key=key), ""
        key = f"{key}-sure"
    if key in ("again-sure", "train_longer-sure"):
        draft.from_run(data, run, user_of(request), longer=key == "train_longer-sure")
        return "", links.NEW
    view = follow.view(run, engine)
    if key in ("resume_less_memory", "new_half_lr"):
        made = again.derived(data, run, actions.changes(view, key), engine)
        return "", links.run(made.id)
    return "", ""


def _buttons(view: follow.RunView) -> str:
    """The actions of the state; a download is a link, so that the browser does it."""
    found = []
    for action in actions.actions(view):
        kind = "ds-button ds-primary" if action.primary else "ds-button"
        if action.key == "download":
            address = escape(links.export(view.id, main_file(view.exports)["name"]), quote=True)
            found.append(f'<a class="{kind}" href="{address}" download>{escape(action.label)}</a>')
        elif action.key == "use":
            address = escape(links.generate(view.id, action.step), quote=True)
            found.append(f'<a class="{kind}" href="{address}">{escape(action.label)}</a>')
        else:
            found.append(
                f'<button type="button" class="{kind}" data-act="{action.key}" data-keep="{action.key}" '
                f'data-instead="{header.STATE}">{escape(action.label)}</button>'
            )
    return f'<div class="ds-row" role="group" aria-label="What you can do">{"".join(found)}</div>'
