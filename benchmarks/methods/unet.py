"""What is measured on: a UNet with Stable Diffusion 1.5's layout and random weights, a batch, and a few steps."""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

import assets
import delora
from training.base import guard

guard.prepare()  # a torchvision that does not match torch would end diffusers' import
from diffusers import UNet2DConditionModel  # noqa: E402

WIDTHS = {"block_out_channels": [64, 96, 128, 128], "cross_attention_dim": 64, "sample_size": 16}
STEPS = 6
Batch = tuple[Tensor, Tensor, Tensor]


def make_unet(dtype: torch.dtype = torch.float32, widths: dict = WIDTHS) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's UNet, with tiny widths unless told otherwise; always the same random weights."""
    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel.from_config(config | widths).to(dtype).eval()


def make_batch(dtype: torch.dtype = torch.float32, text_width: int = WIDTHS["cross_attention_dim"]) -> Batch:
    """Noisy latents, a timestep, and a text."""
    g = torch.Generator().manual_seed(0)
    latents, text = (
        torch.randn(1, 4, 16, 16, generator=g),
        torch.randn(1, 7, text_width, generator=g),
    )
    return latents.to(dtype), torch.tensor(401), text.to(dtype)


@torch.no_grad()
def output(unet: nn.Module, batch: Batch) -> Tensor:
    return unet(*batch).sample


def difference(y: Tensor, wanted: Tensor) -> float:
    return ((y - wanted).abs().max() / wanted.abs().max()).item()


def train(unet: nn.Module, adapter: delora.Adapter, batch: Batch, lr: float, steps: int = STEPS) -> None:
    """A few steps of Adam towards a fixed random output."""
    target = torch.randn(batch[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    optimizer = torch.optim.Adam(adapter.parameter_groups(lr, min(lr, 1e-3)))
    for _ in range(steps):
        optimizer.zero_grad()
        (unet(*batch).sample - target.to(batch[0].dtype)).square().mean().backward()
        optimizer.step()
