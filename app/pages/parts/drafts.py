"""The page New's own HTML: thumbnails with their verdicts, what to write in prompts, what is wrong, the summary."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.begin import Problem
from app.draft import Draft
from app.pages.parts import words
from training.spec import RunSpec

SAMPLE = "poodle"
CROPS = ((0.0, "start", "Left or top"), (0.5, "middle", "Middle"), (1.0, "end", "Right or bottom"))
VERDICTS = {"good": "ds-good", "unreadable": "ds-error"}  # all others are warnings
MANY_WORDS = 12


def shelf(now: Draft) -> str:
    """The thumbnails: each shows the square that will be used, its verdict, and buttons to move the square."""
    if not now.pictures:
        return ""
    items = []
    for number, picture in enumerate(now.pictures, 1):
        name = escape(picture.name, quote=True)
        moves = "".join(
            f'<button type="button" class="ds-button ds-small" data-act="crop" data-picture="{picture.id}" '
            f'data-crop="{crop}" data-keep="{picture.id}-{crop}" aria-pressed="{str(picture.crop == crop).lower()}" '
            f'aria-label="{label} square of no. {number}" title="{label}">{short}</button>'
            for crop, short, label in CROPS
        )
        items.append(
            f'<li class="ds-shelf-item"><img src="/studio/draft/{picture.thumbnail}" width="144" height="144" '
            f'alt="No. {number}: {name}"><div class="ds-crops" role="group" aria-label="Square of no. {number}">'
            f'{moves}</div><p class="{VERDICTS.get(picture.kind, "ds-warn")}"><b>{number}.</b> {escape(picture.words)}'
            f'</p><p class="ds-quiet ds-file">{name}</p><button type="button" class="ds-button ds-small" '
            f'data-act="remove" data-picture="{picture.id}" aria-label="Remove no. {number}">Remove</button></li>'
        )
    count = words.counted(len(now.pictures), "picture")
    note = f'<p class="ds-quiet">{count}. Each square shows what will be used.</p>'
    return f'{note}<ul class="ds-shelf">{"".join(items)}</ul>'


def refused(sentences: Sequence[str]) -> str:
    """Files that could not be taken in, a sentence each."""
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul role="alert" class="ds-refused">{rows}</ul>' if rows else ""


def to_write(prompt: str, suggestions: Sequence[str]) -> str:
    """What to write in prompts, and words for the kind that the base model knows."""
    told = f"<p class='ds-prompt'>{escape(prompt)}</p>" if prompt else ""
    if not suggestions:
        return told
    chips = "".join(
        f'<button type="button" class="ds-button ds-small" data-act="word" data-word="{escape(word, quote=True)}">'
        f"{escape(word)}</button>"
        for word in suggestions
    )
    chips = f'<div class="ds-row" role="group" aria-label="Words the base model knows">{chips}</div>'
    if len(suggestions) > MANY_WORDS:
        return told + words.folded(f"The {len(suggestions)} kinds that the base model knows", chips, "ds-kinds")
    return f"{told}<div class='ds-row'><span class='ds-quiet'>It knows</span>{chips}</div>"


def slot(wrong: Sequence[Problem], warned: Sequence[Problem]) -> str:
    """What is wrong with a field and what is worth knowing, beside it."""
    rows = [f"<p class='ds-error'>✗ {escape(problem.words)}</p>" for problem in wrong]
    rows += [f"<p class='ds-warn'>{escape(problem.words)}</p>" for problem in warned]
    return "".join(rows)


def problem_list(wrong: Sequence[Problem]) -> str:
    """All that keeps the run from starting, each a link to its field."""
    if not wrong:
        return ""
    rows = "".join(
        f'<li><a href="#{problem.anchor}">{escape(problem.label)}</a>: {escape(problem.words)}</li>'
        for problem in wrong
    )
    head = "One thing is missing:" if len(wrong) == 1 else f"{len(wrong)} things are missing:"
    return f'<div class="ds-problems" role="alert"><p><b>{head}</b></p><ul>{rows}</ul></div>'


def summary(now: Draft, spec: RunSpec, expected: str) -> str:
    """What will be done, how long it takes and how much memory."""
    rank = f", rank {spec.adapter.rank}" if hasattr(spec.adapter, "rank") else ""
    pictures = words.counted(len(now.usable), "picture")
    begin = f", from step {spec.start_step} of its parent" if spec.start_step else ""
    name = escape(now.name.strip() or "your subject")
    return (
        f'<div class="ds-card"><h2 class="ds-first">{name}</h2><p>{escape(words.method(spec.adapter.method))}{rank} on '
        f"{escape(words.base(spec.base))}: {spec.steps} steps{begin} with {pictures}, a save every {spec.save_every} "
        f'steps, each drawn and scored.</p><p class="ds-quiet">{escape(expected)}</p></div>'
    )
