"""Pictures from maps: each map with its caption and its seed, steered as in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training import sample
from training.base import codec, precision
from training.errors import BadInput
from training.maps.colours import control

if TYPE_CHECKING:
    from PIL import Image

    from delora import Adapter
    from training.base.models import BaseModel
    from training.maps.steering.protocols import Steering


class Wish(NamedTuple):
    """One picture to draw. labels: (H, W) uint8, square, of a size that fits the base model; or another control of that
    size, see `training.maps.controls`."""

    labels: np.ndarray
    caption: str
    seed: int


def draw(
    base: BaseModel,
    steering: Steering | None,
    wishes: Sequence[Wish],
    *,
    adapter: Adapter | None = None,
    strength: float = 1.0,
    steps: int = 20,
    guidance: float = 3.0,
    negative: str = "",
    batch: int = 8,
    progress: Callable[[float, int], None] | None = None,
    mixed_precision: str = "no",
    sampler: str = "dpm++",
) -> list[Image.Image]:
    """One picture for each wish. The same seed and caption give the same start with any adapter and any steering.

    Args:
        steering: None draws from caption and seed alone. The others: as `training.sample.generate`.

    Raises:
        BadInput: maps of unlike sizes, or of one that does not fit the base model.
    """
    sizes = {wish.labels.shape[:2] for wish in wishes}
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        told = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise BadInput(f"Maps of {told} pixels cannot be drawn together.", "Cut all of them to one square.", "maps")
    images: list[Image.Image] = []
    texts = {text: codec.encode_text(base, [text]) for text in dict.fromkeys([negative, *(w.caption for w in wishes)])}
    with sample.drawing(base, adapter, strength):
        for start in range(0, len(wishes), batch):
            chunk = wishes[start : start + batch]
            shape = sample.latent_shape(base, chunk[0].labels.shape[0])
            noise = torch.cat([sample.start_noise(wish.seed, shape) for wish in chunk])
            wanted = torch.cat([texts[wish.caption] for wish in chunk])
            unwanted = texts[negative].expand_as(wanted) if guidance > 1 else None

            def tell(share: float, done: int = start, count: int = len(chunk)) -> None:
                if progress:
                    progress(done + share * count, len(wishes))

            predict = _steered(base, steering, chunk) if steering else None
            with precision.drawing(mixed_precision, base.unet.device):
                scheduler = sample.scheduler_for(base.scheduler_config, sampler)
                latents = sample.denoise(base, scheduler, noise, wanted, unwanted, steps, guidance, tell, predict)
            images += codec.decode_latents(base, latents)
    return images


def _steered(base: BaseModel, steering: Steering, chunk: Sequence[Wish]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The UNet's prediction under these maps; with guidance they steer the half without the prompt as well."""
    pictures = control(np.stack([wish.labels for wish in chunk])).to(base.unet.device)  # (n, 3, H, W)

    def predict(x: Tensor, t: Tensor, texts: Tensor) -> Tensor:
        shown = pictures.repeat(len(x) // len(pictures), 1, 1, 1)  # (n, ...) or, with guidance, (2 n, ...)
        return steering.predict(base.unet, x, t, texts, shown)

    return predict
