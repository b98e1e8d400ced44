"""One run, at its own address: where it stands, what it drew, how it scores and how far it moved."""

from __future__ import annotations

from html import escape

import gradio as gr

from app import control
from app.adapters.exporting import main_file
from app.computer.damaged import look as look_at
from app.computer.damaged import put_aside
from app.drafts import again, draft
from app.web.pages.act import acting, back_to, goto, part, shown_error
from app.web.pages.live import QUIET, live, query
from app.web.pages.run import formats as runformats
from app.web.parts import damaged, links
from app.web.parts.run import actions, broken, details, distance, downloads, filmstrip, formats, header, scores
from app.web.reading import folders, follow
from app.web.studio import Studio, user_of
from training.errors import StudioError
from training.runs import rundir
from training.runs.run import Run

GONE = "<h1 data-page-title='Run'>No such run</h1><p>{words}</p><p><a href='/runs'>All runs</a></p>"

ONCE = ("stop", "force_stop", "remove", "resume", "resume_less_memory", "new_half_lr", "again", "train_longer")
DELETE = "<p><b>Delete {name}</b> with all its pictures, saves and files? This cannot be undone.</p>"
REPLACES = (
    "<div class='ds-card' role='alert'><p>The page New holds a draft that is not started. This would replace it.</p>"
    "<div class='ds-row'><button type='button' class='ds-button' data-act='{key}-sure'>Replace it</button>"
    "<a class='ds-button' href='/'>Look at it first</a></div></div>"
)


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    top, state, life, phases = part(), part(), part(), part()
    buttons = part(js_on_load=acting(*ONCE), elem_id="ds-actions")
    said = part(js_on_load=acting(), elem_id="ds-action-said")
    unread = part(js_on_load=acting("aside"), elem_id="ds-unread")
    with gr.Row(visible=False) as naming:
        name = gr.Textbox(label="New name", max_lines=1, elem_id="ds-new-name")
        keep = gr.Button("Rename", scale=0, min_width=120)
    with gr.Row(visible=False, elem_id="ds-sure") as asking:
        question = part()
        sure = gr.Button("Delete it", variant="stop", scale=0, min_width=120)
        not_sure = gr.Button("Keep it", scale=0, min_width=120)
    files, (other, save) = part(), runformats.build(studio)
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
            filmstrip.section(view),
            scores.section(view),
            distance.section(view),
            details.section(view),
        ]

    def act(request: gr.Request, event: gr.EventData):
        """What a button does: words, the address to go to, whether the two small forms show, and what is in them."""
        key, shut, show = event.act, gr.update(visible=False), gr.update(visible=True)
        try:
            run = _run(studio, request)
            if key == "rename":
                return "", "", show, shut, run.name, gr.skip()
            if key == "delete":
                return "", "", shut, show, gr.skip(), DELETE.format(name=escape(folders.dated(run)))
            if key == "aside":
                put_aside(run, event.file)
                return "<p role='status'>Put aside.</p>", "", shut, shut, gr.skip(), gr.skip()
            words, address = _do(studio, request, run, key)
        except StudioError as error:
            words, address = shown_error(error), ""
        return words, address, shut, shut, gr.skip(), gr.skip()

    def rename(request: gr.Request, given: str):
        try:
            _run(studio, request).rename(given)
        except StudioError as error:
            return shown_error(error), gr.skip()
        return "<p role='status'>Renamed.</p>", gr.update(visible=False)

    def delete(request: gr.Request):
        from app.computer.remove import remove_run

        try:
            remove_run(studio.data, _run(studio, request))
        except StudioError as error:
            return shown_error(error), ""
        return "<p role='status'>Deleted.</p>", "/runs"

    live(page, look, [top, life, phases, buttons, state, unread, files, other, film, score, moved, more], [save])
    for pressed in (buttons, said, unread):
        told = pressed.click(act, None, [said, where, naming, asking, name, question], **QUIET)
        told.then(None, where, None, js=goto())
    renamed = gr.on([keep.click, name.submit], rename, name, [said, naming], **QUIET)
    renamed.then(None, None, None, js=back_to("rename"))
    sure.click(delete, None, [said, where], **QUIET).then(None, where, None, js=goto())
    kept = not_sure.click(lambda: gr.update(visible=False), None, asking, **QUIET)
    kept.then(None, None, None, js=back_to("delete"))


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
        return [GONE.format(words=escape(str(error))), *[""] * 11]
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
        return "", "/"
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
