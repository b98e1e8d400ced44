"""Several runs trained at once on one base model, each as `training.loop` would train it alone.

Runs of a comparison differ in method, rate, rank, lambda or seed, and each step asks the same frozen UNet. Here that is
asked once for all (`training.step.onepass`). Each run keeps a life of its own: its folder, draws, saves, stop and
resume are those of a run trained alone, and it can be taken up again alone or together with any others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from training import loop
from training.base import precision
from training.errors import BadInput, StudioError
from training.loop import Outcome, Progress
from training.runs.signals import stop_on_signals
from training.step import memory, onepass
from training.subject import dreambooth

if TYPE_CHECKING:
    from delora import Adapter
    from training.base.models import BaseModel
    from training.runs.run import Run
    from training.step.objective import TakeIn
    from training.step.trainer import Trainer


def train(
    runs: Sequence[Run],
    base: BaseModel,
    take_in: TakeIn = dreambooth.take_in,
    *,
    on_save: Callable[[Run, int, Adapter], None] | None = None,
    progress: Callable[[Run, Progress], None] | None = None,
    data: Path | None = None,
) -> dict[str, Outcome | StudioError]:
    """Train runs of one base model side by side, each from its newest save or the start.

    Runs that ask alike (as many pictures a step and at once, of one size, with or without class pictures) share one
    pass of the UNet; one that cannot (`onepass.why_alone`) makes its own step in its turn. They may stand at different
    steps and have different numbers of them. One that ends, however it does, leaves; the others go on. Ctrl-C and
    SIGTERM stop all.

    Args:
        take_in, on_save, progress, data: as `loop.train` takes them, with the run in front. While on_save draws, its
            run's adapter is the only one that acts.

    Returns:
        How each run ended, by its id: what `loop.train` returns, or the error that it raises.

    Raises:
        BadInput: no run, the same one twice, runs of unlike precision, or one process of several.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput("Runs are trained together by one process.", "Train each alone to spread it over several.")
    if not runs or len({run.id for run in runs}) < len(runs):
        raise BadInput("Runs trained together must be different ones, and at least one.", "Name each once.", "runs")
    if len({precision.choose(run.spec.mixed_precision, base.unet.device) for run in runs}) > 1:
        told = "mixed_precision: runs trained together must have the same."
        raise BadInput(told, "Train those of another precision alone.", "mixed_precision")
    with stop_on_signals(*runs), loop.keeping_threads(), contextlib.ExitStack() as stack:
        together = _Together()
        for i, run in enumerate(runs):
            life = loop.life(
                run,
                base,
                take_in,
                on_save=_of(run, on_save),
                progress=_of(run, progress),
                data=data,
                name=f"run {i}",
            )
            stack.callback(life.close)
            together.begin(run, life)
        together.go()
        return together.ended


def _of(run: Run, told: Callable | None) -> Callable | None:
    return told and (lambda *values: told(run, *values))


class _Together:
    """One call of `train`: the runs that still train, each at its trainer's next step.

    ended: the others, as `train` returns them. most: how many share a pass; None until the first one.
    """

    def __init__(self):
        self.ended: dict[str, Outcome | StudioError] = {}
        self.most: int | None = None
        self._lives: dict[Run, Iterator[Trainer]] = {}
        self._trainers: dict[Run, Trainer] = {}

    def begin(self, run: Run, life: loop.Life) -> None:
        self._lives[run] = life
        self._advance(run, lambda: next(life))

    def go(self) -> None:
        """Round after round, a step of each run, until all have ended."""
        while self._trainers:
            for _, alike in groupby(sorted(self._trainers, key=self._place), key=self._kind):
                self._step(list(alike))

    def _kind(self, run: Run) -> str:
        kind = onepass.kind(self._trainers[run])
        return run.id if kind is None else repr(kind)

    def _place(self, run: Run) -> tuple[str, str]:
        """Where it stands in a round: with its kind, and there beside adapters like its own."""
        return self._kind(run), repr(self._trainers[run].adapter.config)

    def _step(self, runs: list[Run]) -> None:
        """One step of each of these, by as many at once as fit."""
        while runs:
            trainers = [self._trainers[run] for run in runs]
            self.most = self.most or onepass.most_at_once(trainers)
            now = runs[: self.most]
            if len(now) == 1:
                self._go_on(now[0], None)
            elif not self._pass(now, trainers[: len(now)]):
                continue
            runs = runs[len(now) :]

    def _pass(self, runs: list[Run], trainers: list[Trainer]) -> bool:
        """One step of each in one pass; False where that failed, with nothing changed and fewer to try next."""
        try:
            made = onepass.make_steps(trainers)
        except Exception as error:
            self.most = len(runs) // 2 if memory.is_out_of_memory(error) else 1
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            for run, event in zip(runs, made, strict=True):
                self._go_on(run, event)
            return True
        memory.release(trainers[0].base.unet.device)  # outside the except block, whose traceback holds the activations
        words = f"A step of {len(runs)} runs at once failed ({reason}). Going on with {self.most} at once."
        for run in runs:
            run.append_event({"kind": "note", "words": words})
        return False

    def _go_on(self, run: Run, made: dict | Exception | None) -> None:
        life = self._lives[run]
        if isinstance(made, Exception):
            self._advance(run, lambda: life.throw(made))
        else:
            self._advance(run, lambda: life.send(made))

    def _advance(self, run: Run, go: Callable[[], Trainer]) -> None:
        """Let a run go on to its next step, or leave."""
        self._trainers.pop(run, None)
        try:
            self._trainers[run] = go()
        except StopIteration as end:
            self.ended[run.id] = end.value
        except StudioError as error:
            self.ended[run.id] = error
