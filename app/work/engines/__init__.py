"""Engines: where jobs wait and run. Four verbs, behind which stands this computer's queue or a cluster's.

An engine carries a run's id and an attempt number and nothing else: what a job does lies in the run folder, and
state.json is the truth about it. `app.work.reconcile` makes the two agree. Jobs of the generate queue carry an order's
id (a drawing's, an export's, see `app.orders.book`) and the attempt 1.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

from training.errors import BadInput

Kind = Literal["train", "generate"]
KINDS: tuple[Kind, ...] = ("train", "generate")
ORDERS = ("drawings", "exports", "imports", "segmentations")  # folders of what the generate queue's jobs work on
ENGINES = {"local": "app.work.engines.local:LocalEngine"}  # name -> module:class


@dataclass(frozen=True)
class Need:
    """What a job needs.

    kind: which queue it waits in. gpus: per node. hours: the longest it may take, None where the engine asks for no
    limit. priority: higher goes first. owner: who asked, for engines that share fairly.
    """

    kind: Kind = "train"
    nodes: int = 1
    gpus: int = 0
    hours: float | None = None
    priority: int = 0
    owner: str = ""


@dataclass(frozen=True)
class Waiting:
    """In the queue. ahead: how many go before it."""

    ahead: int = 0


@dataclass(frozen=True)
class Running:
    """At work. node: the computer. since: seconds since 1970."""

    node: str
    since: float = 0.0


@dataclass(frozen=True)
class Gone:
    """No longer there. reason: what the engine saw of its end; whether the run is done stands in its state.json."""

    reason: str = ""


Status = Waiting | Running | Gone


@dataclass(frozen=True)
class Capacity:
    """What the engine has. working: whether anything takes jobs from the queue at all."""

    nodes: int
    gpus: int
    threads: int
    running: int
    waiting: int
    working: bool


class Engine(Protocol):
    """What every engine can do."""

    def submit(self, run: str, attempt: int, need: Need) -> str:
        """Put a job into the queue and return its name, run.attempt. A name that waits or runs is not put in twice."""

    def poll(self) -> dict[str, Status]:
        """Every job the engine knows, by name. A name that is missing is one it never had or has forgotten."""

    def stop(self, name: str, grace: float | None = None) -> bool:
        """Take a job out of the queue, or ask it to save and stop; True where it was waiting and will never run.

        grace: seconds until it is ended by force; 0 is at once, None never. A name that is not there is no error.
        """

    def capacity(self) -> Capacity:
        """What there is and how much of it is in use."""


def open_engine(data: Path, name: str | None = None) -> Engine:
    """The engine `name`, or the one that DELORA_ENGINE names, or `local`. Raises BadInput for an unknown one."""
    name = name or os.environ.get("DELORA_ENGINE") or "local"
    if name not in ENGINES:
        known = ", ".join(sorted(ENGINES))
        raise BadInput(f"DELORA_ENGINE: there is no engine {name!r}.", f"Choose one of: {known}.")
    module, _, kind = ENGINES[name].partition(":")
    return getattr(import_module(module), kind)(Path(data))


def job_folder(data: Path, name: str) -> Path:
    """The folder that the job of that name works on: an order's or else a run's, whether it is there or not."""
    name = split_name(name)[0]
    orders = (Path(data) / kind / name for kind in ORDERS)
    return next((order for order in orders if order.is_dir()), Path(data) / "runs" / name)


def job_name(run: str, attempt: int) -> str:
    """The name of a job, run.attempt; an order's id stands in the run's place."""
    return f"{run}.{attempt}"


def split_name(name: str) -> tuple[str, int]:
    """The run's id and the attempt number in a job's name. Raises ValueError for what is no such name."""
    run, _, attempt = name.rpartition(".")
    if not run:
        raise ValueError(f"{name!r} is no job's name: run.attempt")
    return run, int(attempt)
