"""Class pictures for prior preservation: drawn by the base model once, kept, and used again by later runs.

They lie in `class_pictures/<key>/` of the data folder, the key naming everything that shaped them. Picture i has seed
i, so a run that wants more only adds to what is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from training import atomic, sample
from training.base import codec, precision
from training.errors import Stopped, from_os_error

if TYPE_CHECKING:
    from training.base.codec import Moments
    from training.base.models import BaseModel
    from training.spec import RunSpec

BATCH = {"cpu": 16, "cuda": 16}
VERSION = 1  # of how the pictures are made; another number makes new ones


def class_folder(base: BaseModel, spec: RunSpec, data: Path) -> Path:
    """Where the class pictures for these settings lie."""
    key = hashlib.sha256(json.dumps(_settings(base, spec), sort_keys=True).encode()).hexdigest()[:16]
    return Path(data) / "class_pictures" / key


def class_pictures(
    base: BaseModel,
    spec: RunSpec,
    data: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """The first `spec.class_pictures` class pictures; those that are not there yet are drawn in large batches.

    Args:
        progress: called with (done, wanted) before each batch and at the end.
        stop: asked before each batch.

    Raises:
        Stopped: `stop` said so; what was drawn is kept. RunFailed: a full disk.
    """
    folder = class_folder(base, spec, data)
    paths = [folder / f"{i:04d}.png" for i in range(spec.class_pictures)]
    batch = BATCH.get(base.unet.device.type, 8)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "settings.json").exists():
            atomic.write_text(folder / "settings.json", json.dumps(_settings(base, spec), indent=2) + "\n")
        while missing := [i for i, path in enumerate(paths) if not path.exists()]:
            if stop():
                raise Stopped("Stopped while drawing class pictures.", "They are kept; resume to go on.")
            if progress:
                progress(len(paths) - len(missing), len(paths))
            seeds = missing[:batch]
            images = sample.generate(
                base,
                [spec.class_prompt],
                seeds,
                steps=spec.class_steps,
                guidance=spec.sample.guidance,
                batch=batch,
                size=spec.resolution,
                mixed_precision=precision.choose(spec.mixed_precision, base.unet.device),
            )
            for seed, image in zip(seeds, images, strict=True):
                _write_png(image, paths[seed])
    except OSError as error:
        raise from_os_error(error, folder) from error
    if progress:
        progress(len(paths), len(paths))
    return paths


def class_moments(base: BaseModel, paths: list[Path], size_px: int, mirrored: bool) -> Moments:
    """The latents of class pictures, encoded once and kept beside them."""
    from safetensors.torch import load_file, save

    name = f"latents-{size_px}{'-mirrored' if mirrored else ''}.safetensors"
    file = paths[0].parent / name
    if file.exists():
        kept = load_file(file)
        if len(kept["mean"]) >= len(paths):
            return codec.Moments(kept["mean"][: len(paths)], kept["std"][: len(paths)])
    moments = codec.encode_pictures(base, paths, size_px, mirrored)
    try:
        atomic.write_bytes(file, save({"mean": moments.mean, "std": moments.std}))
    except OSError as error:
        raise from_os_error(error, file) from error
    return moments


def _settings(base: BaseModel, spec: RunSpec) -> dict:
    """Everything that shapes the pictures."""
    return {
        "version": VERSION,
        "base": base.fingerprint,
        "dtype": str(base.unet.dtype),
        "mixed_precision": precision.choose(spec.mixed_precision, base.unet.device),
        "prompt": spec.class_prompt,
        "steps": spec.class_steps,
        "guidance": spec.sample.guidance,
        "size": spec.resolution or base.capabilities.size_px,
    }


def _write_png(image, path: Path) -> None:
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    atomic.write_bytes(path, buffer.getvalue())
