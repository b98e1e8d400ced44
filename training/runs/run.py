"""One run, by its folder: state, events, saves, pictures, scores. The folder's layout is in training.runs.rundir."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training import atomic, jsonfile, runspec, spec
from training.errors import BadInput, DiskFull, Superseded, from_os_error
from training.runs import events, states
from training.runs.scorefile import ScoreFile
from training.runs.statefolder import StateFolder
from training.runs.states import RunState, check_move
from training.spec import RunSpec

CHECKPOINT = re.compile(r"step-([0-9]{6,12})")
ATTEMPT = re.compile(r"[0-9]{1,12}")
FOLDERS = ("adapter", "attempts", "checkpoints", "dataset", "samples")
LONGEST_NAME_FILE = 4096
NAME_AGAIN = "Rename the run; until then it has its subject's name."
SCORE_AGAIN = "Delete it, and score the run again with `delora score`."


class Run(StateFolder):
    """One run, by its folder: every call reads what is on disk.

    attempt: set by the process that takes the run up (`begin_attempt`); from then on this object refuses to write once
    a newer attempt holds the run. None for readers.
    """

    def __init__(self, path: Path, attempt: int | None = None):
        super().__init__(path)
        self.attempt = attempt
        self._unsaid: list[dict[str, Any]] = []  # events that the disk had no room for

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    @property
    def spec(self) -> RunSpec:
        """What makes the run. Raises BadInput where spec.json is damaged."""
        return spec.load(self.path / "spec.json")

    @property
    def name(self) -> str:
        """What a person calls the run: its subject's name, unless it was renamed since (and name.txt can be read)."""
        try:
            return self.renamed_to() or self.spec.name
        except BadInput:
            return self.spec.name

    def renamed_to(self) -> str:
        """The name in name.txt, "" where it was never renamed. Raises BadInput where that file holds no name."""
        path = self.path / "name.txt"
        if not os.path.exists(path):
            return ""
        try:
            return runspec.tidy_name(jsonfile.read_text(path, NAME_AGAIN, LONGEST_NAME_FILE))
        except BadInput as error:
            told = error.message if str(path) in error.message else f"{path} holds no name: {error.message}"
            raise BadInput(told, NAME_AGAIN) from error

    def rename(self, name: str) -> None:
        """Call the run something else; spec.json, which made it, stays. Raises BadInput for no name or a long one."""
        name = runspec.tidy_name(name)
        try:
            atomic.write_text(self.path / "name.txt", name + "\n")
        except OSError as error:
            raise from_os_error(error, self.path / "name.txt") from error

    def pictures(self) -> list[Path]:
        """The cleaned pictures that are learned from, in the order they were given; maps are none of them."""
        return jsonfile.files(self.path, "dataset", "[0-9]*[0-9].png")

    def check_places(self) -> None:
        """As `StateFolder.check_places`; also for what else lies where a training makes folders and appends events."""
        super().check_places()
        for path in (self.path / name for name in FOLDERS):
            if os.path.lexists(path) and not path.is_dir():
                what = "a link, which is not followed" if path.is_symlink() else "no folder"
                raise BadInput(f"{path} is {what}.", "Move it away.")
        path = self.path / "events.jsonl"
        if os.path.lexists(path) and not jsonfile.is_regular(path):
            what = "a link, which is not followed" if path.is_symlink() else "no file"
            raise BadInput(f"{path} is {what}.", "Put it aside on the run's page, or move it away.")

    # State

    def state(self) -> RunState:
        """Where the run stands. Raises BadInput where state.json is missing, damaged or of a newer version."""
        return states.load(self.path / "state.json")

    def set_state(self, name: str | None = None, **changes: Any) -> RunState:
        """Move to the state `name` (None stays) and change other fields of RunState; returns the new state.

        Raises BadInput for a move that the state machine does not have. A run taken up again forgets a stop that was
        asked for before it ended.
        """
        with self.locked():
            self.check_fence()
            now = self.state()
            name = name or now.name
            check_move(self.id, now.name, name)
            if name != now.name:
                changes = {"message": "", "remedy": "", "cause": "", **changes}
                if now.ended:
                    self.clear_stop()
            moved = now.model_copy(update={**changes, "name": name, "updated": time.time()})
            moved = RunState.model_validate(moved.model_dump())
            self.write_state(moved)
            return moved

    # Attempts: only the newest may write

    def begin_attempt(self) -> int:
        """Take the run up with a new attempt, whose number it returns. Every earlier attempt loses the run.

        Raises BadInput as `check_places`.
        """
        self.check_places()
        folder = self.path / "attempts"
        folder.mkdir(exist_ok=True)
        number = self.newest_attempt() + 1
        while True:
            try:
                os.close(os.open(folder / str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                self.attempt = number
                return number
            except FileExistsError:
                number += 1

    def newest_attempt(self) -> int:
        """The number of the attempt that holds the run, 0 before the first."""
        folder = self.path / "attempts"
        return max((int(file.name) for file in folder.glob("[0-9]*") if ATTEMPT.fullmatch(file.name)), default=0)

    def check_fence(self) -> None:
        """Raises Superseded where another process has taken the run up since."""
        if self.attempt is not None and self.newest_attempt() != self.attempt:
            raise Superseded(f"Run {self.id} was taken up by another process; this one leaves it alone.")

    # Events

    def append_event(self, event: dict[str, Any]) -> None:
        """Append one event; the time is added.

        No work depends on it: while the disk is full, events are kept and written with the first one that fits.
        """
        self._unsaid.append({"time": round(time.time(), 3), **event})
        with contextlib.suppress(DiskFull):
            events.append(self.path / "events.jsonl", *self._unsaid)
            self._unsaid.clear()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All events, or those of one kind. Lines torn by a crash are passed over."""
        return [event for event in self.events_from(0)[0] if kind is None or event.get("kind") == kind]

    def history(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind that led to the newest state, without steps that a resume made again."""
        return [event for event in events.without_repeats(self.events()) if event.get("kind") == kind]

    def events_from(self, offset: int) -> tuple[list[dict[str, Any]], int]:
        """The events after byte `offset`, and the offset to go on from: for pages that follow a run."""
        return events.read_from(self.path / "events.jsonl", offset)

    # Checkpoints, pictures, scores

    def checkpoints(self) -> list[int]:
        """The steps that were saved and are still there, ascending."""
        folder = self.path / "checkpoints"
        if folder.is_symlink() or not folder.is_dir():
            return []
        saves = [path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
        return sorted(int(name.group(1)) for name in map(CHECKPOINT.fullmatch, saves) if name)

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint at `step`, whether it is there or not."""
        return self.path / "checkpoints" / f"step-{step:06d}"

    def latest_checkpoint(self) -> int | None:
        """The newest saved step, or None."""
        return max(self.checkpoints(), default=None)

    def samples_folder(self, step: int) -> Path:
        """Where the pictures drawn at `step` lie; step 0 is the base model."""
        return self.path / "samples" / f"step-{step:06d}"

    def samples(self, step: int) -> list[Path]:
        """The pictures drawn at `step`, prompt by prompt and seed by seed; [] where none were drawn."""
        return jsonfile.files(self.path, f"samples/{self.samples_folder(step).name}", "*.png")

    def scores(self) -> dict[str, Any] | None:
        """What evaluation wrote, or None; see `evaluation.scorebook`. Raises BadInput where it is damaged."""
        path = self.path / "scores.json"
        if not os.path.exists(path):
            return None
        values = jsonfile.read(path, SCORE_AGAIN)
        jsonfile.check(path, values, ScoreFile, SCORE_AGAIN)
        return values

    def write_scores(self, scores: dict[str, Any]) -> None:
        """Write scores.json."""
        text = json.dumps(events.finite(scores), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        atomic.write_text(self.path / "scores.json", text)

    # Locks

    @contextlib.contextmanager
    def training_lock(self) -> Iterator[None]:
        """Hold the run for training. The lock goes with the process, however it ends. Raises BadInput if it is held."""
        with atomic.open_own(self.path / ".training.lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BadInput(f"Run {self.id} is being trained by another process.", "Stop it first.") from error
            yield


class Follower(Run):
    """A run as the second and later processes of a distributed training see it: they read and write nothing."""

    def set_state(self, name: str | None = None, **changes: Any) -> RunState:
        return self.state()

    def append_event(self, event: dict[str, Any]) -> None:
        pass

    def begin_attempt(self) -> int:
        return self.newest_attempt()

    @contextlib.contextmanager
    def training_lock(self) -> Iterator[None]:
        yield
