"""Runs of maps on the tiny base model: pairs, a ControlNet and a segmentor of tiny width, all with random weights."""

from pathlib import Path

import mapfiles
import numpy as np
import tinycontrol
import tinypipeline
import tinysegmentors

SIZE_PX = tinypipeline.SIZE_PX


def pairs(folder: Path, count: int = 6, first: int = 0) -> Path:
    """Write pictures and their maps, each its own."""
    from training.maps import writing

    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        labels = np.roll(mapfiles.scene(), 3 * i, axis=1)
        mapfiles.picture((64, 48), i).save(folder / "images" / f"scene-{i}.png")
        writing.write(labels, folder / "annotations" / f"scene-{i}.png", "index")
    return folder


def models(folder: Path, base) -> dict[str, str]:
    """A ControlNet for `base` and a segmentor, by the names of their settings."""
    tinycontrol.build(folder / "controlnet", base.unet)
    tinysegmentors.build("segformer", folder / "segmentor")
    _sees_scenes(folder / "segmentor" / "model.safetensors")
    return {"controlnet": str(folder / "controlnet"), "segmentor": str(folder / "segmentor")}


def _sees_scenes(weights: Path) -> None:
    """Let a segmentor answer with the classes of `mapfiles.scene` alone, so that it is right by chance."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors["decode_head.classifier.bias"][[2, 4, 9, 12]] += 100
    tensors["decode_head.classifier.weight"] *= 100  # what differs between two pictures shows
    save_file(tensors, weights, {"format": "pt"})


def values(base: Path, models: dict[str, str], **changes) -> dict:
    """The settings of a few quick steps, as the command line gives them."""
    from training import presets

    small = {
        "task": "maps",
        "base": str(base),
        "steps": 4,
        "save_every": 2,
        "batch_size": 2,
        "threads": 1,
        "mixed_precision": "no",
        "held_out": 2,
        "adapter": {"rank": 4},
        "sample": {"seeds": (0, 1), "steps": 2, "guidance": 3.0},
        **models,
    }
    return presets.merged(small, changes)


def run(data: Path, base: Path, models: dict[str, str], **changes):
    """A queued run on the model in `base` with six pairs, two of them held out."""
    from evaluation import tasks
    from evaluation.tasks.task import Given
    from training import presets
    from training.runs import rundir

    spec = presets.make_spec("embedded", "delora", "quick", **values(base, models, **changes))
    beside = data / f"gathered-{len(rundir.list_runs(data))}"
    beside.mkdir(parents=True)
    given = Given([pairs(data / "pairs")], count=spec.held_out)
    gathered = tasks.of(spec).gather(given, spec, SIZE_PX, beside)
    return rundir.create(data, gathered.spec, gathered.data)
