"""Class pictures for prior preservation: drawn by the base model once, kept, and used again by later runs.

They lie in `class_pictures/<key>/` of the data folder, the key naming everything that shaped them. Picture i has seed
i, so a run that wants more only adds to what is there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from training import atomic, jsonfile, sample
from training.base import codec, precision
from training.errors import BadInput, Stopped, from_os_error
from training.subject import pictures

if TYPE_CHECKING:
    from training.base.codec import Moments
    from training.base.models import BaseModel
    from training.spec import SubjectSpec

BATCH = {"cpu": 16, "cuda": 16}
VERSION = 1  # of how the pictures are made; another number makes new ones


def class_folder(base: BaseModel, spec: SubjectSpec, data: Path) -> Path:
    """Where the class pictures for these settings lie."""
    key = hashlib.sha256(json.dumps(_settings(base, spec), sort_keys=True).encode()).hexdigest()[:16]
    return Path(data) / "class_pictures" / key


def class_pictures(
    base: BaseModel,
    spec: SubjectSpec,
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
        _discard_damaged(paths)
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
    """The latents of class pictures, encoded once and kept beside them; damaged ones are encoded again."""
    from safetensors.torch import save

    name = f"latents-{size_px}{'-mirrored' if mirrored else ''}.safetensors"
    file = paths[0].parent / name
    cell_px = base.capabilities.vae_factor
    shape = (base.capabilities.latent_channels, size_px // cell_px, size_px // cell_px)
    if (kept := _kept(file, len(paths), shape)) is not None:
        return kept
    moments = codec.encode_pictures(base, paths, size_px, mirrored)
    try:
        atomic.write_bytes(file, save({"mean": moments.mean, "std": moments.std}))
    except OSError as error:
        raise from_os_error(error, file) from error
    return moments


def _kept(file: Path, count: int, shape: tuple[int, ...]) -> Moments | None:
    """The first `count` latents in a file, each of `shape`; None where there are fewer, or they cannot be used."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        if os.path.lexists(file):
            jsonfile.put_aside(file)
        return None
    try:
        kept = load_file(file)
        mean, std = kept["mean"][:count], kept["std"][:count]
    except (SafetensorError, OSError, ValueError, LookupError):
        return None
    wanted = (len(mean), *shape)
    whole = tuple(mean.shape) == tuple(std.shape) == wanted and mean.is_floating_point() and std.is_floating_point()
    if not whole or len(mean) < count or not (torch.isfinite(mean).all() and torch.isfinite(std).all()):
        return None
    return codec.Moments(mean, std)


def _discard_damaged(paths: list[Path]) -> None:
    """Put aside what has a class picture's name and is none, so that it is drawn again; and what came of it."""
    damaged = [path for path in paths if os.path.lexists(path) and not _is_picture(path)]
    for path in damaged:
        jsonfile.put_aside(path)
    for latents in paths[0].parent.glob("latents-*.safetensors") if damaged else ():
        jsonfile.put_aside(latents)


def _is_picture(path: Path) -> bool:
    try:
        pictures.read(path)
    except BadInput:
        return False
    return True


def _settings(base: BaseModel, spec: SubjectSpec) -> dict:
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
