"""The objective of pictures from maps: what the UNet, steered by a map, misses of the picture that the map was made of.

loss = mean over the pairs of the mean squared error between the steered prediction and the target that the base
model's scheduler config names; as ControlNet was trained (Zhang et al., 2023), with the adapter learning instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from training.base import codec
from training.maps import SEGMENTATION, controls
from training.maps.colours import control
from training.step import counting, draws
from training.step.draws import Draws
from training.step.noise import TARGETS, Schedule
from training.step.objective import Losses, Question

if TYPE_CHECKING:
    from training.base.codec import Moments
    from training.base.models import BaseModel
    from training.maps.steering.protocols import Steering
    from training.spec import MapsSpec


class FromMaps:
    """The objective of one run on one base model: draws a step's pairs and gives their loss.

    Args:
        labels: (N, H, W) uint8, the maps at the pictures' size, or other controls, (N, H, W, 3). moments, mirrored: of
            the pictures, N each; mirrored is None where none is turned. text: (N, tokens, width), a caption each.
    """

    def __init__(
        self,
        base: BaseModel,
        spec: MapsSpec,
        steering: Steering,
        labels: np.ndarray,
        moments: Moments,
        mirrored: Moments | None,
        text: Tensor,
    ):
        self.base, self.spec, self.steering = base, spec, steering
        self.labels, self.moments, self.mirrored, self.text = labels, moments, mirrored, text
        self.schedule = Schedule(base.scheduler_config)
        self.trained, self.rate, self.asks = steering.trained, steering.rate, steering.added is not None
        self.beside = counting.beside(steering.frozen, steering.trained, (3, *labels.shape[1:3]))

    def draw(self, step: int, n: int) -> tuple[Draws, None]:
        """The draws of a step (from 0): n pairs."""
        shape = tuple(self.moments.mean.shape[1:])
        drawn = draws.draw(
            self.spec.seed,
            step,
            "map",
            n,
            len(self.labels),
            shape,
            self.schedule.levels,
            flip=self.mirrored is not None,
            timestep_sampling=self.spec.timestep_sampling,
        )
        return drawn, None

    def loss(self, first: Draws, second: None, n: int) -> Losses:
        """The share of these draws in the loss of a step with n pairs."""
        *given, losses = self._posed(first, n)
        return losses(self.steering.predict(self.base.unet, *given))

    def question(self, first: Draws, second: None, n: int) -> Question:
        """What that asks the UNet, where the steering is no more than its arguments."""
        x, t, text, pictures, losses = self._posed(first, n)
        return Question(x, t, text, self.steering.added(x, t, text, pictures), losses)

    def _posed(self, first: Draws, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Losses]]:
        """Noisy latents, timesteps, texts and maps in colours, and the losses of a prediction from them."""
        unet = self.base.unet
        device, dtype = unet.device, unet.dtype
        z0 = self.latents(first).to(device)  # (b, C, h, w)
        noise = first.noise.to(device)
        alpha, sigma = self.schedule.at(first.timestep, device)
        zt = alpha * z0 + sigma * noise
        text = self.text[first.picture].to(device, dtype)
        target = TARGETS[self.schedule.prediction_type](z0, noise, alpha, sigma)

        def losses(prediction: Tensor) -> Losses:
            errors = (prediction.float() - target).square().mean(dim=(1, 2, 3))  # (b,)
            errors = errors * self.schedule.weight(first.timestep, self.spec.min_snr_gamma).to(device)
            total = errors.sum() / n
            return Losses(total, total.detach()[None])

        return zt.to(dtype), first.timestep.to(device), text, self.pictures(first).to(device), losses

    def latents(self, d: Draws) -> Tensor:
        """z_0 of the drawn pictures, (b, C, h, w), sampled from the autoencoder's posterior."""
        mean, std = (table[d.picture] for table in self.moments)
        if self.mirrored is not None:
            turned = d.mirrored[:, None, None, None]
            mean = torch.where(turned, self.mirrored.mean[d.picture], mean)
            std = torch.where(turned, self.mirrored.std[d.picture], std)
        return mean + std * d.posterior

    def pictures(self, d: Draws) -> Tensor:
        """The drawn maps in colours, (b, 3, H, W), turned where their pictures are."""
        labels, turned = self.labels[d.picture.numpy()], d.mirrored.numpy()
        labels[turned] = labels[turned, :, ::-1]
        return control(labels)


def prepare(
    base: BaseModel,
    spec: MapsSpec,
    steering: Steering,
    pictures: Sequence[Path],
    captions: Sequence[str],
    kind: str = SEGMENTATION,
):
    """Encode pairs as `intake.prepare` wrote them, once: NNNN.png with NNNN.map.png beside it.

    kind: as `controls.of_pair` takes it.

    Raises BadInput, naming the file, for a map that cannot be read.
    """
    size = spec.resolution or base.capabilities.size_px
    labels = np.stack([controls.of_pair(kind, path, path.with_suffix(".map.png")) for path in pictures])
    moments = codec.encode_pictures(base, pictures, size)
    mirrored = codec.encode_pictures(base, pictures, size, True) if spec.flip else None
    text = torch.cat([codec.encode_text(base, [caption]).cpu() for caption in captions])
    return FromMaps(base, spec, steering, labels, moments, mirrored, text)
