"""Pictures of the base model with the class word alone, drawn once and kept for every run of the same kind of thing."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from evaluation.pictures import read_pictures, write_picture
from training import atomic, sample
from training.base import precision
from training.errors import from_os_error
from training.runs.run import Run


def base_pictures(
    base,
    prompts: list[str],
    seeds: list[int],
    data: Path,
    *,
    steps: int,
    guidance: float,
    negative: str = "",
    size: int | None = None,
    mixed_precision: str = "no",
    progress: Callable[[float, int], None] | None = None,
) -> list:
    """One picture for each (prompt, seed), prompt by prompt; those drawn before come from the data folder.

    The folder's name is a hash of everything that the pictures depend on. `base` must carry no active adapter.
    """
    settings = {"steps": steps, "guidance": guidance, "negative": negative, "size": size}
    settings["mixed_precision"] = mixed_precision
    facts = {"base": base.fingerprint, "dtype": str(base.unet.dtype), **settings}
    pairs = [(prompt, seed) for prompt in prompts for seed in seeds]
    paths = {pair: kept_path(data, {**facts, "prompt": pair[0], "seed": pair[1]}) for pair in pairs}
    missing = [pair for pair in paths if not paths[pair].is_file()]
    by_prompt: dict[str, list[int]] = {}
    for prompt, seed in missing:
        by_prompt.setdefault(prompt, []).append(seed)
    # All missing seeds are drawn for all missing prompts in one call: one batch is faster than many small ones.
    if missing:
        wanted = sorted({seed for _, seed in missing})
        drawn = sample.generate(base, list(by_prompt), wanted, **settings, progress=progress)
        for (prompt, seed), image in zip([(p, s) for p in by_prompt for s in wanted], drawn, strict=True):
            path = kept_path(data, {**facts, "prompt": prompt, "seed": seed})
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(image, path, {"prompt": prompt, "seed": seed, **facts})
    return read_pictures([paths[pair] for pair in pairs])


def draw_base(run: Run, base, data: Path, progress: Callable[[float, int], None] | None = None) -> None:
    """Give a run its pictures of step 0: the base model with the class word alone. They stay if they are there."""
    if run.samples(0):
        return
    spec = run.spec
    sampling, prompts = spec.sample, [spec.prompt(text, plain=True) for text in spec.sample.prompts]
    settings = sampling.model_dump(include={"steps", "guidance", "negative"})
    settings["mixed_precision"] = precision.choose(spec.mixed_precision, base.unet.device)
    images = base_pictures(
        base, prompts, list(sampling.seeds), data, size=spec.resolution, progress=progress, **settings
    )
    try:
        with atomic.new_folder(run.samples_folder(0)) as folder:
            for i, image in enumerate(images):
                image.save(folder / "{:02d}-{:02d}.png".format(*divmod(i, len(sampling.seeds))))
    except OSError as error:
        raise from_os_error(error, run.samples_folder(0)) from error


def kept_path(data: Path, facts: dict) -> Path:
    """Where a picture of a base model is kept; its name is a hash of all that it depends on."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return data / "cache" / "base-pictures" / facts["base"] / f"{digest}.png"
