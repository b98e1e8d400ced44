"""The status strip: what is at work or ended just now, in a line each."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from app import workerfile
from app.engines import Engine
from app.pages.parts import follow, links
from training import rundir
from training.errors import StudioError

RECENT_SECONDS = 600  # for so long an ended run is still spoken of
SHOWN = 3
NOTHING = "Nothing is training."
NO_WORKER = (
    "Nothing is working on the queue. "
    '<button type="button" data-start-worker>Start it</button> <span>or run <code>delora worker</code>.</span>'
)

_ended: dict[Path, int] = {}  # runs that ended long ago, by the age of their state.json: not read again


def status(data: Path, engine: Engine) -> dict:
    """For static/studio.js: `html` of the strip, `title` of the tab, and `runs` with state and words of each."""
    views = [follow.view(run, engine) for run in _spoken_of(data)]
    working = workerfile.held(data)
    lines = [] if working else [NO_WORKER]
    lines += [
        f'<span><a href="{escape(links.run(view.id))}">{escape(follow.strip_words(view))}</a></span>'
        for view in views[:SHOWN]
    ]
    if len(views) > SHOWN:
        lines.append(f'<a href="/runs">and {len(views) - SHOWN} more</a>')
    runs = [
        {"id": view.id, "state": view.state.name, "ended": view.state.ended, "words": follow.strip_words(view)}
        for view in views
    ]
    busy = next((view for view in views if view.state.name in ("running", "stopping")), None)
    title = f"{busy.percent} % {busy.name}" if busy and busy.percent is not None else ""
    return {"html": "".join(lines) or f"<span>{NOTHING}</span>", "title": title, "runs": runs, "worker": working}


def _spoken_of(data: Path) -> list[rundir.Run]:
    """Runs that have not ended, the one at work first, then those that ended in the last minutes."""
    found = []
    for run in rundir.list_runs(data):
        path = run.path / "state.json"
        try:
            changed = path.stat().st_mtime_ns
            if _ended.get(path) == changed:
                continue
            state = run.state()
            run.spec  # noqa: B018 - a damaged one is passed over here
        except (OSError, StudioError):
            continue
        if not state.ended:
            found.append(((0 if state.name != "queued" else 1, state.updated), run))
        elif time.time() - state.updated < RECENT_SECONDS:
            found.append(((2, -state.updated), run))
        else:
            _ended[path] = changed
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]
