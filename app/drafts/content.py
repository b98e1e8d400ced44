"""What a draft holds of what it teaches: what it lacks, what is wrong with it, and what Start makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.drafts.problem import Problem
from app.drafts.store import Draft
from training.base.capabilities import Capabilities
from training.errors import StudioError
from training.spec import RunSpec


class Content(ABC):
    """One task's part of a draft; base model, method and settings are every draft's."""

    @abstractmethod
    def gaps(self, draft: Draft) -> list[Problem]:
        """What is not given yet."""

    @abstractmethod
    def faults(self, draft: Draft) -> list[Problem]:
        """What cannot be as it is."""

    @abstractmethod
    def misfits(self, data: Path, spec: RunSpec, caps: Capabilities) -> list[StudioError]:
        """What a run of this spec needs beside its base model and lacks, each with its field."""

    @abstractmethod
    def warnings(self, draft: Draft, caps: Capabilities | None) -> list[Problem]:
        """What is worth knowing and stops nothing. caps: None while the base model is not found."""

    @abstractmethod
    def completed(self, draft: Draft) -> Draft:
        """The draft with something in the place of what is not given yet, while all else is looked at."""

    @abstractmethod
    def values(self, draft: Draft) -> dict[str, Any]:
        """The fields of its spec that only this task has and that are no settings of the form."""

    @abstractmethod
    def prepare(self, draft: Draft, folder: Path, size: int) -> Sequence[Path] | Mapping[str, Path]:
        """Write what the run reads into `folder`, pictures of size x size; returns it as `rundir.create` takes it."""


def no_name(draft: Draft) -> list[Problem]:
    """That a draft has no name yet, where it has none."""
    words = "It has no name yet. Any name does; the run and its file are called so."
    return [] if draft.name.strip() else [Problem("name", words)]
