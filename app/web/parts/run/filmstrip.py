"""The film strip: fixed prompts and seeds as rows, steps as columns, the base model first."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.web.parts import links
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves
from evaluation.figures import FIGURES

NOTHING = "No pictures: the run ended before those of the base model were drawn."
LINKS = (
    "Press a picture to see it in full size in a new tab, or a step to draw with it; the arrow keys go from one to the "
    "next."
)
PICTURE_PX = 128  # what the page reserves; the style sheet scales it
OFF, STOP = 'tabindex="-1"', 'tabindex="0"'
RECOMMENDED = "Recommended"


def section(view: RunView) -> str:
    """The subject's own pictures, the strip of each prompt's first seed, and the other seeds folded."""
    steps = list(view.samples)
    if not steps:
        coming = "The first pictures come when the base model has drawn each prompt; then one column a save."
        body = words.paragraph(NOTHING if view.state.ended else coming)
    else:
        body = strip([view], steps, label=f"Film strip of {view.name}") + words.paragraph(_note(view), "ds-quiet")
        body += other_seeds([view], steps, label=f"Other seeds of {view.name}")
    return f'<section aria-labelledby="ds-film"><h2 id="ds-film">Film strip</h2>{subject_row(view)}{body}</section>'


def other_seeds(views: Sequence[RunView], steps: Sequence[int], *, label: str) -> str:
    """The strip of all seeds but the first, folded; nothing where there is one seed only. They are the first run's."""
    seeds = views[0].spec.sample.seeds
    if len(seeds) < 2:
        return ""
    others = strip(views, steps, range(1, len(seeds)), label=label)
    return words.folded(f"Other seeds: {', '.join(map(str, seeds[1:]))}", others, "ds-other-seeds")


def noise_words(view: RunView) -> str:
    """What is equal in all pictures of a row, in a sentence."""
    sample = view.spec.sample
    return (
        f"The same noise in each row (seed {sample.seeds[0]}), {sample.steps} sampler steps, guidance "
        f"{sample.guidance:g}."
    )


def subject_row(view: RunView) -> str:
    """The subject's own pictures, small."""
    count = len(view.pictures)
    shown = "".join(
        f'<img src="{escape(links.subject(view.id, file))}" width="64" height="64" loading="lazy" '
        f'alt="your picture {index} of {count}">'
        for index, file in enumerate(view.pictures, 1)
    )
    return f'<h3 class="ds-small-heading">Your pictures of {escape(view.name)}</h3><div class="ds-own">{shown}</div>'


def strip(views: Sequence[RunView], steps: Sequence[int], seeds: Sequence[int] = (0,), *, label: str) -> str:
    """One table that scrolls sideways: for each run its prompts, and under each column its scores.

    Of its links only one is a stop for Tab; static/pictures.js lets the arrow keys go from one to the next.

    Args:
        steps: the columns; a run without pictures at a step has gaps there.
        seeds: places in each run's list of seeds.
        label: what the region is called for screen readers.
    """
    alone = views[0] if len(views) == 1 else None
    head = "".join(column(alone, step) for step in steps)
    bodies = "".join(_body(view, steps, seeds, named=alone is None) for view in views)
    return (
        f'<div class="ds-film" tabindex="0" role="region" data-keep="{escape(label)}" aria-label="{escape(label)}">'
        f'<table><thead><tr><td class="ds-corner"></td>{head}</tr></thead>{bodies}</table></div>'
    ).replace(OFF, STOP, 1)


def best_tag(view: RunView, step: int) -> str:
    """What marks a step: "Recommended", what it has over the others where nothing is recommended, or nothing."""
    advice = view.recommendation
    if advice is None or step != (advice.step or advice.instead):
        return ""
    return RECOMMENDED if advice.step else advice.because.capitalize()


def _note(view: RunView) -> str:
    coming = [step for step in planned_saves(view.spec) if step not in view.samples]
    following = f" Next pictures at step {coming[0]}." if coming and not view.state.ended else ""
    asked = view.spec.prompt("a {subject}", plain=True)
    return f"{noise_words(view)} The base model is asked for {asked}.{_below(view)} {LINKS}{following}"


def _below(view: RunView) -> str:
    """What a likeness below 0 means, where there is one."""
    shown = [view.book.figures(step).likeness for step in view.book.saves] if view.book else []
    if not any(likeness is not None and likeness < -0.5 for likeness in shown):
        return ""
    return f" Likeness below 0 %: less like {view.name} than any {view.spec.class_word} from the base model."


def column(view: RunView | None, step: int, first: str = "Base model") -> str:
    """A column's heading; view: the run, where there is only one. first: what step 0 is called."""
    name = first if step == 0 else f"Step {step}"
    tag = best_tag(view, step) if view else ""
    mark = f'<span class="ds-tag">{tag}</span>' if tag else ""
    shown = name
    if view and step in view.saves:
        address, told = escape(links.generate(view.id, step), quote=True), f"Draw with step {step}"
        shown = f'<a href="{address}" title="{told}" aria-label="{told}" {OFF}>{name}</a>'
    return f'<th scope="col" abbr="{name}" class="{kind(view, step)}">{shown}{mark}</th>'


def _body(view: RunView, steps: Sequence[int], seeds: Sequence[int], named: bool) -> str:
    spec, rows = view.spec, []
    if named:
        link = f'<a href="{escape(links.run(view.id))}">{escape(view.name)}</a>'
        about = f'<span class="ds-quiet">{escape(words.method(spec.adapter.method))}</span>'
        title = f"<span>{link} {about} {words.state_badge(view.state.name)}</span>"
        rows.append(f'<tr class="ds-group"><th scope="rowgroup" colspan="{len(steps) + 1}">{title}</th></tr>')
    for index, prompt in enumerate(spec.sample.prompts):
        for seed in seeds:
            if seed >= len(spec.sample.seeds):
                continue
            told = escape(spec.prompt(prompt))
            if len(seeds) > 1:
                told += f'<span class="ds-quiet"> seed {spec.sample.seeds[seed]}</span>'
            cells = "".join(_cell(view, step, index, seed) for step in steps)
            rows.append(f'<tr><th scope="row">{told}</th>{cells}</tr>')
    return f"<tbody>{''.join(rows)}{_captions(view, steps, named)}</tbody>"


def _cell(view: RunView, step: int, prompt: int, seed: int) -> str:
    file, spec = f"{prompt:02d}-{seed:02d}.png", view.spec
    if file not in view.samples.get(step, ()):
        return '<td class="ds-gap"><span class="ds-hidden">no picture</span></td>'
    asked = spec.prompt(spec.sample.prompts[prompt], plain=step == 0)
    at = "base model" if step == 0 else f"step {step}"
    alt = escape(f"{at}: {asked}, seed {spec.sample.seeds[seed]}", quote=True)
    address = escape(links.picture(view.id, step, file), quote=True)
    return (
        f'<td class="{kind(view, step)}"><a href="{address}" target="_blank" rel="noopener" {OFF}>'
        f'<img src="{address}" alt="{alt}" width="{PICTURE_PX}" height="{PICTURE_PX}" loading="lazy"></a></td>'
    )


def _captions(view: RunView, steps: Sequence[int], named: bool) -> str:
    """The three figures under each column."""
    if view.book is None:
        return ""
    scored = [view.book.figures(step) if step == 0 or step in view.book.saves else None for step in steps]
    rows = []
    for figure in FIGURES:
        cells = []
        for step, told in zip(steps, scored, strict=True):
            value = told and getattr(told, figure.key)
            tag = best_tag(view, step) if named and figure is FIGURES[0] else ""
            mark = f'<span class="ds-tag">{tag}</span>' if tag else ""
            short = value is not None and step > 0 and value < figure.asked
            shown = f'<span class="ds-is-bad">{words.percent(value)}</span>' if short else words.percent(value)
            cells.append(f'<td class="{kind(view, step)}">{shown}{mark}</td>')
        last = " ds-last" if figure is FIGURES[-1] else ""
        rows.append(f'<tr class="ds-scored{last}"><th scope="row">{figure.name}</th>{"".join(cells)}</tr>')
    return "".join(rows)


def kind(view: RunView | None, step: int) -> str:
    """The class of a step's cells: the recommended one stands out."""
    return "ds-best" if view and best_tag(view, step) else "ds-col"
