"""The page New's pairs as HTML: what is asked about them, what is wrong with which file, and each with its map."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape

from app import words
from app.drafts.draft import Draft
from app.drafts.pairs import Part, Seen, asks_numbers
from app.web.parts import links
from training.maps.classes import CLASSES
from training.maps.intake import Checked
from training.maps.problem import Problem
from training.spec import RunSpec

PAGE = 12  # pairs shown at once
MOST_FAULTS = 30  # told in the list
CLASSES_SHOWN = 6
ASKED = ("which numbers", "road or skyscraper")  # once for all maps, not with each file
PROTOCOLS = {
    "frozen-controlnet": "frozen ControlNet: {controlnet} brings the map in and stays as it is, the adapter learns",
    "hint-encoder": "hint encoder (the paper's own): a small encoder brings the map in and learns with the adapter",
}


def version(now: Draft) -> str:
    """Another one with every change of what the pairs' pictures show."""
    told = f"{now.key} {now.pairs.stamp} {now.pairs.answers}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def questions(now: Draft) -> str:
    """What a person is asked once for all maps, and what they answered."""
    if not now.pairs.stamp:
        return ""
    seen = now.seen
    return _numbers(now, seen) + _shared(now, seen) + _nearest(now, seen)


def _numbers(now: Draft, seen: Seen) -> str:
    if now.pairs.grey:
        return _answered(f"Grey maps that could be two things are read as {now.pairs.grey}.", "grey")
    open_ = asks_numbers(seen)
    if not open_:
        return ""
    place = next((part, looked.pairs.index(open_[0])) for part, looked in seen.parts if open_[0] in looked.pairs)
    shown = "".join(
        f'<figure><img src="{links.pair(*place, version(now), grey)}" width="320" height="160" '
        f'alt="{escape(open_[0].pair.map.name, quote=True)} read as {grey}"><figcaption>'
        f"{_button('answer', grey, f'They are {told}', name='grey')}</figcaption></figure>"
        for grey, told in (("0-150", "0-150, 0 is other"), ("0-149", "0-149, 255 is ignored"))
    )
    head = f"What do the numbers of {words.counted(len(open_), 'grey map')} mean?"
    told = f"{open_[0].pair.map.name}: {_named(open_[0], 'which numbers').words}"
    return _question(head, told, f'<div class="ds-row">{shown}</div>')


def _shared(now: Draft, seen: Seen) -> str:
    if now.pairs.shared:
        return _answered(f"Road and skyscraper's one colour is read as {now.pairs.shared}.", "shared")
    open_ = seen.asked("road or skyscraper")
    if not open_:
        return ""
    told = (
        f"Both have the colour (140, 140, 140), which is in {words.counted(len(open_), 'map')}, first in "
        f"{open_[0].pair.map.name}. It is read as road until you say."
    )
    rows = _button("answer", "road", "It is road", name="shared")
    rows += _button("answer", "skyscraper", "It is skyscraper", name="shared")
    return _question("Road or skyscraper?", told, f'<div class="ds-row">{rows}</div>')


def _nearest(now: Draft, seen: Seen) -> str:
    if now.pairs.nearest:
        return _answered("Colours of no class are read as the nearest class's.", "nearest")
    open_ = seen.asked("unknown colours")
    if not open_:
        return ""
    rows = "".join(
        f"<li>{escape(pair.pair.map.name)}: {escape(_named(pair, 'unknown colours').offer)}</li>" for pair in open_[:5]
    )
    more = f"<li>and {len(open_) - 5} more</li>" if len(open_) > 5 else ""
    take = _button("answer", "yes", "Take the nearest colours", name="nearest")
    head = f"{words.counted(len(open_), 'map holds', 'maps hold')} colours of no class"
    told = "They are left out as they are. Their classes can be guessed from the nearest colour:"
    return _question(head, told, f'<ul class="ds-list">{rows}{more}</ul><div class="ds-row">{take}</div>')


def _question(head: str, told: str, body: str) -> str:
    return (
        f'<div class="ds-warning ds-asked" role="group" aria-label="{escape(head, quote=True)}"><strong>{escape(head)}'
        f"</strong>{words.paragraph(told)}{body}</div>"
    )


def _answered(told: str, name: str) -> str:
    return f'<p class="ds-answered"><span>{escape(told)}</span> {_button("answer", "", "Ask again", name=name)}</p>'


def _button(act: str, value: str, label: str, **data: str) -> str:
    rest = "".join(f' data-{key}="{escape(text, quote=True)}"' for key, text in data.items())
    keep = escape(" ".join([act, value, *data.values()]), quote=True)
    return (
        f'<button type="button" class="ds-button ds-small" data-act="{act}" data-said="{escape(value, quote=True)}" '
        f'data-keep="{keep}"{rest}>{escape(label)}</button>'
    )


def shelf(now: Draft, page: int = 0) -> str:
    """How many there are, what is wrong with which file, and the pairs of a page (from 0)."""
    if not now.pairs.stamp:
        return ""
    seen = now.seen
    found = seen.all
    last = max(0, (len(found) - 1) // PAGE)
    page = min(max(page, 0), last)
    judged = {id(pair) for pair in seen.judged}
    places = {id(pair): (part, i) for part, looked in seen.parts for i, pair in enumerate(looked.pairs)}
    items = "".join(
        _item(now, number, *places[id(pair)], pair, id(pair) in judged)
        for number, (_, pair) in list(enumerate(found, 1))[page * PAGE : (page + 1) * PAGE]
    )
    return (
        f'{_counts(seen)}{_faults(seen)}<ol class="ds-pairs" start="{page * PAGE + 1}">{items}</ol>'
        f"{_pages(page, last) if last else ''}"
    )


def _counts(seen: Seen) -> str:
    if not seen.all:
        return ""
    told = f"{words.counted(len(seen.taught), 'pair')} to train with, {len(seen.judged)} held out to judge by"
    told += f", {seen.unusable} left out" if seen.unusable else ""
    clear = _button("clear", "", "Take all out")
    return (
        f'<div class="ds-row ds-counts" role="status"><b>{told}.</b>{clear}</div><p class="ds-quiet">Left the part '
        "of the picture that is used, right the same with its map over it.</p>"
    )


def _faults(seen: Seen) -> str:
    """What is wrong, a line a file."""
    rows = [(part, name, problem) for part, looked in seen.parts for name, problem in looked.faults] + [
        (part, _file_of(pair, problem), problem)
        for part, pair in seen.all
        for problem in pair.problems
        if problem.kind not in ASKED
    ]
    shown = "".join(_fault(*row) for row in rows[:MOST_FAULTS])
    more = f"<li>and {len(rows) - MOST_FAULTS} more, each with its pair</li>" if len(rows) > MOST_FAULTS else ""
    return f'<ul class="ds-faults" aria-label="What is wrong with which file">{shown}{more}</ul>' if rows else ""


def _fault(part: Part, name: str, problem: Problem) -> str:
    kind = "ds-error" if problem.stops else "ds-warn"
    remove = _button("remove", name, "Take it out", part=part) if problem.kind in ("no partner", "twice") else ""
    told = str(problem)
    named = told if told.startswith(name) else f"{name}: {told}"
    return f'<li class="{kind}">{escape(named)} {remove}</li>'


def _file_of(pair: Checked, problem: Problem) -> str:
    return pair.pair.map.name if problem in pair.reading.problems else pair.pair.picture.name


def _item(now: Draft, number: int, part: Part, place: int, pair: Checked, judged: bool) -> str:
    picture, map_ = escape(pair.pair.picture.name, quote=True), escape(pair.pair.map.name, quote=True)
    tag = ' <span class="ds-tag">Held out</span>' if judged else ""
    read = f"Read as <b>{escape(pair.reading.way)}</b>." if pair.reading.way else "Not read as a map."
    problems = "".join(
        f'<p class="{"ds-error" if problem.stops else "ds-warn"}">{escape(_short(problem))}</p>'
        for problem in pair.problems
    )
    at = f'data-part="{part}" data-place="{place}" data-version="{version(now)}"'
    keep = f"{part} {picture}"
    return (
        f'<li class="ds-pair-item"><img src="{links.pair(part, place, version(now))}" width="320" height="160" '
        f'loading="lazy" alt="No. {number}: {picture}, and {map_} over it"><div><p class="ds-file"><b>{number}.</b> '
        f"{picture} and {map_}{tag}</p><p>{read}</p>{_classes(pair)}{problems}"
        f'<label class="ds-caption">Caption<input type="text" data-act="caption" {at} maxlength="500" '
        f'data-keep="caption {keep}" value="{escape(pair.caption, quote=True)}"></label>'
        f'<button type="button" class="ds-button ds-small" data-act="remove-pair" {at} data-keep="remove {keep}" '
        f'aria-label="Remove pair no. {number}">Remove</button></div></li>'
    )


def _short(problem: Problem) -> str:
    """A problem as it stands with its pair: what is asked for all maps stands above, with the question."""
    return {"which numbers": "What its numbers mean is asked above."}.get(problem.kind, str(problem))


def _classes(pair: Checked) -> str:
    """The classes by name and share, the largest first."""
    shares = pair.reading.shares()
    if not shares:
        return ""
    rows = "".join(
        f'<li>{swatch(CLASSES[i].colour)} {escape(CLASSES[i].name)} <span class="ds-quiet">{percent(share)}</span></li>'
        for i, share in list(shares.items())[:CLASSES_SHOWN]
    )
    more = len(shares) - CLASSES_SHOWN
    rows += f'<li class="ds-quiet">and {more} more</li>' if more > 0 else ""
    if pair.reading.ignored:
        rows += f'<li class="ds-quiet">no class {percent(pair.reading.ignored)}</li>'
    return f'<ul class="ds-classes" aria-label="Classes">{rows}</ul>'


def swatch(colour: Sequence[int]) -> str:
    """A small square of a class's colour."""
    rgb = "#" + "".join(f"{channel:02x}" for channel in colour)
    return (
        f'<svg class="ds-swatch" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="{rgb}"/></svg>'
    )


def percent(share: float) -> str:
    """A share of the pixels: "52 %", "0.4 %", "under 0.1 %"."""
    if share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0095 else f"{100 * share:.0f} %"


def _pages(page: int, last: int) -> str:
    before = _button("page", str(page - 1), "Before") if page else ""
    after = _button("page", str(page + 1), "Next") if page < last else ""
    return (
        f'<div class="ds-row" role="group" aria-label="Pages of pairs">{before}<span class="ds-quiet">Page '
        f"{page + 1} of {last + 1}</span>{after}</div>"
    )


def _named(pair: Checked, kind: str) -> Problem:
    return next(problem for problem in pair.reading.problems if problem.kind == kind)


def summary(now: Draft, spec: RunSpec, expected: str) -> str:
    """What will be done, by which protocol, what is drawn and judged at each save, and how long it takes."""
    how = words.method(spec.adapter.method)
    how += f", rank {spec.adapter.rank}" if hasattr(spec.adapter, "rank") else ""
    how += f", learning rate {spec.learning_rate:g}"
    count, maps = words.counted(len(now.seen.taught), "pair"), words.counted(spec.pictures_per_save, "held-out picture")
    begin = f", from step {spec.start_step} of its parent" if spec.start_step else ""
    protocol = PROTOCOLS[spec.protocol].format(controlnet=_model(spec.controlnet))
    return (
        f'<div class="ds-card"><h2 class="ds-first">{escape(now.name.strip() or "your pictures from maps")}</h2><p>'
        f"{escape(how)}, on {escape(words.base(spec.base))}: {spec.steps} steps{begin} with {count}, a save every "
        f"{spec.save_every} steps.</p><p>Protocol: {escape(protocol)}.</p><p>Before the first step the real held-out "
        f"pictures are segmented (the ceiling) and the base model draws {maps} without the adapter. Then each save "
        f"draws {maps}, which {_model(spec.segmentor)} turns back into maps and compares.</p>"
        f'<p class="ds-quiet">{escape(expected)}</p></div>'
    )


def _model(ref: str) -> str:
    return "the built-in one" if ref == "embedded" else escape(words.base(ref))
