"""What a card says of each run, quick also with a thousand of them: only what changed is read again."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import words
from app.computer import damaged
from app.computer.damaged import Damaged
from app.web.parts import links
from evaluation.figures import in_words
from evaluation.scorebook import brief
from training.runs.run import CHECKPOINT, Run
from training.runs.rundir import holds_run
from training.spec import VERSION

RANK = {"running": 0, "starting": 0, "stopping": 0, "queued": 1, "interrupted": 2}  # the others follow
FILES = ("state.json", "spec.json", "scores.json", "name.txt")  # what a card is read from


@dataclass(frozen=True)
class Summary:
    """What a card says.

    state: one of training.runs.states, or "damaged": then `warning` says what cannot be read, and most fields are
    empty. step, steps: made and wanted. rate: the learning rate. recommended: the save to take, or None; figures: its
    three, in words. collapsed: the step since which no save is a clean picture, or None. older_judges: whether such
    made its scores. when: of the last change, seconds since 1970. thumbnail: an address, "" where there is no picture.
    warning: what of the folder cannot be read, in sentences. left: what of a damaged one is still of use.
    """

    id: str
    name: str
    state: str
    step: int
    steps: int
    rate: float
    method: str
    base: str
    subject: str
    recommended: int | None
    figures: str
    collapsed: int | None
    older_judges: bool
    when: float
    thumbnail: str
    warning: str = ""
    left: str = ""

    @property
    def text(self) -> str:
        """What the filter searches."""
        about = (self.name, self.id, self.subject, self.method, words.method(self.method), words.base(self.base))
        return " ".join(about).lower()


_known: dict[str, tuple[tuple, Summary | None]] = {}  # None: a folder that holds nothing of a run
_lock = threading.Lock()


def summaries(data: Path) -> list[Summary]:
    """All runs, those that have not ended first, then the newest; only what changed is read again.

    A folder that holds something of a run and cannot be read is among them, in the state "damaged".
    """
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
            if None in mark[:2]:  # damaged: whatever comes into the folder may be what was missing
                mark = (*mark, _changed(path))
            known = _known.get(path)
            if known is None or known[0] != mark:
                known = _known[path] = mark, _read(Path(path))
            if known[1] is not None:
                found.append(known[1])
        if len(_known) > 2 * len(names) + 100:  # deleted runs
            for path in [path for path in _known if not os.path.isdir(path)]:
                del _known[path]
    return sorted(found, key=lambda card: (-RANK.get(card.state, 3), card.id), reverse=True)


def _changed(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _read(path: Path) -> Summary | None:
    """The summary of the run in a folder, None where it holds nothing of one."""
    run = Run(path)
    try:
        return _summary(run, _json(path / "spec.json"), _json(path / "state.json"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        if not holds_run(path):
            return None
    found = damaged.look(run)
    if found is None:  # what is read strictly may be right where a quick look fails: settings left out by hand
        return _summary(run, run.spec.model_dump(mode="json"), run.state().model_dump())
    return _damaged(found)


def _summary(run: Run, spec: dict[str, Any], state: dict[str, Any]) -> Summary:
    """The summary of a run, whose files were read but not validated: a thousand are, and were when they were written.

    Raises what wrong values raise.
    """
    if spec["version"] != VERSION or state["name"] not in words.STATES:
        raise ValueError("written by another version")
    told, shown, warning = _scores(run)
    made = state.get("step", 0)
    if made > (spec.get("start_step") or 0) and not _size(run.path / "events.jsonl"):
        warning = f"{warning} {damaged.LOST_HISTORY}".strip()
    return Summary(
        id=run.id,
        name=run.name if (run.path / "name.txt").is_file() else spec["name"],
        state=state["name"],
        step=spec["steps"] if state["name"] == "done" else made,
        steps=spec["steps"],
        rate=spec["learning_rate"],
        method=spec["adapter"]["method"],
        base=spec["base"],
        subject=f"{spec['token']} {spec['class_word']}",
        recommended=told["recommended"],
        figures=in_words(told) if told["recommended"] else "",
        collapsed=told["collapsed"],
        older_judges=told["older_judges"],
        when=state.get("updated") or time.time(),
        thumbnail=_thumbnail(run.path, shown),
        warning=warning,
    )


def _damaged(found: Damaged) -> Summary:
    """The summary of a folder that cannot be opened."""
    run = found.run
    when = os.stat(run.path).st_mtime
    return Summary(
        id=run.id, name=found.name, state="damaged", step=0, steps=0, rate=0.0, method="", base="", subject="",
        recommended=None, figures="", collapsed=None, older_judges=False, when=when, thumbnail="",
        warning=found.message, left=found.left,
    )  # fmt: skip


def _scores(run: Run) -> tuple[dict[str, Any], int | None, str]:
    """What a list says of the scores, the save to show, and what is wrong with scores.json."""
    path = run.path / "scores.json"
    if not path.is_file():
        return brief(None), None, ""
    try:
        scores = _json(path)
        advice = scores.get("recommendation") or {}
        return brief(scores), advice.get("step") or advice.get("instead"), ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return brief(None), None, damaged.UNREADABLE_SCORES


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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
