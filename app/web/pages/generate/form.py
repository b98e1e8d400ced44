"""The fields of the page Generate, and what they show of a choice or of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import words
from app.adapters import imported
from app.orders.request import SAMPLER_TITLES, DrawRequest
from app.web.pages.act import Pressed, acting, part
from app.web.pages.generate import choices
from app.web.pages.generate.choices import Choice, choice
from app.web.pages.live import QUIET
from app.web.pages.new.form import bases
from app.web.parts import drawn, summaries
from training.base import controlnet

STRONGEST, MOST = 1.5, 16  # of the sliders; what was drawn by other ways may be more
STRENGTH = "0 is the base model, exactly. 1 is as trained. Above 1 the picture can leave the limit that training kept."
CLOSED = "The base model alone"
MADE_FOR = "It also draws on a finetune of the one it was made for: choose that here, or write its path."
SCALE = "0 ignores the map. 1 is as the ControlNet was trained."
OWN_NET = "The base model's own"
BROUGHT = ("prompt", *choices.SAMPLE)  # what a choice fills in beside itself


class DrawForm:
    """The components, made in the order of the page.

    Attributes:
        fields: by their names in a request, see `choices.as_form`. follow: whether a map is followed, held: the part
            that says how hard. chip: the button with the subject's words.
        said: what there is to say after a press of Draw or a picture was reused.
        who, brought: what is drawn with, and what such a choice fills in.
    """

    def __init__(self, data: Path):
        self.data = data
        self.fields: dict[str, gr.components.Component] = {}
        self._with_what()
        self.chip = part(js_on_load=acting())
        self._map()
        self._how()
        self.draw = gr.Button("Draw", variant="primary", elem_id="ds-draw")
        self.said = part(js_on_load=acting(), elem_id="ds-draw-said")
        with gr.Accordion("More", open=False):
            self._more()
        self.who = [self.fields["run"], self.fields["step"], self.fields["base"], self.fields["other_base"], self.chip]
        self.brought = [self.fields[name] for name in BROUGHT]
        self.all = [*self.fields.values(), self.chip]
        self._listen()

    # The components

    def _with_what(self) -> None:
        self.fields["run"] = gr.Dropdown([(CLOSED, "")], value="", label="Draw with", elem_id="ds-run")
        self.fields["step"] = gr.Dropdown([("–", "")], value="", label="Save (step)", elem_id="ds-step")
        self.fields["base"] = gr.Dropdown(
            bases(self.data),
            value="embedded",
            label="Base model",
            info="One of those on this computer, or the path of a folder or a .safetensors checkpoint.",
            allow_custom_value=True,
            elem_id="ds-base",
        )
        self.fields["other_base"] = gr.Dropdown(
            [("–", "")],
            value="",
            label="Base model",
            info=MADE_FOR,
            allow_custom_value=True,
            visible=False,
            elem_id="ds-other-base",
        )
        self.fields["prompt"] = gr.Textbox(label="Prompt", lines=2, max_lines=6, elem_id="ds-prompt")

    def _map(self) -> None:
        self.follow = gr.Checkbox(label="Follow a map", elem_id="ds-follow")
        with gr.Column(visible=False) as self.held:
            self.fields["control_scale"] = gr.Slider(
                0, 2, value=1.0, step=0.05, label="How hard (ControlNet scale)", info=SCALE, elem_id="ds-control-scale"
            )
            self.fields["control"] = gr.Dropdown(
                [(OWN_NET, ""), (words.base(controlnet.DOWNLOADED), controlnet.DOWNLOADED)],
                value="",
                label="ControlNet",
                info="Or the path of a folder.",
                allow_custom_value=True,
                elem_id="ds-control",
            )

    def _how(self) -> None:
        self.fields["strength"] = gr.Slider(
            0,
            STRONGEST,
            value=1.0,
            step=0.05,
            label="Strength",
            info=STRENGTH,
            elem_id="ds-strength",
        )
        self.fields["count"] = gr.Slider(1, MOST, value=4, step=1, label="Pictures", elem_id="ds-count")

    def _more(self) -> None:
        fields = self.fields
        fields["negative"] = gr.Textbox(label="What pictures should not show (negative prompt)", elem_id="ds-negative")
        fields["seed"] = gr.Number(value=0, precision=0, label="Seed", info="The same seed, the same picture.")
        samplers = [(title, name) for name, title in SAMPLER_TITLES.items()]
        fields["sampler"] = gr.Dropdown(samplers, value="dpm++", label="Sampler")
        fields["steps"] = gr.Number(value=20, precision=0, label="Steps", elem_id="ds-draw-steps")
        fields["guidance"] = gr.Number(value=3.0, label="Guidance", elem_id="ds-guidance")
        fields["size"] = gr.Textbox(label="Edge in pixels (size)", info="Empty: the base model's own.", max_lines=1)

    def _listen(self) -> None:
        run, base, prompt = (self.fields[name] for name in ("run", "base", "prompt"))
        run.input(lambda value, base: self.chosen(value, None, base), [run, base], [*self.who, *self.brought], **QUIET)
        base.input(self._usual, base, self.brought[1:], **QUIET)
        gr.on([self.chip.click, self.said.click], _written, prompt, [prompt, self.said], **QUIET)

    # What they show

    def chosen(self, value: str, step: int | None = None, base: str = "") -> list[Any]:
        """Values for `who` and `brought` when something else is drawn with."""
        found = choice(self.data, value, base)
        return [*self._who(found, step), found.prompt, *found.sample.values()]

    def renamed(self, value: str, step: Any, base: str, other_base: str | None) -> list[Any]:
        """Values for `who` when an adapter has another name, or is gone; what was typed stays."""
        return self._who(choice(self.data, value, base), step or None, other_base)

    def filled(self, request: DrawRequest, *, keep: bool = False) -> list[Any]:
        """Values for `all` for a request. keep: what is drawn with stays as it is chosen."""
        values = {name: "" if value is None else value for name, value in choices.as_form(request).items()}
        strength = request.strength
        values["strength"] = gr.update(value=strength, minimum=min(0, strength), maximum=max(STRONGEST, strength))
        values["count"] = gr.update(value=request.count, maximum=max(MOST, request.count))
        who = [gr.skip()] * len(self.who)
        if not keep:
            found = choice(self.data, values["run"], values["base"])
            who = self._who(found, request.step, values["other_base"])
        values["run"], values["step"], values["base"], values["other_base"], chip = who
        return [*(values[name] for name in self.fields), chip]

    def given(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """What `app.orders.request.parse_request` takes, from the values of `fields`."""
        return choices.from_form(dict(zip(self.fields, values, strict=True)))

    def _who(self, found: Choice, step: int | None, other_base: str | None = "") -> list[Any]:
        adapters = [(f"{s.name} ({words.method(s.method)})", s.id) for s in summaries.summaries(self.data) if s.step]
        adapters += [(f"{a.name} (imported)", choices.IMPORTED + a.slug) for a in imported.list_imported(self.data)]
        saves = [(title, step) for step, title in found.saves.items()] or [("–", "")]
        save = step if step in found.saves else found.best or ""
        here = bases(self.data)
        made_for = f": {words.base(found.base)}" if found.value else ""  # of a base model alone nothing is asked
        own = (f"The one it was made for{made_for}", "")
        others = [(title, name) for title, name in here if name != found.base]
        return [
            gr.update(choices=[(CLOSED, ""), *adapters], value=found.value),
            gr.update(choices=saves, value=save, visible=bool(found.saves)),
            gr.update(choices=here, value=found.base, visible=not found.value),
            gr.update(choices=[own, *others], value=found.value and other_base or "", visible=bool(found.value)),
            drawn.chip(found.trigger),
        ]

    def _usual(self, base: str | None) -> list[Any]:
        return list(choices.usual(self.data, base or "embedded").values())


def _written(event: Pressed, prompt: str) -> tuple[str, str]:
    """The prompt with the words of a chip in it; what was said of it holds no longer."""
    return (f"{prompt.rstrip()} {event.word}".strip() if choices.lacks(prompt, event.word) else prompt), ""
