"""Prompts x seeds to pictures, with an adapter at a strength: while training and after.

The sampler is DPM-Solver++ (2M) unless told otherwise. No sampler here draws noise after the start, so a seed decides a
picture alone, whatever the batch. The same seed in `pipe(..., generator=torch.Generator().manual_seed(seed))` with that
scheduler gives the same picture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from training import atomic
from training.base import codec, precision
from training.errors import BadInput, from_os_error

if TYPE_CHECKING:
    from PIL import Image

    from delora import Adapter
    from training.base.models import BaseModel
    from training.runs.run import Run


SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {  # name -> diffusers' class, its options
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
}


def scheduler_for(scheduler_config: dict[str, Any], sampler: str = "dpm++") -> Any:
    """A scheduler of that name for a base model's noise schedule and prediction type."""
    import diffusers

    kind, options = SAMPLERS[sampler]
    return getattr(diffusers, kind).from_config(scheduler_config, **options)


def start_noise(seed: int, shape: tuple[int, int, int]) -> Tensor:
    """The noise that belongs to a seed, (1, C, h, w), drawn on the CPU so that every device starts alike."""
    return torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed))


def generate(
    base: BaseModel,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    adapter: Adapter | None = None,
    strength: float = 1.0,
    steps: int = 20,
    guidance: float = 3.0,
    negative: str = "",
    batch: int = 8,
    progress: Callable[[float, int], None] | None = None,
    size: int | None = None,
    mixed_precision: str = "no",
    sampler: str = "dpm++",
) -> list[Image.Image]:
    """One picture for each prompt and seed, prompt by prompt.

    Args:
        adapter: an adapter attached to `base.unet`; None uses the UNet as it is.
        strength: 0 is the base model, exactly; 1 as trained. The adapter gets its own strength back afterwards.
        guidance: classifier-free guidance; at 1 or below the negative prompt takes no part.
        batch: pictures drawn at once.
        progress: called with (pictures done, pictures in all) after each sampler step, the first as a fraction.
        size: edge in pixels, a multiple of the autoencoder's factor; None is the base model's own.
        mixed_precision: of the UNet's work, as `precision.choose` gives it; "no" is that of its weights.
        sampler: one of SAMPLERS.

    Raises:
        BadInput: a size that does not fit.
    """
    jobs = [(prompt, seed) for prompt in prompts for seed in seeds]
    shape = latent_shape(base, size)
    texts = {text: codec.encode_text(base, [text]) for text in dict.fromkeys([negative, *prompts])}
    images: list[Image.Image] = []
    with drawing(base, adapter, strength):
        for start in range(0, len(jobs), batch):
            chunk = jobs[start : start + batch]
            noise = torch.cat([start_noise(seed, shape) for _, seed in chunk])
            wanted = torch.cat([texts[prompt] for prompt, _ in chunk])
            unwanted = texts[negative].expand_as(wanted) if guidance > 1 else None

            def tell(share: float, done: int = start, count: int = len(chunk)) -> None:
                if progress:
                    progress(done + share * count, len(jobs))

            with precision.drawing(mixed_precision, base.unet.device):
                scheduler = scheduler_for(base.scheduler_config, sampler)
                latents = denoise(base, scheduler, noise, wanted, unwanted, steps, guidance, tell)
            images += codec.decode_latents(base, latents)
    return images


def draw(
    run: Run,
    base: BaseModel,
    adapter: Adapter | None,
    step: int,
    progress: Callable[[float, int], None] | None = None,
) -> list[Path]:
    """Draw a run's sample prompts and seeds and write them to its samples folder; what is there already stays.

    Step 0 is the base model with the class word alone (`adapter` None); the noise is the same at every step.
    """
    if paths := run.samples(step):
        return paths
    spec = run.spec
    prompts = [spec.prompt(text, plain=adapter is None) for text in spec.sample.prompts]
    settings = spec.sample.model_dump(include={"seeds", "steps", "guidance", "negative"})
    settings |= {"size": spec.resolution, "mixed_precision": precision.choose(spec.mixed_precision, base.unet.device)}
    images = generate(base, prompts, **settings, adapter=adapter, progress=progress)
    folder = run.samples_folder(step)
    try:
        with atomic.new_folder(folder) as new:
            for i, image in enumerate(images):
                prompt, seed = divmod(i, len(spec.sample.seeds))
                image.save(new / f"{prompt:02d}-{seed:02d}.png")
    except OSError as error:
        raise from_os_error(error, folder) from error
    return run.samples(step)


def latent_shape(base: BaseModel, size: int | None = None) -> tuple[int, int, int]:
    """(C, h, w) of the latent of a picture `size` pixels wide. Raises BadInput where the size does not fit."""
    caps = base.capabilities
    size, factor, multiple = size or caps.size_px, caps.vae_factor, caps.size_multiple
    if size < multiple or size % multiple:
        fitting = max(round(size / multiple), 1) * multiple
        raise BadInput(f"{size} pixels do not fit {base.name}.", f"Choose a multiple of {multiple}: {fitting}.", "size")
    return caps.latent_channels, size // factor, size // factor


@torch.no_grad()
def denoise(
    base: BaseModel,
    scheduler: Any,
    noise: Tensor,
    wanted: Tensor,
    unwanted: Tensor | None,
    steps: int,
    guidance: float,
    tell: Callable[[float], None],
    predict: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Noise (n, C, h, w) to latents, for embeddings (n, tokens, width).

    predict: (latents, timestep, embeddings) to the UNet's prediction, of n rows, or with guidance of 2 n rows, those
    without the prompt first; None asks the UNet alone.
    """
    predict = predict or (lambda x, t, texts: base.unet(x, t, texts, return_dict=False)[0])
    scheduler.set_timesteps(steps, device=base.unet.device)
    texts = wanted if unwanted is None else torch.cat([unwanted, wanted])
    texts = texts.to(base.unet.device, base.unet.dtype)
    x = noise.to(base.unet.device, base.unet.dtype) * scheduler.init_noise_sigma
    for i, t in enumerate(scheduler.timesteps):
        doubled = x if unwanted is None else torch.cat([x, x])
        prediction = predict(scheduler.scale_model_input(doubled, t), t, texts).to(x.dtype)
        if unwanted is not None:
            without, with_prompt = prediction.chunk(2)
            prediction = without + guidance * (with_prompt - without)
        x = scheduler.step(prediction, t, x, return_dict=False)[0]
        tell((i + 1) / steps)
    return x


@contextlib.contextmanager
def drawing(base: BaseModel, adapter: Adapter | None, strength: float) -> Iterator[None]:
    """The UNet ready to draw with the adapter at `strength`, and everything as it was afterwards."""
    training, before = base.unet.training, adapter.strength if adapter else None
    base.unet.eval()
    try:
        if adapter:
            adapter.strength = strength
        yield
    finally:
        base.unet.train(training)
        if adapter:
            adapter.strength = before
