"""How a map steers a UNet: the two protocols of the field, which never stand in one table.

*frozen ControlNet*: a pretrained ControlNet (a copy of the UNet's way down) adds to every block, and stays as it is;
only the adapter learns. *hint encoder* (the paper's own, from OFT): 8 convolutions turn the map into what is added
once, behind the UNet's first convolution, and learn together with the adapter; the last of them begins at zero, so that
the start is the base model. Both take what `colours.control` makes, and are used alike by training and drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffusers import ControlNetModel, UNet2DConditionModel

    from training.step.objective import Further

HINT_RATE = 1e-4
WIDTHS = (16, 32, 96, 256)  # of the convolutions, where pictures are 8 times their latents' size


class Steering(Protocol):
    """A way to steer.

    frozen: what steers and stays as it is, None for nothing. trained, rate: what learns together with the adapter and
    how fast, None and 0.0 for nothing. added: of (latents, timestep, texts, pictures), what the UNet takes beside them
    to be steered, where that is all there is to steering.
    """

    frozen: nn.Module | None
    trained: nn.Module | None
    rate: float
    added: Callable[[Tensor, Tensor, Tensor, Tensor], Further] | None

    def predict(self, unet: UNet2DConditionModel, x: Tensor, t: Tensor, text: Tensor, picture: Tensor) -> Tensor:
        """The UNet's prediction (n, C, h, w) of latents x, for texts (n, tokens, width) and pictures (n, 3, H, W)."""


class FrozenControlNet:
    """The *frozen ControlNet* protocol. scale: how strongly it steers; 1 is as it was trained."""

    trained, rate = None, 0.0

    def __init__(self, module: ControlNetModel, scale: float = 1.0):
        self.module = self.frozen = module
        self.scale = float(scale)  # diffusers refuses an int

    def predict(self, unet: UNet2DConditionModel, x: Tensor, t: Tensor, text: Tensor, picture: Tensor) -> Tensor:
        return unet(x, t, text, **self.added(x, t, text, picture), return_dict=False)[0]

    @torch.no_grad()  # what it adds does not depend on the adapter
    def added(self, x: Tensor, t: Tensor, text: Tensor, picture: Tensor) -> Further:
        """What it adds to every block, as the UNet takes it."""
        down, middle = self.module(
            x, t, text, controlnet_cond=picture.to(x.dtype), conditioning_scale=self.scale, return_dict=False
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


class HintEncoder:
    """The *hint encoder* protocol, for a UNet of first width `width` and pictures `factor` times its latents' size.

    rate: learning rate of the encoder; the paper's protocol has at most 1e-4.
    """

    frozen, added = None, None

    def __init__(self, width: int, factor: int, scale: float = 1.0, rate: float = HINT_RATE):
        from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding

        halvings = factor.bit_length() - 1  # 8 -> 3
        widths = (WIDTHS + (WIDTHS[-1],) * halvings)[: halvings + 1]
        self.trained = ControlNetConditioningEmbedding(width, block_out_channels=widths)
        self.scale, self.rate = float(scale), rate

    @classmethod
    def of(cls, unet: UNet2DConditionModel, factor: int, seed: int = 0, rate: float = HINT_RATE) -> HintEncoder:
        """A new one for a UNet, on its device; the seed decides its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(unet.config.block_out_channels[0], factor, rate=rate)
        made.trained.to(unet.device)
        return made

    def predict(self, unet: UNet2DConditionModel, x: Tensor, t: Tensor, text: Tensor, picture: Tensor) -> Tensor:
        weight = self.trained.conv_in.weight
        hint = self.scale * self.trained(picture.to(weight.device, weight.dtype))  # (n, width, h, w)
        hook = unet.conv_in.register_forward_hook(lambda module, given, made: made + hint.to(made.dtype))
        try:
            return unet(x, t, text, return_dict=False)[0]
        finally:
            hook.remove()
