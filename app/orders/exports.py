"""Exports that a person asked for on a run's page: which there are to have, how large, and the order for one.

They are made by the drawing process (`app.orders.making`), like drawings: exports/<id>/ holds what was asked and where
it stands, and the finished file lies in the run's adapter folder.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

import assets
from app.adapters.exporting import file_name, readable_record
from app.adapters.formats import FORMATS, exact_formats
from app.adapters.saves import best_step, check_step
from app.orders.order import Order
from training import jsonfile, room
from training.base import modelfolder, models
from training.base.capabilities import Capabilities, from_configs
from training.errors import BadInput
from training.jsonfile import FileName
from training.runs.run import Run
from training.spec import RunSpec
from training.step import fitting

HALF_BYTES, FLOAT_BYTES = 2, 4
SPARE_BYTES = 100e6


class ExportRequest(BaseModel):
    """What is to be written: a save of a run in a format, under a file name. Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    step: int = Field(ge=1)
    kind: Literal[FORMATS]
    name: FileName


class Export(Order):
    """One ordered export; see `app.orders.order.Order`."""

    KIND = "export"
    KEEP = 50
    UNDONE = "the file was written"
    AGAIN = "Make it again."
    SMALLER = "Close other programs, then make it again."

    def request(self) -> ExportRequest:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        return _read(self.path)  # it never changes, and a page asks again and again


@dataclass(frozen=True)
class Base:
    """What is to be known of a base model before an export: what it can do, and how many numbers it holds."""

    caps: Capabilities
    numbers: int


def base_of(data: Path, ref: str) -> Base:
    """From its configs and its files' headers. Raises as `training.base.models.describe`."""
    return Base(models.describe(ref, data), models.count_numbers(ref, data))


def kinds(spec: RunSpec, caps: Capabilities) -> tuple[str, ...]:
    """The formats worth making of a run, those that most people want first.

    A low-rank method's file for ComfyUI would be the kohya file once more, and ComfyUI cannot use the toy model.
    """
    exact = exact_formats(spec.adapter.method)
    found = [kind for kind in ("kohya", "comfyui", "diffusers", "peft", "merged", "native") if kind in exact]
    if "kohya" in found or caps.embedded:
        found = [kind for kind in found if kind != "comfyui"]
    return tuple(found)


def one_file(caps: Capabilities) -> bool:
    """Whether a merged model becomes one checkpoint: only Stable Diffusion 1.x has that layout."""
    return not caps.embedded and caps.linears.keys() == _sd15().linears.keys()


def name_of(run: Run, kind: str, step: int, caps: Capabilities) -> str:
    """The name of the file to download; what is a folder is packed."""
    name = file_name(run, kind, step_mark(run, step))
    if kind == "merged":
        return f"{name}{'.safetensors' if one_file(caps) else '.zip'}"
    return f"{name}.zip" if kind == "peft" else name


def size_bytes(spec: RunSpec, kind: str, base: Base) -> float | None:
    """About how large a file will be; None for those of a few megabytes."""
    if kind == "merged":
        return base.numbers * HALF_BYTES
    if kind == "comfyui" and spec.adapter.method in ("oft", "full"):  # whole differences
        numbers = sum(inputs * outputs for inputs, outputs in fitting.adapted(spec, base.caps).values())
        if spec.adapter.method == "full" and "*" in spec.targets:
            return base.numbers * FLOAT_BYTES
        return numbers * FLOAT_BYTES
    return None


def step_of(run: Run) -> int:
    """The save to export: that of the files which the run wrote itself, or else the one to take.

    Raises BadInput where nothing is saved.
    """
    record, saved = readable_record(run), run.checkpoints()
    return record["step"] if record and record["step"] in saved else best_step(run)


def step_mark(run: Run, step: int) -> str:
    """What a file's name says of its save: nothing of that of `step_of`, else the step, so that it replaces none."""
    return "" if step == step_of(run) else f"-step-{step}"


def create(data: Path, run: Run, kind: str, step: int | None = None) -> Export:
    """The order for one format of a save; one that has not ended is returned as it is, so pressing twice makes one.

    step: the save; None is that of `step_of`.

    Raises:
        BadInput: the run has no such save, is still being trained, or its method has no such format.
        DiskFull: there is no room for the file.
        MissingModel: its base model is not on this computer.
    """
    step = step_of(run) if step is None else step
    with Export.alone(data):
        there = of_run(data, run.id).get((kind, step))
        if there and there.is_open:
            return there
        return Export.make(data, _complete(data, run, kind, step))


def of_run(data: Path, run_id: str) -> dict[tuple[str, int], Export]:
    """The newest order of each format and save of a run; one is left out where what was asked for cannot be read."""
    found: dict[tuple[str, int], Export] = {}
    for export in Export.all(data):
        with contextlib.suppress(BadInput):
            request = export.request()
            key = request.kind, request.step
            if request.run == run_id:
                found.setdefault(key, export)
    return found


def _complete(data: Path, run: Run, kind: str, step: int) -> ExportRequest:
    if not run.state().ended:
        raise BadInput(f"Run {run.id} is {run.state().name}.", "Wait for its end, or stop it first.", "run")
    spec, base = run.spec, base_of(data, run.spec.base)
    check_step(run, step)
    if kind not in kinds(spec, base.caps):
        raise BadInput(
            f"There is no {kind} file of this run.", f"Choose one of {', '.join(kinds(spec, base.caps))}.", "format"
        )
    packed = 2 if kind == "peft" or not one_file(base.caps) else 1  # the folder, and the file it is packed into
    needed = (size_bytes(spec, kind, base) or 0) * packed + SPARE_BYTES
    room.check(data, needed, "this file", "Free some space, then make it again.")
    return ExportRequest(run=run.id, step=step, kind=kind, name=name_of(run, kind, step, base.caps))


@functools.lru_cache(maxsize=4 * Export.KEEP)
def _read(path: Path) -> ExportRequest:
    return jsonfile.load(path / "request.json", ExportRequest, Export.AGAIN)


@functools.cache
def _sd15() -> Capabilities:
    return from_configs(modelfolder.configs_of(assets.path("sd15-config")))
