"""The events of a run, read as they are appended and sorted by what pages show of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from training.runs import events

MOST = 16  # journals kept; one with 30 measurements of 128 layers takes about 2 MB
WARM_SECONDS = 1.0  # the base model's pictures drawn faster than this came from those that were kept
NEWEST = 20  # steps that "seconds a step" is the mean of


class Journal:
    """What a run's events say, without steps that a resume made again.

    steps, geometry: those events. notes: words for a person. phase_seconds: time spent in each phase, over all
    attempts. entered: the phases that the newest attempt has come to. draws, scorings: seconds that the drawing and the
    scoring of each save took.
    """

    def __init__(self, path: Path):
        self.path, self._lock = path, threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._offset = 0
        self.steps: list[dict[str, Any]] = []
        self.geometry: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.phase_seconds: dict[str, float] = {}
        self.entered: set[str] = set()
        self.draws: list[float] = []
        self.scorings: list[float] = []
        self._base = {"draw": 0.0, "score": 0.0}
        self._phase, self._since, self._entered, self._save = "", 0.0, 0.0, False

    def follow(self) -> Journal:
        """Read what was appended since the last call; returns itself."""
        with self._lock:
            try:
                size = self.path.stat().st_size
            except OSError:
                size = 0
            if size < self._offset:  # another file
                self._clear()
            if size > self._offset:
                found, self._offset = events.read_from(self.path, self._offset)
                for event in found:
                    self._take(event)
            return self

    @property
    def step(self) -> int:
        """The last step made, 0 before the first."""
        return self.steps[-1]["step"] if self.steps else 0

    @property
    def seconds_per_step(self) -> float | None:
        """Mean of the newest steps; None before the first."""
        newest = [event["seconds"] for event in self.steps[-NEWEST:] if event.get("seconds")]
        return sum(newest) / len(newest) if newest else None

    @property
    def draw_seconds(self) -> float | None:
        """What drawing a save takes; before the first one what the base model's same pictures took, if drawn now."""
        return _mean(self.draws) or (self._base["draw"] if self._base["draw"] > WARM_SECONDS else None)

    @property
    def score_seconds(self) -> float | None:
        """What scoring a save takes."""
        return _mean(self.scorings) or self._base["score"] or None

    def _take(self, event: dict[str, Any]) -> None:
        kind, step, when = event.get("kind"), event.get("step"), event.get("time")
        if isinstance(when, int | float):
            self._count_time(event, float(when))
        if kind == "attempt":
            self.entered.clear()
        elif kind == "phase":
            self.entered.add(str(event.get("phase", "")))
        elif kind == "note":
            self.notes.append(str(event.get("words", "")))
        if not isinstance(step, int):
            return
        if kind == "step":
            self.steps.append(event)
        elif kind == "geometry" and _measured(event):
            self.geometry.append(event)
        elif kind == "save":
            self._save = True
        elif kind == "resume":
            self.steps = [old for old in self.steps if old["step"] <= step]
            self.geometry = [old for old in self.geometry if old["step"] <= step]

    def _count_time(self, event: dict[str, Any], when: float) -> None:
        """Add to the phases' times; what lies between two attempts belongs to none."""
        kind, old = event.get("kind"), self._phase
        if old and kind != "attempt":
            self.phase_seconds[old] = self.phase_seconds.get(old, 0.0) + when - self._since
        self._since = when
        if kind not in ("phase", "attempt"):
            return
        if kind == "phase" and old in self._base:
            # A save taken up again is drawn already and would spoil the mean, so only a new one counts.
            if self._save:
                (self.draws if old == "draw" else self.scorings).append(when - self._entered)
            elif not self.steps:
                self._base[old] = when - self._entered
        self._phase, self._entered = str(event.get("phase", "")), when
        if self._phase == "train" or kind == "attempt":
            self._save = False


_journals: OrderedDict[Path, Journal] = OrderedDict()
_lock = threading.Lock()


def journal(run_path: Path) -> Journal:
    """The journal of the run in a folder, up to date."""
    with _lock:
        found = _journals.setdefault(run_path, Journal(run_path / "events.jsonl"))
        _journals.move_to_end(run_path)
        while len(_journals) > MOST:
            _journals.popitem(last=False)
    return found.follow()


def _measured(event: dict[str, Any]) -> bool:
    """Whether a geometry event has a distance for every layer; NaN is written as null."""
    layers = event.get("layers") or {}
    return bool(layers) and all(layer["distance"] is not None for layer in layers.values())


def _mean(values: list[float]) -> float | None:
    """Mean of the last three; None without any."""
    newest = values[-3:]
    return sum(newest) / len(newest) if newest else None
