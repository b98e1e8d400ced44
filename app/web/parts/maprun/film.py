"""The film strip of a run of maps: held-out maps as rows; map, real picture, no adapter and each save as columns."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.web.parts import links
from app.web.parts.maprun.scores import rows_below
from app.web.parts.run.filmstrip import LINKS, OFF, PICTURE_PX, STOP, column, kind
from app.web.reading.follow import RunView
from app.web.reading.progress import planned_saves

SHOWN = 6  # maps; the others are folded
NOTHING = "No pictures: the run ended before the held-out maps were drawn without the adapter."
COMING = "The first pictures come when each held-out map is drawn without the adapter; then one column a save."
ABOUT = {  # by protocol: what step 0 is
    "frozen-controlnet": "No adapter: base model and ControlNet as they were.",
    "hint-encoder": "No adapter: the base model alone, since an encoder that has learned nothing adds nothing.",
}

Row = tuple[int, int]  # place of the held-out map, and of the seed


def section(view: RunView) -> str:
    """The first maps at the first seed, and folded the others and the other seeds."""
    steps = list(view.samples)
    count, seeds = min(len(view.held), view.spec.held_out), len(view.spec.sample.seeds)
    if not steps or not count:
        body = words.paragraph(NOTHING if view.state.ended else COMING)
    else:
        first = [(i, 0) for i in range(min(count, SHOWN))]
        others = [(i, seed) for i in range(count) for seed in range(seeds) if (i, seed) not in first]
        body = _strip(view, steps, first, f"Film strip of {view.name}", scored=True)
        body += words.paragraph(_note(view), "ds-quiet")
        if others:
            strip = _strip(view, steps, others, f"Other maps of {view.name}")
            body += words.folded(_others(count, seeds, len(first)), strip, "ds-other-maps")
    return f'<section aria-labelledby="ds-film"><h2 id="ds-film">Film strip</h2>{body}</section>'


def first_rows(view: RunView, name: str) -> str:
    """The first maps at the first seed, under the run's name and its state."""
    steps, count = list(view.samples), min(len(view.held), view.spec.held_out, SHOWN)
    link = f'<a href="{escape(links.run(view.id))}">{escape(name)}</a>'
    head = f"<h3>{link} {words.state_badge(view.state.name)}</h3>"
    if not steps or not count:
        return f"{head}<p>Nothing is drawn yet.</p>"
    return head + _strip(view, steps, [(i, 0) for i in range(count)], f"Film strip of {name}", scored=True)


def _others(count: int, seeds: int, first: int) -> str:
    told = words.counted(count - first, "other map") if count > first else "All maps"
    return told if seeds == 1 else f"{told}, and all at {words.counted(seeds - 1, 'other seed')}"


def _note(view: RunView) -> str:
    sample = view.spec.sample
    coming = [step for step in planned_saves(view.spec) if step not in view.samples]
    following = f" Next pictures at step {coming[0]}." if coming and not view.state.ended else ""
    return (
        f"Held-out maps: they took no part in training. The same noise in each row (seed {sample.seeds[0]}), "
        f"{sample.steps} sampler steps, guidance {sample.guidance:g}. {ABOUT[view.spec.protocol]} {LINKS}{following}"
    )


def _strip(view: RunView, steps: Sequence[int], rows: Sequence[Row], label: str, scored: bool = False) -> str:
    fixed = "".join(f'<th scope="col" class="ds-col">{name}</th>' for name in ("Map", "Real picture"))
    head = fixed + "".join(column(view, step, "No adapter") for step in steps)
    body = "".join(_row(view, steps, *row) for row in rows) + (rows_below(view, steps) if scored else "")
    return (
        f'<div class="ds-film" tabindex="0" role="region" data-keep="{escape(label)}" aria-label="{escape(label)}">'
        f'<table><thead><tr><td class="ds-corner"></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    ).replace(OFF, STOP, 1)


def _row(view: RunView, steps: Sequence[int], place: int, seed: int) -> str:
    example, number = view.held[place], view.spec.sample.seeds[seed]
    file = example.picture.name
    told = f'{escape(example.caption)}<span class="ds-quiet"> {escape(example.name)}, seed {number}</span>'
    cells = _cell(links.held_map(view.id, file), f"map: {example.caption}", "ds-col")
    cells += _cell(links.held_out(view.id, file), f"real picture: {example.caption}", "ds-col")
    for step in steps:
        drawn = f"{place:04d}-{seed:02d}.png"
        at = "no adapter" if step == 0 else f"step {step}"
        if drawn in view.samples[step]:
            alt = f"{at}: {example.caption}, seed {number}"
            cells += _cell(links.picture(view.id, step, drawn), alt, kind(view, step))
        else:
            cells += '<td class="ds-gap"><span class="ds-hidden">no picture</span></td>'
    return f'<tr><th scope="row">{told}</th>{cells}</tr>'


def _cell(address: str, alt: str, class_: str) -> str:
    address, alt = escape(address, quote=True), escape(alt, quote=True)
    return (
        f'<td class="{class_}"><a href="{address}" target="_blank" rel="noopener" {OFF}><img src="{address}" '
        f'alt="{alt}" width="{PICTURE_PX}" height="{PICTURE_PX}" loading="lazy"></a></td>'
    )
