"""The held-out maps of a run, drawn: without the adapter at step 0, and with it at each save."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.basepictures import kept_path
from evaluation.pictures import read_pictures, write_picture
from training import atomic
from training.base import precision
from training.errors import from_os_error
from training.maps import controls, dataset
from training.maps.steering import drawing, taking
from training.runs import checkpoint

if TYPE_CHECKING:
    from PIL import Image

    from delora import Adapter
    from training.base.models import BaseModel
    from training.maps.steering.drawing import Wish
    from training.maps.steering.protocols import Steering
    from training.runs.run import Run

Progress = Callable[[float, int], None]
KEPT_AT_ONCE = 8  # pictures of the base: what was drawn before a stop stays


def draw_base(run: Run, base: BaseModel, data: Path, progress: Progress | None = None) -> None:
    """Give a run its pictures of step 0: base model and ControlNet without the adapter; those of hint-encoder are
    the base model's alone. They stay if they are there, and are kept for other runs in the data folder.
    """
    if run.samples(0):
        return
    spec, steering, facts = run.spec, None, {}
    if spec.protocol == "frozen-controlnet":  # a hint encoder that learned nothing adds nothing
        control = taking.frozen(base, spec.controlnet, data)
        steering = taking.steering(spec, base, data)
        facts = {"controlnet": control.fingerprint, "control_scale": spec.control_scale}
    settings = _settings(run, base)
    facts |= {"base": base.fingerprint, "dtype": str(base.unet.dtype), **settings}
    wished = wishes(run)
    paths = [kept_path(data, {**facts, **_facts(wish)}) for wish in wished]
    missing = [i for i, path in enumerate(paths) if not path.is_file()]
    for start in range(0, len(missing), KEPT_AT_ONCE):
        part = missing[start : start + KEPT_AT_ONCE]

        def tell(done: float, total: int, before: int = len(wished) - len(missing) + start) -> None:
            if progress:
                progress(before + done, len(wished))

        made = drawing.draw(base, steering, [wished[i] for i in part], **settings, progress=tell)
        for i, image in zip(part, made, strict=True):
            paths[i].parent.mkdir(parents=True, exist_ok=True)
            write_picture(image, paths[i], {**facts, **_facts(wished[i])})
    _write(run, 0, read_pictures(paths))


def draw(run: Run, base: BaseModel, adapter: Adapter, step: int, data: Path, progress: Progress | None = None) -> None:
    """Draw a save; what is there already stays."""
    if not run.samples(step):
        steering = steering_of(run, base, step, data)
        made = drawing.draw(base, steering, wishes(run), adapter=adapter, **_settings(run, base), progress=progress)
        _write(run, step, made)


def steering_of(run: Run, base: BaseModel, step: int, data: Path) -> Steering:
    """What brings maps to the base model at a save: what learned with the adapter is the save's own.

    Raises BadInput where that is damaged, and as `taking.steering`.
    """
    made = taking.steering(run.spec, base, data)
    if made.trained is not None:
        checkpoint.load_trained(run.checkpoint(step), made.trained)
    return made


def wishes(run: Run) -> list[Wish]:
    """What is drawn at each save, map by map and seed by seed."""
    held, seeds = dataset.read(run.path, dataset.HELD_OUT), run.spec.sample.seeds
    return [
        drawing.Wish(labels, example.caption, seed)
        for example in held[: run.spec.held_out]
        for labels in [controls.of_pair(run.spec.control_kind, example.picture, example.map)]
        for seed in seeds
    ]


def _settings(run: Run, base: BaseModel) -> dict[str, Any]:
    settings = run.spec.sample.model_dump(include={"steps", "guidance", "negative"})
    return settings | {"mixed_precision": precision.choose(run.spec.mixed_precision, base.unet.device)}


def _facts(wish: Wish) -> dict[str, Any]:
    """What tells one picture of a run from the others."""
    return {
        "map": hashlib.sha256(wish.labels.tobytes()).hexdigest(),
        "size": list(wish.labels.shape),
        "prompt": wish.caption,
        "seed": wish.seed,
    }


def _write(run: Run, step: int, images: list[Image.Image]) -> None:
    seeds = len(run.spec.sample.seeds)
    folder = run.samples_folder(step)
    try:
        with atomic.new_folder(folder) as new:
            for i, image in enumerate(images):
                image.save(new / "{:04d}-{:02d}.png".format(*divmod(i, seeds)))
    except OSError as error:
        raise from_os_error(error, folder) from error
