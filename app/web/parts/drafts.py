"""The page New's own HTML: thumbnails with their verdicts, what to write in prompts, what is wrong, the summary."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app import words
from app.drafts.draft import Draft, DraftPicture
from app.drafts.problem import Problem
from app.web.parts import links
from training.spec import RunSpec

SAMPLE = "poodle"
ENDS = {"wide": ("Left", "Right"), "tall": ("Top", "Bottom")}  # of a picture, by its shape
VERDICTS = {"good": "ds-good", "unreadable": "ds-error"}  # all others are warnings
MANY_WORDS = 12


def shelf(now: Draft) -> str:
    """The thumbnails: each shows the square that will be used, its verdict, and buttons to move a square."""
    if not now.pictures:
        return ""
    items = []
    for number, picture in enumerate(now.pictures, 1):
        name = escape(picture.name, quote=True)
        verdict = f"<b>{number}.</b> {escape(picture.words)}"
        items.append(
            f'<li class="ds-shelf-item"><img src="{links.draft(picture.thumbnail)}" width="144" height="144" '
            f'alt="No. {number}: {name}">{_crops(picture, number)}'
            f'<p class="{VERDICTS.get(picture.kind, "ds-warn")}">{verdict}</p><p class="ds-quiet ds-file">{name}</p>'
            f'<button type="button" class="ds-button ds-small" data-act="remove" data-picture="{picture.id}" '
            f'aria-label="Remove no. {number}">Remove</button></li>'
        )
    count = words.counted(len(now.pictures), "picture")
    note = f'<p class="ds-quiet">{count}. Each square shows what will be used.</p>'
    return f'{note}<ul class="ds-shelf">{"".join(items)}</ul>'


def _crops(picture: DraftPicture, number: int) -> str:
    """Buttons that move the square of a picture; none where it is a square itself."""
    if picture.shape == "square":
        return ""
    first, last = ENDS[picture.shape]
    moves = "".join(
        f'<button type="button" class="ds-button" data-act="crop" data-picture="{picture.id}" data-crop="{crop}" '
        f'data-keep="{picture.id}-{crop}" aria-pressed="{str(picture.crop == crop).lower()}">{word}</button>'
        for crop, word in ((0.0, first), (0.5, "Middle"), (1.0, last))
    )
    return (
        f'<p class="ds-quiet">Part that is used</p><div class="ds-crops" role="group" '
        f'aria-label="Part of no. {number} that is used">{moves}</div>'
    )


def refused(sentences: Sequence[str]) -> str:
    """Files that could not be taken in, a sentence each."""
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul role="alert" class="ds-refused">{rows}</ul>' if rows else ""


def to_write(prompt: str, token: str, suggestions: Sequence[str]) -> str:
    """What to write in prompts, what the token in it is, and words for the kind that the base model knows."""
    meaning = f"{token} is the rare word that will mean only this subject. Another can be chosen in All settings."
    told = f"<p class='ds-prompt'>{escape(prompt)}</p><p class='ds-quiet'>{escape(meaning)}</p>" if prompt else ""
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
    """All that keeps the run from starting, each a link to its field.

    It is shown anew with every change, so it announces itself by getting the focus when Start is pressed (see
    app.web.pages.new.page), and not as an alert.
    """
    if not wrong:
        return ""
    rows = "".join(
        f'<li><a href="#{problem.anchor}">{escape(problem.label)}</a>: {escape(problem.words)}</li>'
        for problem in wrong
    )
    head = f"{'One thing' if len(wrong) == 1 else f'{len(wrong)} things'} to see to before training can start:"
    return (
        f'<div class="ds-problems" role="group" tabindex="-1" aria-labelledby="ds-problems-head"><p '
        f'id="ds-problems-head"><b>{head}</b></p><ul>{rows}</ul></div>'
    )


def no_summary(wrong: Sequence[Problem]) -> str:
    """What stands in the place of the summary: what is wrong may be out of sight, in All settings."""
    fields = ", ".join(f'<a href="#{problem.anchor}">{escape(problem.label)}</a>' for problem in wrong)
    return f'<p class="ds-error">✗ What will be done can be said when this is right: {fields}.</p>'


def summary(now: Draft, spec: RunSpec, expected: str) -> str:
    """What will be done, what of it comes before the first step, how long it takes and how much memory."""
    how = words.method(spec.adapter.method)
    how += f", rank {spec.adapter.rank}" if hasattr(spec.adapter, "rank") else ""
    how += f", learning rate {spec.learning_rate:g}"
    pictures = words.counted(len(now.usable), "picture")
    begin = f", from step {spec.start_step} of its parent" if spec.start_step else ""
    name = escape(now.name.strip() or "your subject")
    tests = words.counted(len(spec.sample.prompts) * len(spec.sample.seeds), "test picture")
    before = f"{tests} to compare with"
    if spec.with_prior:
        class_pictures = words.counted(spec.class_pictures, "class picture")
        before = f"{class_pictures} (any {escape(spec.class_word)}) and {before}"
    return (
        f'<div class="ds-card"><h2 class="ds-first">{name}</h2><p>{escape(how)}, on '
        f"{escape(words.base(spec.base))}: {spec.steps} steps{begin} with {pictures}, {_saves(spec)}.</p><p>"
        f"Before the first step the base model draws {before}; they are kept for later runs. Then each "
        f'save draws {tests}, which are scored.</p><p class="ds-quiet">{escape(expected)}</p></div>'
    )


def _saves(spec: RunSpec) -> str:
    """When it saves."""
    return words.counted(len(spec.saves), "save") if spec.save_at else f"a save every {spec.save_every} steps"
