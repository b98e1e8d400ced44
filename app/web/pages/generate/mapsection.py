"""Maps on the page Generate: the canvas, and what it can begin with: a file, a picture's map, or one of a run's."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from app import control, words
from app.adapters import steered
from app.drafts import begin
from app.orders import following, segmenting
from app.orders.drawings import USUAL_PX, Drawing
from app.web.pages.act import Pressed, acting, part, shown_error
from app.web.pages.generate import choices
from app.web.pages.generate.form import DrawForm
from app.web.pages.live import QUIET, live
from app.web.parts import followed, labels
from app.web.reading import heldout
from app.web.studio import Studio
from evaluation.maps import segmentor as segmentors
from training.base import controlnet, models
from training.errors import BadInput, StudioError
from training.maps import reading

READ = "async (...values) => [...values.slice(0, -1), values.at(-2) ? await dsMap.read() : '']"  # what is painted
ABOUT = "Paint where what shall be, or begin with a map that is there. What has no class (chequered) is left open."
FILE = "A PNG of class numbers (0-150 or 0-149), of ADE20K's colours, or of the full set's encoding."
OWN = ("The one that knows the base model's pictures", "")


class MapSection:
    """The components, made in the order of the page; shown where the form says that a map is followed.

    Attributes:
        labels: holds what is on the canvas when Draw is pressed with the script READ. draw: a button for it.
        arrives: takes a map onto the canvas, see `followed.arrived`. column: all of it.
    """

    def __init__(self, studio: Studio, page: gr.Blocks, form: DrawForm):
        self.studio, self.data, self.form = studio, studio.data, form
        fields = form.fields
        self._with = [fields[name] for name in ("run", "base", "other_base", "size")]
        with gr.Column(visible=False, elem_id="ds-map") as self.column:
            part("<h2>Map</h2>")
            self._note = part()
            part(words.paragraph(ABOUT, "ds-quiet"))
            part(followed.CANVAS)
            with gr.Accordion("Begin with a map that is there", open=False, elem_id="ds-map-from"):
                self._from_file()
                self._from_photo()
                self._from_run(page)
            self.draw = gr.Button("Draw from this map", variant="primary", elem_id="ds-draw-map")
        self.labels = gr.Textbox(visible=False)
        self.arrives = part()
        self._photo_arrives = part()
        self._listen(page)

    @property
    def put(self) -> list[Any]:
        """What `of_drawing` and `of_labels` fill."""
        return [self.form.follow, self.column, self.form.held, self.arrives]

    def of_drawing(self, drawing: Drawing | None) -> list[Any]:
        """Values for `put`: a drawing's map on the canvas, and none followed where it has none."""
        found = drawing.labels() if drawing else None
        on = found is not None
        arrives = followed.arrived(found) if on else gr.skip()
        return [on, gr.update(visible=on), gr.update(visible=on), arrives]

    def given(self, on: bool, text: str) -> Any:
        """The labels to draw from, None where no map is followed. Raises BadInput for what is no map."""
        return labels.decode(text) if on else None

    # The components

    def _from_file(self) -> None:
        self._file = gr.File(label="A map", type="filepath", height=110, elem_id="ds-map-file")
        part(words.paragraph(FILE, "ds-quiet"))
        self._said = part(js_on_load=acting(), elem_id="ds-map-said")
        self._held, self._answers = gr.State(""), gr.State(reading.NONE)

    def _from_photo(self) -> None:
        known = [OWN, (words.base("segmentor"), "segmentor"), ("Built in, for toy pictures only", "embedded")]
        self._photo = gr.File(label="A picture, to be made a map of", type="filepath", height=110, elem_id="ds-photo")
        self._segmentor = gr.Dropdown(
            known, value="", label="Segmentor", info="Or the path of a folder.", allow_custom_value=True
        )
        self._asked = gr.State("")
        self._photo_said = part(elem_id="ds-photo-said")

    def _from_run(self, page: gr.Blocks) -> None:
        with gr.Row(visible=False) as row:
            run = gr.Dropdown([], label="A run that holds maps out", elem_id="ds-held-run")
            self._held_map = gr.Dropdown([], label="Its maps", elem_id="ds-held-map")
        self._held_run, self._held_said = run, part()

        def there() -> list[Any]:
            found = [(run.name, run.id) for run in heldout.runs(self.data)]
            return [gr.update(visible=bool(found)), gr.update(choices=found, value=None)]

        page.load(there, None, [row, run], **QUIET)

    def _listen(self, page: gr.Blocks) -> None:
        form, read = self.form, [self._said, self.arrives, self._held, self._answers]
        form.follow.change(self._followed, form.follow, [self.column, form.held], **QUIET)
        self._file.upload(self._came, [self._file, self._held, *self._with], [self._file, *read], **QUIET)
        self._said.click(self._answered, [self._held, self._answers, *self._with], read, **QUIET)
        self._photo.upload(
            self._photo_came,
            [self._photo, self._segmentor, *self._with],
            [self._photo, self._photo_said, self._asked],
            **QUIET,
        )
        self._held_run.input(self._of_run, self._held_run, [self._held_map, self._held_said], **QUIET)
        self._held_map.input(
            self._taken, [self._held_run, self._held_map, *self._with], [self.arrives, self._held_said], **QUIET
        )
        live(
            page,
            self._look,
            [self._photo_said, self._note, self._photo_arrives],
            [self._asked, form.follow, form.fields["control"], *self._with],
        )

    # What they do

    @staticmethod
    def _followed(on: bool) -> list[Any]:
        return [gr.update(visible=bool(on))] * 2

    def _look(self, request: gr.Request, asked: str, on: bool, ref: str | None, *with_: Any) -> list[Any]:
        """How a picture's map comes along, and what there is to say of the base model."""
        order = segmenting.find(self.data, asked or "")
        arrives = ""
        with contextlib.suppress(StudioError):  # damaged: told by `standing`
            if order and order.state().name == "done":
                arrives = followed.arrived(following.square(order.labels(), self._edge(*with_)), order.id)
        return [followed.standing(order), self._told(ref, *with_) if on else "", arrives]

    def _came(self, path: str | None, held: str, *with_: Any) -> list[Any]:
        """A map file: read, and kept while something is asked about it."""
        _forget(held)
        return [None, *self._read(path or "", reading.NONE, with_)]

    def _answered(self, event: Pressed, held: str, answers: reading.Answers, *with_: Any) -> list[Any]:
        if not held:
            return [gr.skip()] * 4
        which, value = event.name, event.answer
        if (which, value) not in {(name, said) for given in followed.ANSWERS.values() for name, said, _ in given}:
            raise BadInput("There is no such answer.", "Load the page again.")
        return self._read(held, replace(answers, **{which: True if which == "nearest" else value}), with_)

    def _read(self, path: str, answers: reading.Answers, with_: tuple) -> list[Any]:
        """What is said of a map file, itself for the canvas, and the file and answers where something is asked."""
        found = reading.read(Path(path), answers)
        said, arrives = followed.read_as(found), gr.skip()
        if found.usable:
            arrives = followed.arrived(following.square(found.labels, self._edge(*with_)))
        if any(problem.kind in followed.ANSWERS for problem in found.problems):
            return [said, arrives, path, answers]
        _forget(path)
        return [said, arrives, "", reading.NONE]

    def _photo_came(self, path: str | None, ref: str | None, *with_: Any) -> list[Any]:
        caps, _ = begin.capabilities(self.data, self._base(*with_[:3]))
        try:
            ref = (ref or "").strip() or segmentors.usual(bool(caps and caps.embedded))
            order = control.segment(self.data, Path(path or ""), ref, self.studio.engine)
        except StudioError as error:
            return [None, shown_error(error), ""]
        finally:
            _forget(path)
        return [None, followed.standing(order), order.id]

    def _of_run(self, run: str | None) -> list[Any]:
        try:
            found = heldout.maps(self.data, run or "")
        except StudioError as error:
            return [gr.update(choices=[], value=None), shown_error(error)]
        return [gr.update(choices=[(f"{m.name} {m.caption}".strip(), m.name) for m in found], value=None), ""]

    def _taken(self, run: str | None, name: str | None, *with_: Any) -> list[Any]:
        try:
            found = heldout.labels(self.data, run or "", name or "")
        except StudioError as error:
            return [gr.skip(), shown_error(error)]
        return [followed.arrived(following.square(found, self._edge(*with_))), ""]

    def _told(self, ref: str | None, run: str, base: str, other_base: str, size: Any) -> str:
        """The edge of pictures for the canvas; and that they cannot follow maps, or are not compared with them."""
        told, base = followed.edge(self._edge(run, base, other_base, size)), self._base(run, base, other_base)
        try:
            caps = models.describe(base, self.data)
        except StudioError:
            return told  # of the base model the form itself tells, when Draw is pressed
        try:
            net = steered.which(choices.source(self.data, run or ""), (ref or "").strip() or None, caps.embedded)
            if net is not None:
                controlnet.inspect(net, models.configs(base, self.data)["unet"], caps.vae_factor, self.data)
        except StudioError as error:
            return told + followed.missing(error)
        try:
            segmentors.check(segmentors.usual(caps.embedded), self.data)
        except StudioError as error:
            return told + followed.unjudged(error)
        return told

    def _base(self, run: str | None, base: str | None, other_base: str | None) -> str:
        return other_base or choices.choice(self.data, run or "", base or "").base

    def _edge(self, run: str | None, base: str | None, other_base: str | None, size: Any) -> int:
        """The edge of the pictures that the form asks for."""
        text = str(size or "").strip()
        typed = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
        if labels.SMALLEST <= typed <= labels.LARGEST:
            return typed
        caps, _ = begin.capabilities(self.data, self._base(run, base, other_base))
        return min(caps.size_px, labels.LARGEST) if caps else USUAL_PX


def _forget(path: str | None) -> None:
    """An upload that is not needed any more."""
    if path:
        Path(path).unlink(missing_ok=True)
