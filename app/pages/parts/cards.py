"""The Runs page: a card for each run, quick also with a thousand of them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from app.pages.parts import links, words
from training.run import CHECKPOINT, Run
from training.states import ENDED

PAGE = 24
RANK = {"running": 0, "starting": 0, "stopping": 0, "queued": 1, "interrupted": 2}  # the others follow
FILES = ("state.json", "spec.json", "scores.json", "name.txt")  # what a card is read from
FILTERS = {"": "All", "unfinished": "Not finished", **{name: word for name, (word, _, _) in words.STATES.items()}}


@dataclass(frozen=True)
class Summary:
    """What a card says.

    step, steps: made and wanted. recommended: the save to take, or None; likeness: its, in percent. when: of the last
    change, seconds since 1970. thumbnail: an address, "" where there is no picture.
    """

    id: str
    name: str
    state: str
    step: int
    steps: int
    method: str
    base: str
    subject: str
    recommended: int | None
    likeness: float | None
    when: float
    thumbnail: str

    @property
    def text(self) -> str:
        """What the filter searches."""
        about = (self.name, self.id, self.subject, self.method, words.method(self.method), words.base(self.base))
        return " ".join(about).lower()


@dataclass(frozen=True)
class Page:
    """Cards of one page. number: counted from 1. found: on all pages, all: without the filter."""

    cards: tuple[Summary, ...]
    number: int
    pages: int
    found: int
    all: int


_known: dict[str, tuple[tuple, Summary]] = {}
_lock = threading.Lock()


def summaries(data: Path) -> list[Summary]:
    """All runs that can be read, those that have not ended first, then the newest. Only what changed is read again."""
    folder = Path(data) / "runs"
    found = []
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except FileNotFoundError:
        names = []
    with _lock:
        for name in names:
            path = f"{folder}{os.sep}{name}"
            mark = tuple(_changed(f"{path}/{file}") for file in FILES)
            known = _known.get(path)
            if known is None or known[0] != mark:
                summary = _read(Path(path)) if mark[0] else None
                if summary is None:
                    continue
                known = _known[path] = mark, summary
            found.append(known[1])
        if len(_known) > 2 * len(found) + 100:  # deleted runs
            for path in [path for path in _known if not os.path.isdir(path)]:
                del _known[path]
    return sorted(found, key=lambda card: (-RANK.get(card.state, 3), card.id), reverse=True)


def page(cards: Sequence[Summary], number: int = 1, text: str = "", state: str = "") -> Page:
    """The page `number` of the cards whose words hold `text` and that are in a state, a key of FILTERS."""
    wanted = text.lower().split()
    kept = [card for card in cards if _in(card, state) and all(word in card.text for word in wanted)]
    pages = max(1, -(-len(kept) // PAGE))
    number = min(max(1, number), pages)
    return Page(tuple(kept[(number - 1) * PAGE : number * PAGE]), number, pages, len(kept), len(cards))


def grid(shown: Page, ticked: Collection[str] = ()) -> str:
    """The cards of a page as HTML. ticked: ids of those chosen for comparing."""
    if not shown.all:
        return '<p>No runs yet. <a href="/">Start one</a>: the sample takes a few minutes.</p>'
    if not shown.cards:
        return f"<p>None of the {words.counted(shown.all, 'run')} fits the filter.</p>"
    return f'<ul class="ds-cards">{"".join(card(summary, summary.id in ticked) for summary in shown.cards)}</ul>'


def card(summary: Summary, ticked: bool = False) -> str:
    """One card: picture, name, state, likeness, method and base, date; a tick for comparing, rename and delete."""
    name, run_id = escape(summary.name), escape(summary.id, quote=True)
    where = escape(links.run(summary.id))

    def acts(key: str) -> str:
        return f'data-act="{key}" data-run="{run_id}" data-keep="{key} {run_id}"'

    image = (
        f'<img src="{escape(summary.thumbnail)}" alt="" width="128" height="128" loading="lazy">'
        if summary.thumbnail
        else '<span class="ds-no-picture"></span>'
    )
    made = f" step {summary.step} of {summary.steps}" if summary.state != "done" and summary.step else ""
    about = f"{words.method(summary.method)} on {words.base(summary.base)}"
    remove = (
        f'<button type="button" class="ds-button ds-small" {acts("delete")} aria-label="Delete {name}">Delete</button>'
        if summary.state in ENDED
        else ""
    )
    return (
        f'<li class="ds-run-card" data-run="{run_id}"><a class="ds-thumb" href="{where}" tabindex="-1" '
        f'aria-hidden="true">{image}</a><div><h2><a href="{where}">{name}</a></h2>'
        f"<p>{words.state_badge(summary.state)}{made}</p><p>{escape(_likeness(summary))}</p>"
        f'<p class="ds-quiet">{escape(about)}<br>{words.moment(summary.when)}</p></div>'
        f'<div class="ds-card-actions"><label><input type="checkbox" {acts("tick")} '
        f'aria-label="Compare {name}"{" checked" if ticked else ""}> Compare</label>'
        f'<button type="button" class="ds-button ds-small" {acts("rename")} '
        f'aria-label="Rename {name}">Rename</button>{remove}</div></li>'
    )


def _likeness(summary: Summary) -> str:
    if summary.likeness is not None:
        return f"Likeness {summary.likeness:.0f} % at step {summary.recommended}"
    return "No save is recommended" if summary.state in ENDED else "No recommendation yet"


def _in(card: Summary, state: str) -> bool:
    if state == "unfinished":
        return card.state != "done"
    return not state or card.state == state


def _changed(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _read(path: Path) -> Summary | None:
    """The summary of the run in a folder, None where it is no run or a damaged one.

    A thousand specs are read here, so they are not validated again: they were when they were written.
    """
    try:
        spec, state = _json(path / "spec.json"), _json(path / "state.json")
        scores = _json(path / "scores.json") if (path / "scores.json").is_file() else {}
        advice = scores.get("recommendation") or {}
        step = advice.get("step")
        return Summary(
            id=path.name,
            name=Run(path).name if (path / "name.txt").is_file() else spec["name"],
            state=state["name"],
            step=spec["steps"] if state["name"] == "done" else state.get("step", 0),
            steps=spec["steps"],
            method=spec["adapter"]["method"],
            base=spec["base"],
            subject=f"{spec['token']} {spec['class_word']}",
            recommended=step,
            likeness=scores["saves"][str(step)]["likeness"] if step else None,
            when=state.get("updated") or time.time(),
            thumbnail=_thumbnail(path, step or advice.get("instead")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _thumbnail(path: Path, step: int | None) -> str:
    """The first picture of the save to take, else of the newest save, else of the subject."""
    steps = [int(name[5:]) for name in _names(path / "samples") if CHECKPOINT.fullmatch(name)]
    step = step if step in steps else max(steps, default=0)
    files = [name for name in _names(path / "samples" / f"step-{step:06d}") if name.endswith(".png")] if step else []
    if files:
        return links.picture(path.name, step, files[0])
    own = _names(path / "dataset")
    return links.subject(path.name, own[0]) if own else ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
