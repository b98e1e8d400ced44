"""Pictures as the models in training see them: in -1..1, weathered, reframed, and with some patches left out."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

PIXEL_MEAN = PIXEL_STD = 0.5


def to_pixels(images: np.ndarray | torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 (b, h, w, 3) -> float32 (b, 3, h, w) in -1..1."""
    images = images if torch.is_tensor(images) else torch.from_numpy(np.array(images))
    pixels = images.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    return pixels.mul_(1 / (255 * PIXEL_STD)).sub_(PIXEL_MEAN / PIXEL_STD)


def weathered(pixels: torch.Tensor, cast: float = 0.03) -> torch.Tensor:
    """Light on every picture (gain and offset of each channel), blur on the first eighth, grain on the second."""
    batch = len(pixels)
    gain = 1 + 0.1 * torch.randn(batch, 1, 1, 1, device=pixels.device)
    gain = gain * (1 + cast * torch.randn(batch, 3, 1, 1, device=pixels.device))
    offset = 0.06 * torch.randn(batch, 3, 1, 1, device=pixels.device)
    out = torch.addcmul(offset, pixels, gain)
    few = batch // 8
    out[:few] = F.avg_pool2d(F.pad(out[:few], (1, 1, 1, 1), mode="replicate"), 3, 1)
    out[few : 2 * few] += 0.1 * torch.rand(few, 1, 1, 1, device=out.device) * torch.randn_like(out[few : 2 * few])
    return out


def reframed(pixels: torch.Tensor, rng: np.random.Generator, groups: int = 6) -> torch.Tensor:
    """Each sixth of the batch through its own window of 80 to 100 % of the picture."""
    size, out = pixels.shape[-1], []
    for part in pixels.chunk(groups):
        side = int(rng.integers(round(0.8 * size), size + 1))
        y, x = rng.integers(0, size - side + 1, size=2)
        window = part[:, :, y : y + side, x : x + side]
        out.append(F.interpolate(window, size=(size, size), mode="bilinear", align_corners=False))
    return torch.cat(out)


def drop_patches(hidden: torch.Tensor, kept: float) -> torch.Tensor:
    """The class token and a random share of the patch tokens of each picture: (b, 1 + n, d) -> (b, 1 + kept n, d)."""
    if kept >= 1:
        return hidden
    batch, tokens, width = hidden.shape
    order = torch.rand(batch, tokens - 1, device=hidden.device).argsort(1)[:, : round((tokens - 1) * kept)] + 1
    chosen = torch.cat([order.new_zeros(batch, 1), order], 1)
    return hidden.gather(1, chosen[..., None].expand(-1, -1, width))
