"""New: what to teach, its pictures or pairs, how to train it, and Start.

What is on the page is a draft on the server until then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from app.drafts import begin, draft, pairing, pairs
from app.drafts.draft import Draft
from app.web.pages.act import Pressed, goto, part, shown_error, told
from app.web.pages.live import QUIET
from app.web.pages.new.form import REBUILT, Form
from app.web.parts import drafts, links
from app.web.parts import pairs as pairparts
from app.web.studio import Studio
from training.errors import BadInput, StudioError

TYPED = {**QUIET, "trigger_mode": "always_last"}  # while it is typed: the newest text is kept
# The list of what is wrong may be out of sight, or move when a fold opens: it is shown, and read, by getting the focus.
TO_PROBLEMS = """(address) => {
  if (!address) setTimeout(() => document.querySelector("#ds-problems .ds-problems")?.focus(), 300);
}"""

ANSWERS = ("grey", "shared", "nearest")  # what is asked about maps


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    form, where = Form(studio), gr.Textbox(visible=False)
    part("<h1 data-page-title='New'>Teach it something new</h1>")
    form.task()
    form.data_()
    form.what()
    form.how()
    form.end()

    def look(request: gr.Request) -> list[Any]:
        return form.shown(form.draft(request))

    page.load(look, None, form.all, **QUIET)
    _pictures(form)
    _pairs(form)
    _samples(form)
    for name, component in form.fields.items():
        _follow(form, name, component)

    def pressed(request: gr.Request, key: str, *values: Any) -> list[Any]:
        """The run's address, the fold with all settings, and the page with what is wrong."""
        with form.turn(request):
            return begin_or_tell(request, key, values)

    def begin_or_tell(request: gr.Request, key: str, values: tuple[Any, ...]) -> list[Any]:
        now, same = form.draft(request), [gr.skip()] * len(form.all)
        try:
            if key == now.key:  # what was typed last may still be on its way by itself
                now = form.keep(now, dict(zip(form.fields, values, strict=True)))
            wrong = begin.problems(form.data, now) if key in ("", now.key) else []
            if wrong:
                folded = any(problem.field in form.marked for problem in wrong)
                now = draft.save(now, pressed=True)
                return ["", gr.update(open=True) if folded else gr.skip(), *form.shown(now)]
            run = begin.begin(form.data, now.changed(key=key or now.key), studio.engine)
        except StudioError as error:
            same[form.all.index(form.problems)] = f"<div class='ds-problems' tabindex='-1'>{shown_error(error)}</div>"
            return ["", gr.skip(), *same]
        return [links.run(run.id), gr.skip(), *same]

    @told
    def emptied(request: gr.Request) -> list[Any]:
        return form.shown(draft.clear(form.draft(request)))

    given = [form.key, *form.fields.values()]
    started = form.start.click(pressed, given, [where, form.everything, *form.all], **QUIET)
    started.then(None, where, None, js=goto()).then(None, where, None, js=TO_PROBLEMS)
    form.empty.click(emptied, None, form.all, **QUIET)


def _pictures(form: Form) -> None:
    """The events of part 1."""

    def added(request: gr.Request, files: list[str] | None) -> list[Any]:
        try:
            now, refused = draft.add_pictures(form.draft(request), [(Path(f).name, Path(f)) for f in files or []])
        except StudioError as error:
            return [None, shown_error(error), *[gr.skip()] * len(form.following)]
        return [None, drafts.refused(refused), *form.follow(now)]

    @told
    def changed(request: gr.Request, event: Pressed) -> list[Any]:
        now = form.draft(request)
        if event.act == "crop":
            return form.follow(draft.set_crop(now, event.picture, event.number("crop")))
        return form.follow(draft.remove_picture(now, event.picture))

    @told
    def suggested(request: gr.Request, event: Pressed) -> list[Any]:
        return [event.word, *form.follow(draft.save(form.draft(request), class_word=event.word))]

    form.upload.upload(added, form.upload, [form.upload, form.refused, *form.following], **QUIET)
    form.shelf.click(changed, None, form.following, **QUIET)
    form.write.click(suggested, None, [form.fields["class_word"], *form.following], **QUIET)


def _samples(form: Form) -> None:
    """The events of the buttons that fill in a sample; where something would be lost, they ask first."""

    def fill(request: gr.Request, name: str) -> Draft:
        now = form.draft(request)
        return pairing.use_scenes(now) if now.task == "maps" else draft.use_sample(now, name)

    @told
    def tried(request: gr.Request, name: str) -> list[Any]:
        if not form.draft(request).is_blank:
            return [gr.update(visible=True), *[gr.skip()] * len(form.all)]
        return replaced(request, name)

    @told
    def replaced(request: gr.Request, name: str) -> list[Any]:
        return [gr.update(visible=False), *form.shown(fill(request, name))]

    for button, event in ((form.try_it, tried), (form.pairs.try_it, tried), (form.replace, replaced)):
        button.click(event, form.sample, [form.asking, *form.all], **QUIET)
    form.keep_mine.click(lambda: gr.update(visible=False), None, form.asking, **QUIET)


def _pairs(form: Form) -> None:
    """The events of part 1 where pictures from maps are taught."""
    place = form.pairs

    def into(part: pairs.Part):
        def added(request: gr.Request, files: list[str] | None) -> list[Any]:
            try:
                given = [(Path(f).name, Path(f)) for f in files or []]
                now, refused = pairing.add(form.draft(request), given, part)
            except StudioError as error:
                return [None, shown_error(error), *[gr.skip()] * len(form.following)]
            return [None, drafts.refused(refused), *form.follow(now)]

        return added

    @told
    def answered(request: gr.Request, event: Pressed) -> list[Any]:
        if event.name not in ANSWERS:
            raise BadInput("There is no such question.", "Load the page again.", "pairs")
        said = event.said == "yes" if event.name == "nearest" else event.said or None
        return form.follow(pairing.answer(form.draft(request), **{event.name: said}))

    @told
    def changed(request: gr.Request, event: Pressed) -> list[Any]:
        now = form.draft(request)
        if event.act == "page":
            place.turn_to(now, int(event.number("said")))
            return form.follow(now)
        if event.act == "clear":
            return form.follow(pairing.clear(now))
        if event.act == "remove":
            return form.follow(pairing.remove(now, event.part, [event.said]))
        names = _pressed_pair(now, event)
        if event.act == "remove-pair":
            return form.follow(pairing.remove(now, event.part, names))
        return form.follow(pairing.caption(now, event.part, names[0], event.value))

    for drop, where in ((place.upload, "training"), (place.upload_held, "held-out")):
        seen = {**QUIET, "show_progress": "minimal", "show_progress_on": drop}  # hundreds take a while
        drop.upload(into(where), drop, [drop, place.refused, *form.following], **seen)
    place.questions.click(answered, None, form.following, **QUIET)
    place.shelf.click(changed, None, form.following, **QUIET)


def _pressed_pair(now: Draft, event: Pressed) -> list[str]:
    """The names of the two files of the pair that was pressed, the picture's first.

    Raises BadInput where it is not there any more.
    """
    looked, at = dict(now.seen.parts).get(event.part), event.number("place")
    if looked is None or event.version != pairparts.version(now) or not 0 <= at < len(looked.pairs):
        raise BadInput("This pair was changed in another tab.", "Load the page again.", "pairs")
    pair = looked.pairs[int(at)]
    return [looked.name(pair.pair.picture), looked.name(pair.pair.map)]


def _follow(form: Form, name: str, component: gr.components.Component) -> None:
    """Keep what a person types into one field, and show what follows from it.

    What is wrong with a setting is said when its field is left: half a number is no mistake yet.
    """

    def follows(event: Any, show: Callable[[Draft], list[Any]], outputs: list[Any]) -> None:
        @told
        def typed(request: gr.Request, value: Any, key: str) -> list[Any]:
            with form.turn(request):
                now = form.draft(request)
                # Typed into a draft that is a run by now; or a list that was left as it was, whose answer would come
                # over what is typed into it next.
                if key != now.key or (name in REBUILT and value == getattr(now, name)):
                    return [gr.skip()] * len(outputs)
                return show(form.keep(now, {name: value}))

        event(typed, [component, form.key], outputs, **TYPED)

    if name in REBUILT:
        follows(component.input, form.shown, form.all)
    elif isinstance(component, gr.Textbox):
        follows(component.input, form.follow, form.following)
        follows(component.blur, form.look_over, form.looked_over)  # a pasted text may make no input event
    else:
        follows(component.input, form.look_over, form.looked_over)
