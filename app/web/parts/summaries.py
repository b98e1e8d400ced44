"""What a card says of each run, quick also with a thousand of them: only what changed is read again."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from app import words
from app.computer import damaged
from app.computer.damaged import Damaged
from app.terminal import plain
from app.web.parts import links
from evaluation.figures import in_words
from evaluation.scorebook import brief
from training import jsonfile
from training.adapterspec import METHODS
from training.errors import BadInput, StudioError
from training.jsonfile import Count, Figure
from training.runs.run import CHECKPOINT, Run
from training.runs.rundir import holds_run
from training.runs.scorefile import ScoreFile
from training.runs.states import RunState
from training.runspec import LONGEST_NAME
from training.spec import KINDS, USUAL, VERSION

RANK = {"running": 0, "starting": 0, "stopping": 0, "queued": 1, "interrupted": 2}  # the others follow
NAMELESS = "The name of its folder holds what cannot be shown or stand in an address."
RENAME = "Rename the folder."
FILES = ("state.json", "spec.json", "scores.json", "name.txt")  # what a card is read from


@dataclass(frozen=True)
class Summary:
    """What a card says.

    id: "" where the folder's name can stand in no address. state: one of training.runs.states, or "damaged": then
    `warning` says what cannot be read, and most fields are empty. step, steps: made and wanted. rate: the learning
    rate. recommended: the save to take, or None; figures: its three, in words. collapsed: the step since which no save
    is a clean picture, or None. older_judges: whether such made its scores. when: of the last change, seconds since
    1970. thumbnail: an address, "" where there is no picture. warning: what of the folder cannot be read, in sentences.
    left: what of a damaged one is still of use. taught: what, and by which protocol, where it is no subject.
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
    taught: str = ""

    @property
    def text(self) -> str:
        """What the filter searches."""
        about = (self.name, self.id, self.subject, self.taught, self.method, words.method(self.method))
        return " ".join((*about, words.base(self.base))).lower()


_known: dict[str, tuple[tuple, Summary | None]] = {}  # None: a folder that holds nothing of a run
_lock = threading.Lock()


def summaries(data: Path) -> list[Summary]:
    """All runs, those that have not ended first, then the newest; only what changed is read again.

    A folder that holds something of a run and cannot be read is among them, in the state "damaged".
    """
    folder = Path(data) / "runs"
    found = []
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:  # none yet, or closed to us
        names = []
    with _lock:
        for name in names:
            path = f"{folder}{os.sep}{name}"
            if not name.isprintable():
                found += _nameless(Path(path))
                continue
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
        return _summary(run, jsonfile.load(path / "spec.json", _Spec), run.state())
    except BadInput:
        if not holds_run(path):
            return None
    try:
        found = damaged.look(run)
        if found is None:  # what is read strictly may be right where a quick look fails: settings left out by hand
            spec = run.spec.model_dump(mode="json")
            return _summary(run, jsonfile.check(path / "spec.json", spec, _Spec), run.state())
        return _damaged(found)
    except (StudioError, OSError):  # deleted in this moment
        return None


class _Adapter(BaseModel):
    method: Literal[METHODS]


class _Spec(BaseModel):
    """What a card says of spec.json: a thousand are read, and validating all settings of so many takes seconds."""

    version: Literal[VERSION]
    task: Literal[tuple(KINDS)] = USUAL
    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    steps: int = Field(ge=1, le=100_000)
    start_step: Count | None = None
    learning_rate: Figure
    adapter: _Adapter
    base: str = Field(max_length=1000)
    token: str = Field("", max_length=40)
    class_word: str = Field("", max_length=80)
    protocol: str = Field("", max_length=40)


def _summary(run: Run, spec: _Spec, state: RunState) -> Summary:
    """The summary of a run that can be opened; what else of it cannot be read is told on its page."""
    scores, name, unread = None, spec.name, []
    try:
        scores = run.scores()
    except BadInput as error:
        unread.append(str(error))
    try:
        name = run.renamed_to() or name
    except BadInput as error:
        unread.append(str(error))
    if state.step > (spec.start_step or 0) and not _size(run.path / "events.jsonl"):
        unread.append(damaged.LOST_HISTORY)
    told, advice = brief(scores), ScoreFile.of(scores).advice
    return Summary(
        id=run.id,
        name=name,
        state=state.name,
        step=spec.steps if state.name == "done" else state.step,
        steps=spec.steps,
        rate=spec.learning_rate,
        method=spec.adapter.method,
        base=spec.base,
        subject=f"{spec.token} {spec.class_word}".strip(),
        recommended=told["recommended"],
        figures=_figures(told) if told["recommended"] else "",
        collapsed=told["collapsed"],
        older_judges=told["older_judges"],
        when=state.updated or time.time(),
        thumbnail=_thumbnail(run.path, advice.step or advice.instead),
        warning=" ".join(unread).replace(f"{run.path}/", ""),
        taught=f"Pictures from maps, {words.choice(spec.protocol)}" if spec.task == "maps" else "",
    )


def _figures(told: dict[str, Any]) -> str:
    """The figures of the recommended save in words: of a run of maps there is one."""
    return in_words(told) if told["miou"] is None else f"mIoU {told['miou']:.1f} %"


def _damaged(found: Damaged) -> Summary:
    """The summary of a folder that cannot be opened."""
    run = found.run
    when = os.stat(run.path).st_mtime
    return Summary(
        id=run.id, name=found.name, state="damaged", step=0, steps=0, rate=0.0, method="", base="", subject="",
        recommended=None, figures="", collapsed=None, older_judges=False, when=when, thumbnail="",
        warning=found.message, left=found.left,
    )  # fmt: skip


def _nameless(path: Path) -> list[Summary]:
    """The summary of a run in a folder whose name no address can hold; none of another folder."""
    if not holds_run(path):
        return []
    try:
        found = _damaged(Damaged(Run(path), plain(path.name), (NAMELESS,), (RENAME,), 0, (), ()))
    except OSError:  # deleted in this moment
        return []
    return [replace(found, id="", warning=plain(found.warning), left="")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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
        return sorted(name for name in os.listdir(folder) if name.isprintable())
    except OSError:
        return []
