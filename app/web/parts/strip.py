"""The status strip: what is at work or ended just now, in a line each."""

from __future__ import annotations

import contextlib
import time
from html import escape
from pathlib import Path

from app.web.parts import links, summaries
from app.web.reading import follow
from app.work import workerfile
from app.work.engines import Engine
from training import room
from training.errors import StudioError
from training.runs.run import Run
from training.runs.states import ENDED

RECENT_SECONDS = 600  # for so long an ended run is still spoken of
SHOWN = 3
NOTHING = "Nothing is training."
START = '<button type="button" data-start-worker>Start it</button> <span>or run <code>delora worker</code>.</span>'
NO_WORKER = "Nothing is working on the queue."
NO_ROOM = "What has to be saved, drawn or uploaded waits until there is room."


def status(data: Path, engine: Engine, no_worker: str = "") -> dict:
    """For static/studio.js: `html` of the strip, `title` of the tab, and `runs` with state, words and news of each.

    no_worker: why there is none, where that is known.
    """
    views = _spoken_of(data, engine)
    told = [follow.strip_words(view) for view in views]
    working = workerfile.held(data)
    full = room.warning(data)
    lines = [f"<span class='ds-is-bad'>{escape(full)} {NO_ROOM}</span>"] if full else []
    lines += [] if working else [f"{escape(no_worker or NO_WORKER)} {START}"]
    lines += [
        f'<span><a href="{escape(links.run(view.id))}">{escape(words)}</a></span>'
        for view, words in zip(views[:SHOWN], told, strict=False)
    ]
    if len(views) > SHOWN:
        lines.append(f'<a href="{links.RUNS}">and {len(views) - SHOWN} more</a>')
    runs = [
        {"id": view.id, "state": view.state.name, "ended": view.state.ended, "words": words, "news": news(view)}
        for view, words in zip(views, told, strict=True)
    ]
    busy = next((view for view in views if view.state.name in ("running", "stopping")), None)
    title = f"{busy.percent} % {busy.name}" if busy and busy.percent is not None else ""
    return {"html": "".join(lines) or f"<span>{NOTHING}</span>", "title": title, "runs": runs, "worker": working}


def news(view: follow.RunView) -> str:
    """How far a run at work is, in a sentence that changes once a phase and once a save: told to screen readers."""
    phase = view.state.phase
    if not view.live:
        return ""
    if phase == "export":
        return f"{view.name} is trained: writing files."
    if view.saves:  # its pictures and scores follow each time, so they are not told one by one
        return f"{view.name}: step {view.saves[-1]} is saved, its pictures follow."
    if view.trains:
        return f"{view.name}: training has begun."
    return f"{view.name}: drawing class pictures." if "class pictures" in view.journal.entered else ""


def _spoken_of(data: Path, engine: Engine) -> list[follow.RunView]:
    """Runs that have not ended, the one at work first, then those that ended in the last minutes."""
    found = []
    for card in summaries.summaries(data):
        if card.state == "damaged":
            continue
        ended = card.state in ENDED
        if ended and abs(time.time() - card.when) > RECENT_SECONDS:  # or of time to come: the clock was set
            continue
        with contextlib.suppress(StudioError):  # deleted in this moment, or damaged
            view = follow.view(Run(Path(data) / "runs" / card.id), engine)
            found.append(((2, -card.when) if ended else (card.state == "queued", card.when), view))
    return [view for _, view in sorted(found, key=lambda pair: pair[0])]
