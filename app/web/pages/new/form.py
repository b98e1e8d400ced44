"""The fields of the page New, and what they show of a draft; those of pairs are in `pairs.py`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app import words
from app.computer import expectation
from app.drafts import begin, draft, kinds, settings, subject
from app.drafts.draft import Draft
from app.drafts.problem import Problem, anchor
from app.web.pages.act import acting, part
from app.web.pages.new.component import setting
from app.web.pages.new.pairs import Pairs
from app.web.parts import drafts
from app.web.parts import pairs as pairparts
from app.web.studio import Studio, user_of
from training import presets
from training.adapterspec import METHODS
from training.base import models
from training.errors import StudioError

TOKEN_HELP = "Rare word that will stand for this one subject in prompts."
REBUILT = ("task", "base", "method", "effort")  # what other settings and their presets hang on
SLOTS = (
    "pictures",
    "pairs",
    "held_out",
    "name",
    "class_word",
    "base",
)  # fields with a place of their own for what is wrong with them
OF_SUBJECTS = ("class_word", "token")  # fields that a draft of pairs does not use
TASKS = [("A subject", "dreambooth"), ("Pictures from maps", "maps")]
SUMMARIES = {"dreambooth": drafts.summary, "maps": pairparts.summary}
EFFORTS = [("Quick", "quick"), ("Balanced", "balanced"), ("Thorough", "thorough")]


class Form:
    """The components, made in the order of the page by `pictures`, `what`, `how` and `end`.

    fields: what a draft holds, by its name there. slots: where a field's fault or warning stands.
    """

    def __init__(self, studio: Studio):
        self.studio, self.data = studio, studio.data
        self.fields: dict[str, gr.components.Component] = {}
        self.slots: dict[str, gr.HTML] = {}
        self.key = gr.State("")
        self._turns: dict[str, threading.Lock] = {}

    # The components

    def task(self) -> None:
        """The first question."""
        self.fields["task"] = gr.Radio(TASKS, label=settings.FIELDS["task"], elem_id=anchor("task"))

    def data_(self) -> None:
        """Part 1: pictures of a subject, or pairs."""
        with gr.Column(elem_id="ds-subject") as self.of_subject:
            self._pictures()
        with gr.Column(visible=False, elem_id="ds-maps") as self.of_maps:
            self.pairs = Pairs(self.fields, self.slots)
        with gr.Row(visible=False) as self.asking:
            part("<p>The sample replaces what is on this page.</p>")
            self.replace = gr.Button("Replace it", scale=0, min_width=120)
            self.keep_mine = gr.Button("Keep mine", scale=0, min_width=120)

    def _pictures(self) -> None:
        part("<h2>1. Pictures</h2><p>4 to 8 pictures of one thing, in different places and light.</p>")
        self.upload = gr.File(
            label="Drop pictures here, or press to choose them",
            file_count="multiple",
            type="filepath",
            height=130,
            elem_id=anchor("pictures"),
            elem_classes="ds-drop",
        )
        with gr.Row(equal_height=True, elem_classes="ds-sample-row"):
            self.sample = gr.Dropdown(_samples(), value=drafts.SAMPLE, label="Or a sample subject", elem_id="ds-sample")
            self.try_it = gr.Button("Try the sample", scale=0, min_width=210, elem_id="ds-try")
        self.refused = part()
        self.slots["pictures"] = part()
        self.shelf = part(js_on_load=acting(), elem_id="ds-shelf")

    def what(self) -> None:
        """Part 2."""
        self.what_head = part()
        with gr.Row():
            with gr.Column():
                self._text("name", "What you call it. The run and its file are named so.", "Biscuit")
            with gr.Column() as self.kind_of_it:
                self._text("class_word", "A plain word: dog, car, shoe.", "dog")
        self.write = part(js_on_load=acting(), elem_id="ds-write")

    def how(self) -> None:
        """Part 3; `everything` is the fold with all settings."""
        part("<h2>3. How</h2>")
        self.fields["base"] = gr.Dropdown(
            bases(self.data),
            label=settings.FIELDS["base"],
            info="Choose one, or type the path of a folder or .safetensors file. More are offered at This computer.",
            allow_custom_value=True,
            elem_id=anchor("base"),
        )
        self.slots["base"] = part()
        self.fields["effort"] = gr.Radio(EFFORTS, label=settings.FIELDS["effort"], elem_id=anchor("effort"))
        with gr.Accordion("All settings", open=False, elem_id="ds-all-settings") as self.everything:
            methods = [(words.method(name), name) for name in METHODS]
            self.fields["method"] = gr.Dropdown(methods, label=settings.FIELDS["method"], elem_id=anchor("method"))
            self.fields["token"] = gr.Textbox(
                label=settings.FIELDS["token"],
                info=TOKEN_HELP,
                max_lines=1,
                elem_id=anchor("token"),
            )
            for group, labels in settings.GROUPS.items():
                part(f"<h3>{group}</h3>")
                with gr.Row(elem_classes="ds-settings"):
                    for name in labels:
                        if name not in self.fields:  # it has a place of its own
                            self.fields[name] = setting(name)

    def end(self) -> None:
        """Summary, what is wrong, and the buttons."""
        self.summary = part(elem_id="ds-summary")
        self.problems = part(elem_id="ds-problems")
        with gr.Row():
            self.start = gr.Button("Start training", variant="primary", elem_id="ds-start")
            self.empty = gr.Button("Empty this page", scale=0, min_width=210)

    def _text(self, name: str, info: str, placeholder: str) -> None:
        told = {"label": settings.FIELDS[name], "info": info, "placeholder": placeholder}
        self.fields[name] = gr.Textbox(**told, max_lines=1, elem_id=anchor(name))
        self.slots[name] = part()

    # What they show

    def turn(self, request: gr.Request) -> threading.Lock:
        """To be held while an event of a person's page is answered: of two answers the one made of older words would
        else be shown last."""
        return self._turns.setdefault(user_of(request), threading.Lock())

    def draft(self, request: gr.Request) -> Draft:
        """The person's draft."""
        return draft.load(self.data, user_of(request))

    def keep(self, now: Draft, given: Mapping[str, Any]) -> Draft:
        """The draft with what was typed into some fields; a setting that is the preset's is none of its own."""
        fields = {name: value if value is not None else "" for name, value in given.items() if name in draft.FIELDS}
        shape = now.changed(**{name: fields.get(name) or getattr(now, name) for name in REBUILT})
        usual = {f.name: f.default for f in self._used(shape)}
        typed = {n: None if value == usual[n] else value for n, value in given.items() if n in usual}
        return draft.save(now, **fields, **({"settings": typed} if typed else {}))

    @property
    def following(self) -> list[Any]:
        """The parts that follow what is typed, which `follow` fills."""
        return [self.shelf, *self.pairs.following, self.write, *self.slots.values(), self.summary, self.problems]

    @property
    def marked(self) -> list[str]:
        """The names of the fields in the fold: a fault stands in the place of their help."""
        return [name for name in self.fields if name not in (*SLOTS, "task", "effort")]

    @property
    def looked_over(self) -> list[Any]:
        """What `look_over` fills."""
        return [*self.following, *(self.fields[name] for name in self.marked)]

    @property
    def all(self) -> list[Any]:
        """Everything that `shown` fills."""
        shown = [self.of_subject, self.of_maps, self.kind_of_it, self.what_head]
        return [*self.fields.values(), *shown, *self.following, self.key]

    def shown(self, now: Draft) -> list[Any]:
        """Values for `all`."""
        wrong = self._wrong(now)
        marks, used = self._marks(now, wrong), {field.name: field for field in self._used(now)}
        values: list[Any] = []
        of_maps = now.task == "maps"
        for name in self.fields:
            if name == "base":
                values.append(gr.update(value=now.base, choices=bases(self.data)))
            elif name in draft.FIELDS:
                there = {"visible": not of_maps} if name in OF_SUBJECTS else {}
                values.append(gr.update(value=getattr(now, name), **there, **marks.get(name, {})))
            elif name in used:
                value = now.settings.get(name, used[name].default)
                values.append(gr.update(visible=True, value=value, **marks.get(name, {})))
            else:
                values.append(gr.update(visible=False))
        parts = [gr.update(visible=there) for there in (not of_maps, of_maps, not of_maps)]
        parts.append("<h2>2. What to call it</h2>" if of_maps else "<h2>2. What is it</h2>")
        return [*values, *parts, *self._following(now, wrong), now.key]

    def follow(self, now: Draft) -> list[Any]:
        """Values for `following`."""
        return self._following(now, self._wrong(now))

    def look_over(self, now: Draft) -> list[Any]:
        """Values for `looked_over`."""
        wrong = self._wrong(now)
        marks = self._marks(now, wrong)
        told = (gr.update(**marks[name]) if name in marks else gr.skip() for name in self.marked)
        return [*self._following(now, wrong), *told]

    def _wrong(self, now: Draft) -> list[Problem]:
        """What the page calls wrong: before Start was pressed only what cannot be as it is, then what lacks as well."""
        return begin.problems(self.data, now) if now.pressed else begin.faults(self.data, now)

    def _marks(self, now: Draft, wrong: list[Problem]) -> dict[str, dict[str, Any]]:
        """What each of `marked` says, by its name: its help, or what is wrong with it."""
        helps = {"method": "", "token": TOKEN_HELP} | {field.name: field.help for field in self._used(now)}
        told = {problem.field: f"✗ {problem.words}" for problem in wrong}
        return {
            name: {"info": told.get(name, words), "elem_classes": ["ds-wrong"] if name in told else []}
            for name, words in helps.items()
            if name in self.marked
        }

    def _following(self, now: Draft, wrong: list[Problem]) -> list[Any]:
        caps, _ = begin.capabilities(self.data, now.base)
        warned = begin.warnings(self.data, now)
        slots = [
            drafts.slot([p for p in wrong if p.field == f], [p for p in warned if p.field == f]) for f in self.slots
        ]
        known = kinds.class_suggestions(caps, now.class_word) if caps else []
        write = drafts.to_write(subject.prompt_words(now, caps), now.token.strip(), known)
        write = write if now.task == "dreambooth" else ""
        listed = drafts.problem_list(wrong) if now.pressed else ""
        return [drafts.shelf(now), *self.pairs.follow(now), write, *slots, self._summary(now), listed]

    def _summary(self, now: Draft) -> str:
        try:
            spec = begin.outline(self.data, now)
        except StudioError:
            return "" if now.pressed else drafts.no_summary(begin.faults(self.data, now))
        return SUMMARIES[now.task](now, spec, expectation.expectation(self.data, spec).words)

    def _used(self, now: Draft) -> list[settings.SettingField]:
        return settings.settings_fields(now.method, self.kind(now), now.effort, now.task)

    def kind(self, now: Draft) -> presets.BaseKind:
        caps, _ = begin.capabilities(self.data, now.base)
        return "embedded" if (caps.embedded if caps else now.base == "embedded") else "sd"


def bases(data: Path) -> list[tuple[str, str]]:
    """The base models on this computer, as a dropdown's choices."""
    found = [model for model in models.installed(data) if model.base and not model.problem]
    return [(words.base(model.name), model.name) for model in found]


def _samples() -> list[tuple[str, str]]:
    from evaluation.samplesubjects import sample_subjects

    return [(f"{s.name.replace('-', ' ').capitalize()} ({s.class_word})", s.name) for s in sample_subjects()]
