"""Generate: the picture first, then prompt, strength and number; the rest folded."""

from __future__ import annotations

import contextlib
from typing import Any

import gradio as gr

from app import control, drawings, imported, saves, sources
from app.drawrequest import SAMPLER_TITLES, DrawRequest, parse_request
from app.pages import imports, reuse
from app.pages.act import acting, part, shown_error
from app.pages.live import QUIET, live, query
from app.pages.parts import drawn, summaries, words
from app.studio import Studio
from training import models
from training.errors import StudioError
from training.rundir import run_by_id

EARLIER = 12
STRONGEST, MOST = 1.5, 16  # of the sliders; what was drawn by other ways may be more
CLOSED = "The base model alone"
FORM = (
    "run",
    "step",
    "base",
    "prompt",
    "count",
    "strength",
    "negative",
    "seed",
    "sampler",
    "steps",
    "guidance",
    "size",
)


def build(studio: Studio, page: gr.Blocks) -> None:
    """The page."""
    part("<h1 data-page-title='Generate'>Generate</h1>")

    def changed(run: str, step: Any) -> list[Any]:
        """Run, save and chip when an adapter has another name, or is gone; what was typed stays."""
        run, step, _, chip = _for_run(studio, run, step or None)
        return [run, step, chip]

    shown, chosen = gr.State(""), gr.State(0)
    with gr.Row(elem_classes="ds-generate"):
        with gr.Column(scale=3):
            viewer, thumbnails = part(elem_id="ds-view"), part(js_on_load=acting())
            standing, facts = part(js_on_load=acting("stop")), part(js_on_load=acting())
        with gr.Column(scale=2):
            form, chip, said, draw = _form()
            reuse.build(
                studio,
                [*form.values(), chip],
                lambda found: _filled(studio, found.request, keep_adapter=bool(found.missing)),
            )
            imports.build(studio, page, changed, [form["run"], form["step"]], [form["run"], form["step"], chip])
    history = part(js_on_load=acting())

    def look(request: gr.Request, shown: str, chosen: int) -> list[Any]:
        drawing = _drawing(studio, shown)
        return [
            drawn.viewer(drawing, chosen),
            drawn.thumbnails(drawing, chosen),
            drawn.standing(drawing),
            drawn.facts(drawing, studio.data),
            drawn.history(drawings.list_drawings(studio.data)[:EARLIER], shown),
        ]

    parts = [viewer, thumbnails, standing, facts, history]
    live(page, look, parts, [shown, chosen])

    def again(shown: str, chosen: int) -> list[Any]:
        return look(None, shown, chosen)

    def opened(request: gr.Request) -> list[Any]:
        """The newest drawing, and the form for the run that the address names."""
        found = drawings.list_drawings(studio.data)
        wanted, step = query(request, "run"), query(request, "step")
        if adapter := query(request, "adapter"):
            wanted = drawn.IMPORTED + adapter
        run = wanted or next((s.id for s in summaries.summaries(studio.data) if s.state == "done"), "")
        return [found[0].id if found else "", *_for_run(studio, run, int(step) if step.isdecimal() else None)]

    def picked(run: str) -> list[Any]:
        return _for_run(studio, run, None)[1:]

    def pressed(*values: Any) -> list[Any]:
        """Draw: the new drawing, or what is wrong."""
        try:
            given = drawn.from_form(dict(zip(FORM, values, strict=True)))
            drawing = control.draw(studio.data, parse_request(given), studio.engine)
        except StudioError as error:
            return [gr.skip(), gr.skip(), shown_error(error)]
        return [drawing.id, 0, ""]

    def act(event: gr.EventData, shown: str, chosen: int, prompt: str) -> list[Any]:
        """A button in one of the parts: shown drawing, chosen picture, the form's values and the chip."""
        same = [gr.skip()] * (len(FORM) + 1)
        if event.act == "choose":
            return [shown, int(event.number), *same]
        if event.act == "open":
            return [event.drawing, 0, *same]
        drawing = _drawing(studio, shown)
        if event.act == "stop" and drawing:
            control.stop_order(studio.data, drawing, studio.engine)
        if event.act == "reuse" and drawing:
            return [shown, chosen, *_filled(studio, drawing.request())]
        return [shown, chosen, *same]

    def write(event: gr.EventData, prompt: str) -> str:
        return f"{prompt.rstrip()} {event.word}".strip() if event.word not in prompt else prompt

    page.load(opened, None, [shown, form["run"], form["step"], form["prompt"], chip], **QUIET)
    form["run"].input(picked, form["run"], [form["step"], form["prompt"], chip], **QUIET)
    gr.on([draw.click, form["prompt"].submit], pressed, list(form.values()), [shown, chosen, said], **QUIET).then(
        again, [shown, chosen], parts, **QUIET
    )
    for source in (thumbnails, standing, facts, history):
        source.click(act, [shown, chosen, form["prompt"]], [shown, chosen, *form.values(), chip], **QUIET).then(
            again, [shown, chosen], parts, **QUIET
        )
    chip.click(write, form["prompt"], form["prompt"], **QUIET)


def _form() -> tuple[dict[str, Any], gr.HTML, gr.HTML, gr.Button]:
    """The fields by their names in a request, the chip with the subject's words, the place for errors, and Draw."""
    form: dict[str, Any] = {}
    form["run"] = gr.Dropdown([(CLOSED, "")], value="", label="Draw with", elem_id="ds-run")
    form["step"] = gr.Dropdown([("Recommended", "")], value="", label="Save (step)", elem_id="ds-step")
    form["prompt"] = gr.Textbox(label="Prompt", lines=2, max_lines=6, elem_id="ds-prompt")
    chip = part(js_on_load=acting())
    form["strength"] = gr.Slider(
        0,
        STRONGEST,
        value=1.0,
        step=0.05,
        label="Strength",
        info="0 is the base model, exactly. 1 is as trained. Above 1 the picture can leave the limit.",
        elem_id="ds-strength",
    )
    form["count"] = gr.Slider(1, MOST, value=4, step=1, label="Pictures", elem_id="ds-count")
    draw = gr.Button("Draw", variant="primary", elem_id="ds-draw")
    said = part()
    with gr.Accordion("More", open=False):
        form["negative"] = gr.Textbox(label="What pictures should not show (negative prompt)", elem_id="ds-negative")
        form["seed"] = gr.Number(value=0, precision=0, label="Seed", info="The same seed, the same picture.")
        samplers = [(title, name) for name, title in SAMPLER_TITLES.items()]
        form["sampler"] = gr.Dropdown(samplers, value="dpm++", label="Sampler")
        form["steps"] = gr.Number(value=20, precision=0, label="Steps")
        form["guidance"] = gr.Number(value=3.0, label="Guidance")
        form["size"] = gr.Textbox(label="Edge in pixels (size)", info="Empty: the base model's own.", max_lines=1)
        form["base"] = gr.Textbox(
            label="Base model", info="For drawing without a run. Empty: the built-in one.", max_lines=1
        )
    return {name: form[name] for name in FORM}, chip, said, draw


def _drawing(studio: Studio, drawing_id: str) -> drawings.Drawing | None:
    try:
        return drawings.open_drawing(studio.data, drawing_id) if drawing_id else None
    except StudioError:
        return None


def _for_run(studio: Studio, run_id: str, step: int | None) -> list[Any]:
    """Updates of run, step, prompt and chip for a run or an imported adapter, "" for the base model alone."""
    choices = [(f"{s.name} ({words.method(s.method)})", s.id) for s in summaries.summaries(studio.data) if s.step]
    choices += [(f"{a.name} (imported)", drawn.IMPORTED + a.slug) for a in imported.list_imported(studio.data)]
    value, steps, best, subject, prompt = _chosen(studio, run_id)
    labels = [(f"Step {s}{' (recommended)' if s == best else ''}", s) for s in steps]
    save = step if step in steps else best or ""
    return [
        gr.update(choices=[(CLOSED, ""), *choices], value=value),
        gr.update(choices=labels or [("–", "")], value=save, visible=bool(steps)),
        gr.update(value=prompt),
        drawn.chip(subject),
    ]


def _filled(studio: Studio, request: DrawRequest, *, keep_adapter: bool = False) -> list[Any]:
    """The form's values for a request, and the chip. keep_adapter: what is drawn with stays as it is chosen."""
    values = {name: "" if value is None else value for name, value in drawn.as_form(request).items()}
    strength = request.strength
    values["strength"] = gr.update(value=strength, minimum=min(0, strength), maximum=max(STRONGEST, strength))
    values["count"] = gr.update(value=request.count, maximum=max(MOST, request.count))
    if keep_adapter:
        values |= dict.fromkeys(("run", "step", "base"), gr.skip())
        return [*(values[name] for name in FORM), gr.skip()]
    values["run"], values["step"], _, chip = _for_run(studio, values["run"], request.step)
    return [*(values[name] for name in FORM), chip]


def _chosen(studio: Studio, run_id: str) -> tuple[str, list[int], int | None, str, str]:
    """Of a run or an imported adapter: its value in the form, saves, the best of these, words and a first prompt."""
    with contextlib.suppress(StudioError):
        if run_id.startswith(drawn.IMPORTED):
            source = sources.of_imported(studio.data, run_id.removeprefix(drawn.IMPORTED))
            prompt = f"a {source.trigger}" if source.trigger else _plain(studio)
            return drawn.IMPORTED + source.facts["adapter"], [], None, source.trigger, prompt
        if run_id:
            run = run_by_id(studio.data, run_id)
            spec, steps = run.spec, run.checkpoints()
            best = saves.best_step(run) if steps else None
            return run.id, steps, best, spec.subject, spec.prompt(spec.sample.prompts[0])
    return "", [], None, "", _plain(studio)


def _plain(studio: Studio) -> str:
    caps = models.describe("embedded", studio.data)
    return f"a dog {caps.places[0]}" if "dog" in caps.classes else "a dog in the snow"
