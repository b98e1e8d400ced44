"""What a run's adapter folder says of its files: export.json of those that the run wrote, made.json of the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from training import jsonfile
from training.errors import BadInput
from training.jsonfile import Count, Figure, FileName

FILES_STAY = "The files themselves lie in the adapter folder; move this one away, and they can be made again."


class _Check(BaseModel):
    """What loading a file back measured."""

    model_config = ConfigDict(strict=True)

    checked: str
    picture_difference: Figure


class _File(BaseModel):
    model_config = ConfigDict(strict=True)

    kind: str
    name: FileName
    error: Figure | None = None
    check: _Check | None = None


class _Exports(BaseModel):
    """export.json. Strict, so that its plain values are as good as these; what is not named here is let through."""

    model_config = ConfigDict(strict=True)

    step: Count
    trigger: str
    files: Annotated[list[_File], Field(min_length=1)]


class _MadeFile(_File):
    step: Count


class _Made(BaseModel):
    """made.json."""

    model_config = ConfigDict(strict=True)

    files: list[_MadeFile]


def read_exports(path: Path) -> dict[str, Any] | None:
    """What export.json says: step, trigger, files (kind, name, error, check); None where there is none.

    Raises BadInput where it is damaged.
    """
    return _read(path, _Exports)


def read_made(path: Path) -> list[dict[str, Any]]:
    """The files that made.json lists: kind, name, step, error and check of each. Raises BadInput as `read_exports`."""
    return (_read(path, _Made) or {"files": []})["files"]


def _read(path: Path, kind: type[BaseModel]) -> dict[str, Any] | None:
    if path.parent.is_symlink():  # what it leads to is not the run's
        raise BadInput(f"{path.parent} is a link, which is not followed.", "Put the folder itself there.")
    if not os.path.exists(path):
        return None
    values = jsonfile.read(path, FILES_STAY)
    jsonfile.check(path, values, kind, FILES_STAY)
    return values
