"""The form that starts a comparison: whose pictures, what differs, and where it is saved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from app import words
from app.comparisons import begin, plan
from app.computer import expectation
from app.drafts import draft
from app.drafts.draft import Draft
from app.web.pages.act import goto, part, shown_error
from app.web.pages.live import QUIET
from app.web.parts import links, summaries
from app.web.studio import Studio, user_of
from evaluation.samplesubjects import sample_subjects
from training.adapterspec import METHODS
from training.errors import BadInput, StudioError

RUNS_OFFERED = 30
USUAL = ("delora", "lora")
SHOWN_FIRST = ("delora", "lora", "dora", "ether-plus", "oft")
TYPED = {**QUIET, "trigger_mode": "always_last"}
INTRO = (
    "One subject, taught in two to eight ways from the same pictures, noise and prompts, so that only what you change "
    "differs. The runs wait in the queue and are trained one after another; this page shows them while they do."
)


def build(studio: Studio) -> list[Any]:
    """Its part of the page; returns what `opened` fills."""
    top, subject = part(), gr.Dropdown([], label="Subject", elem_id="ds-compare-subject")
    rest = [method for method in METHODS if method not in SHOWN_FIRST]
    methods = gr.CheckboxGroup(
        [(words.method(method), method) for method in (*SHOWN_FIRST, *rest)], value=list(USUAL), label="Methods"
    )
    rates = gr.Textbox(
        "1", label="Learning rates", max_lines=1, elem_id="ds-compare-rates",
        info="What each method's own learning rates are multiplied by, such as 1, 4: how much does a wrong rate harm?",
    )  # fmt: skip
    with gr.Accordion("Rank, lambda and seed", open=False), gr.Row():
        others = [gr.Textbox("", label=label, info=EMPTY, max_lines=1) for label in ("Ranks", "Lambdas", "Seeds")]
    saves = gr.Textbox(
        "", label="Saves at steps", max_lines=1, elem_id="ds-compare-saves",
        info=f"The last one ends it. Empty: as in the paper's Fig. 8, {_listed('sd')} for Stable Diffusion; for the "
        f"toy model a fifth of that, {_listed('embedded')}.",
    )  # fmt: skip
    name = gr.Textbox("", label="Name", max_lines=1, info="Empty: the subject's.", elem_id="ds-compare-name")
    summary, start = part(elem_id="ds-compare-summary"), gr.Button("Start the comparison", variant="primary", scale=0)
    said, where = part(), gr.Textbox(visible=False)
    given = [subject, methods, rates, *others, saves]

    def told(request: gr.Request, *values: Any) -> str:
        return _summary(studio, request, values)

    def pressed(request: gr.Request, name: str, *values: Any) -> tuple[str, str]:
        try:
            with _subject(studio, request, values[0]) as of:
                made = begin.start(studio.data, of, _plan(values), name or "", studio.engine)
        except StudioError as error:
            return f"<div class='ds-problems' tabindex='-1'>{shown_error(error)}</div>", ""
        return "", links.comparison(made.id)

    gr.on([box.change for box in (subject, methods)], told, given, summary, **TYPED)
    gr.on([box.blur for box in (rates, *others, saves)], told, given, summary, **TYPED)
    start.click(pressed, [name, *given], [said, where], **QUIET).then(None, where, None, js=goto())
    return [top, subject, summary]


EMPTY = "Empty: the methods' own."


def opened(studio: Studio, request: gr.Request) -> list[Any]:
    """What the form shows when it is opened."""
    choices = _choices(studio, request)
    chosen = choices[0][1]
    told = _summary(studio, request, (chosen, list(USUAL), "1", "", "", "", ""))
    head = f"<h1 data-page-title='Compare'>Compare</h1>{words.paragraph(INTRO)}"
    return [head, gr.update(choices=choices, value=chosen), told]


def _listed(kind: str) -> str:
    return ", ".join(map(str, plan.SAVES[kind]))


def _choices(studio: Studio, request: gr.Request) -> list[tuple[str, str]]:
    """Whose pictures: those on the page New, of a run, or of a sample subject."""
    own, found = draft.load(studio.data, user_of(request)), []
    if own.usable:
        count = words.counted(len(own.usable), "picture")
        found.append((f"On the page New: {own.name.strip() or 'no name yet'} ({count})", "draft"))
    found += [
        (f"Sample: {s.name.replace('-', ' ').capitalize()} ({s.class_word})", f"sample:{s.name}")
        for s in sample_subjects()
    ]
    cards = [card for card in summaries.summaries(studio.data) if card.state != "damaged" and card.subject]
    for card in sorted(cards, key=lambda card: card.id, reverse=True)[:RUNS_OFFERED]:
        found.append((f"Run: {card.name}, {words.method(card.method)}, {words.moment(card.when)}", f"run:{card.id}"))
    return found


@contextlib.contextmanager
def _subject(studio: Studio, request: gr.Request, ref: str | None) -> Iterator[Draft]:
    """The draft of what was chosen. Raises BadInput for what there is not (any more)."""
    kind, _, name = str(ref or "").partition(":")
    if kind == "draft":
        yield draft.load(studio.data, user_of(request))
    elif kind in ("sample", "run") and name:
        with begin.subject(studio.data, **{kind: name}) as found:
            yield found
    else:
        raise BadInput("No subject is chosen.", "Choose one.", "subject")


def _plan(values: tuple[Any, ...]) -> plan.Plan:
    """What was typed. Raises BadInput as `plan.parse`."""
    _, methods, rates, ranks, lambdas, seeds, saves = (value or "" for value in values)
    typed = {"rates": rates, "ranks": ranks, "lambdas": lambdas, "seeds": seeds, "saves": saves}
    return plan.parse({"methods": " ".join(methods), **typed})


def _summary(studio: Studio, request: gr.Request, values: tuple[Any, ...]) -> str:
    """What will be done, or what is wrong."""
    try:
        wanted = _plan(values)
        columns = plan.columns(wanted)
        with _subject(studio, request, values[0]) as of:
            found = begin.specs(studio.data, of, wanted)
    except StudioError as error:
        return shown_error(error)
    spec, known = found[0][1], [expectation.expectation(studio.data, spec).seconds for _, spec in found]
    long = f" {words.about(sum(known)).capitalize()} in all." if None not in known else ""
    return (
        f'<div class="ds-card"><p><b>{words.counted(len(columns), "column")}:</b> '
        f"{escape('; '.join(plan.labels(columns)))}.</p><p>Each is trained for {spec.steps} steps on "
        f"{escape(words.base(spec.base))} and saved at {', '.join(map(str, spec.saves))}; each save draws "
        f"{words.counted(spec.pictures_per_save, 'picture')}.{long}</p></div>"
    )
