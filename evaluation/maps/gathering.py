"""Pairs that a person gave for a run of maps: found, looked at, some held out to judge by, written as it reads them.

A pair below a folder named validation, val or test is held out, as ADEChallengeData2016 has them; those of a folder
given for it are, too. Where there are none, some are split off, evenly and the same ones each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import assets
from evaluation.maps import plain, segmentor
from evaluation.tasks.task import Gathered, Given
from training import sample
from training.base import controlnet, precision
from training.base.models import BaseModel
from training.errors import BadInput, StudioError
from training.maps import SEGMENTATION, archive, dataset, intake, pairs, reading
from training.maps.intake import Checked
from training.maps.reading import Answers
from training.spec import MapsSpec
from training.step.adapting import attach
from training.step.noise import Schedule

SHOWN = 8  # names in a note


@dataclass
class _Seen:
    """The usable pairs by what they are for, and what is wrong with the others, in words. mapped: how many pictures
    came without a map and were given one."""

    taught: list[Checked] = field(default_factory=list)
    judged: list[Checked] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    mapped: int = 0


def sample_set(count: int | None = None) -> Given:
    """The pairs that ship with the program, numbered as ADEChallengeData2016. count: how many are to judge by."""
    return Given([assets.path("scenes")], count=count, answers=Answers(grey="0-150"))


def gather(given: Given, spec: MapsSpec, size_px: int, folder: Path) -> Gathered:
    """See `Task.gather`. Pairs that cannot be used are left out, and told in a note."""
    if not given.paths:
        raise BadInput("No pairs were given.", "Give a folder or a zip of pictures and their maps.", "pairs")
    answers = given.answers or reading.NONE
    seen, split_off = _Seen(), False

    def look(path: Path, name: str, into: _Seen) -> None:
        path = _opened(path, folder / f"unpacked-{name}")
        found = pairs.find(path)
        if spec.control_kind != SEGMENTATION:
            into.mapped += plain.with_maps(found, folder / f"maps-{name}", spec.segmentor, given.data)
        _sort(found, path, answers, into)

    for i, path in enumerate(given.paths):
        look(path, str(i), seen)
    if given.held_out is not None:
        apart = _Seen()
        look(given.held_out, "held-out", apart)
        if not apart.taught + apart.judged:
            raise BadInput(f"{given.held_out} holds no pair that can be used.", _first(apart.faults), "held_out")
        seen.judged, seen.faults = apart.taught + apart.judged, seen.faults + apart.faults
        seen.mapped += apart.mapped
    if not seen.taught:
        raise BadInput("None of the pairs can be used to train with.", _first(seen.faults), "pairs")
    if not seen.judged:
        seen.taught, seen.judged, split_off = *_split(seen.taught, given.count), True
    most = given.count or spec.held_out
    if len(seen.judged) > most:
        seen.judged = dataset.split(seen.judged, most)[1]
    data = {name: folder / name for name in (dataset.TRAINING, dataset.HELD_OUT)}
    intake.prepare(seen.taught, data[dataset.TRAINING], size_px, answers)
    intake.prepare(seen.judged, data[dataset.HELD_OUT], size_px, answers)
    return Gathered(spec.model_copy(update={"held_out": len(seen.judged)}), data, _notes(seen, split_off))


def check(spec: MapsSpec, base: BaseModel, data: Path) -> list[str]:
    """See `Task.check`: what a run needs beside its pairs, before anything is written."""
    sample.latent_shape(base, spec.resolution)
    precision.choose(spec.mixed_precision, base.unet.device)
    Schedule(base.scheduler_config)
    attach(base, spec).detach()
    if spec.protocol == "frozen-controlnet":
        _check_kind(spec)
        try:
            controlnet.inspect(spec.controlnet, base.unet.config, base.capabilities.vae_factor, data)
        except StudioError as error:
            error.field = "controlnet"
            raise
    segmentor.check(spec.segmentor, data)
    return []


def _check_kind(spec: MapsSpec) -> None:
    """Raises BadInput for edges that a ControlNet of semantic maps would be shown."""
    if spec.control_kind != SEGMENTATION and spec.controlnet in (controlnet.EMBEDDED, controlnet.DOWNLOADED):
        raise BadInput(
            f"{spec.controlnet} follows semantic maps and not {spec.control_kind}.",
            f"Name the folder of a ControlNet for {spec.control_kind}, or take the protocol hint-encoder.",
            "controlnet",
        )


def _opened(path: Path, beside: Path) -> Path:
    """A folder as it is, a zip unpacked into `beside`."""
    path = Path(path)
    return archive.unpack(path, beside) if path.is_file() and path.suffix.lower() == ".zip" else path


def _sort(found: pairs.Found, path: Path, answers: Answers, seen: _Seen) -> None:
    """Add the pairs found below a folder. Raises BadInput for maps that leave a question."""
    seen.faults += [f"{file.name}: {problem}" for file, problem in found.faults]
    for checked in intake.check(found.pairs, answers):
        if checked.reading.way == reading.EITHER:
            words = " ".join(problem.words for problem in checked.problems if problem.stops)
            raise BadInput(f"{checked.pair.map.name}: {words}", "Say which: --numbers 0-150 or 0-149.", "numbers")
        if not checked.usable:
            stopping = next(problem for problem in checked.problems if problem.stops)
            seen.faults.append(f"{checked.pair.map.name}: {stopping}")
        elif dataset.is_held_out(checked.pair.picture.relative_to(path)):
            seen.judged.append(checked)
        else:
            seen.taught.append(checked)


def _split(found: Sequence[Checked], count: int | None) -> tuple[list[Checked], list[Checked]]:
    count = dataset.usual_held_out(len(found)) if count is None else count
    if not 1 <= count < len(found):
        raise BadInput(
            f"{len(found)} pairs are too few to train with and hold {count or 'some'} out to judge by.",
            f"Give at least {dataset.SHARE} pairs, or others to judge by with --held-out.",
            "held_out",
        )
    return dataset.split(found, count)


def _notes(seen: _Seen, split_off: bool) -> list[str]:
    notes = [plain.NOTE.format(seen.mapped)] if seen.mapped else []
    if seen.faults:
        few = "; ".join(seen.faults[:SHOWN]) + (" ..." if len(seen.faults) > SHOWN else "")
        notes.append(f"Left out, {len(seen.faults)} in all: {few}")
    if split_off:
        names = [checked.pair.picture.name for checked in seen.judged]
        few = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
        total = len(seen.taught) + len(names)
        notes.append(f"{len(names)} of {total} pairs take no part in training and judge the saves: {few}")
    return notes


def _first(faults: list[str]) -> str:
    return faults[0] if faults else "Give pictures and their maps."
