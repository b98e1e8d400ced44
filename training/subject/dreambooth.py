"""The DreamBooth objective with prior preservation (Ruiz et al., 2023).

loss = mean over the subject's pictures + prior_weight * mean over the class pictures, of the mean squared error between
what the UNet predicts and the target that the base model's scheduler config names (noise, velocity or the picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from training.base import codec
from training.errors import BadInput
from training.step import draws
from training.step.counting import NOTHING
from training.step.draws import Draws
from training.step.noise import TARGETS, Schedule
from training.step.objective import Losses, Question
from training.subject import priors

if TYPE_CHECKING:
    from training.base.codec import Moments
    from training.base.models import BaseModel
    from training.runs.run import Run
    from training.spec import SubjectSpec
    from training.step.objective import Watch


class Example(NamedTuple):
    """Pictures of one caption, ready for the UNet's device."""

    moments: Moments
    mirrored: Moments | None
    text: Tensor  # (1, tokens, width)

    def latents(self, d: Draws) -> Tensor:
        """z_0 of the drawn pictures, (n, C, h, w), sampled from the autoencoder's posterior."""
        device = self.moments.mean.device
        mean, std = (table[d.picture] for table in self.moments)
        if self.mirrored is not None:
            turned = d.mirrored[:, None, None, None].to(device)
            mean = torch.where(turned, self.mirrored.mean[d.picture], mean)
            std = torch.where(turned, self.mirrored.std[d.picture], std)
        return mean + std * d.posterior.to(device)


class DreamBooth:
    """The objective of one run on one base model: draws a step's batch and gives its loss."""

    trained, rate, beside = None, 0.0, NOTHING  # the adapter learns alone
    asks = True

    def __init__(self, base: BaseModel, spec: SubjectSpec, instance: Example, prior: Example | None):
        self.base, self.spec, self.instance, self.prior = base, spec, instance, prior
        self.schedule = Schedule(base.scheduler_config)
        self.shape = tuple(instance.moments.mean.shape[1:])

    def draw(self, step: int, n: int) -> tuple[Draws, Draws | None]:
        """The draws of a step (from 0): n pictures of the subject, and n class pictures where they take part."""

        def one(kind: str, example: Example | None) -> Draws | None:
            if example is None:
                return None
            return draws.draw(
                self.spec.seed,
                step,
                kind,
                n,
                len(example.moments),
                self.shape,
                self.schedule.levels,
                flip=self.spec.flip,
                timestep_sampling=self.spec.timestep_sampling,
            )

        return one("instance", self.instance), one("class", self.prior)

    def loss(self, instance: Draws, prior: Draws | None, n: int) -> Losses:
        """The share of these draws in the loss of a step with n pictures of each kind."""
        asked = self.question(instance, prior, n)
        return asked.losses(asked.put_to(self.base.unet))

    def question(self, instance: Draws, prior: Draws | None, n: int) -> Question:
        """What that asks the UNet."""
        unet, examples = self.base.unet, [self.instance] + ([self.prior] if prior else [])
        drawn = [instance] + ([prior] if prior else [])
        device = unet.device
        z0 = torch.cat([example.latents(d) for example, d in zip(examples, drawn, strict=True)])  # (b, C, h, w)
        noise = torch.cat([d.noise for d in drawn]).to(device)
        timestep = torch.cat([d.timestep for d in drawn])
        text = torch.cat([e.text.expand(len(d), -1, -1) for e, d in zip(examples, drawn, strict=True)])
        alpha, sigma = self.schedule.at(timestep, device)
        zt = alpha * z0 + sigma * noise
        target = TARGETS[self.schedule.prediction_type](z0, noise, alpha, sigma)

        def losses(prediction: Tensor) -> Losses:
            errors = (prediction.float() - target).square().mean(dim=(1, 2, 3))  # (b,)
            errors = errors * self.schedule.weight(timestep, self.spec.min_snr_gamma).to(device)
            parts = torch.stack([part.sum() / n for part in errors.split([len(d) for d in drawn])])
            total = parts[0] + self.spec.prior_weight * parts[1] if prior else parts[0]
            return Losses(total, parts.detach())

        return Question(zt.to(unet.dtype), timestep.to(device), text, {}, losses)


def take_in(run: Run, base: BaseModel, data: Path, watch: Watch) -> DreamBooth:
    """The objective of a run: its class pictures drawn where they are not there yet, everything encoded.

    Raises Stopped where `watch` says so; what was drawn is kept. Raises BadInput where its pictures are gone.
    """
    if not run.pictures():
        raise BadInput(
            f"The pictures of run {run.id} are gone: {run.path / 'dataset'} has none.",
            "Put them back from a copy of the folder, or make a new run of them.",
            "pictures",
        )
    paths: list[Path] = []
    if run.spec.with_prior:
        watch.enter("class pictures")
        paths = priors.class_pictures(base, run.spec, data, progress=watch.count, stop=watch.stop_requested)
        watch.enter("prepare")
    return prepare(base, run.spec, run.pictures(), paths)


def prepare(base: BaseModel, spec: SubjectSpec, pictures: Sequence[Path], class_pictures: Sequence[Path]) -> DreamBooth:
    """Encode pictures and captions once, and put them on the UNet's device.

    Args:
        pictures: cleaned pictures of the subject. class_pictures: [] trains without prior preservation.
    """
    size = spec.resolution or base.capabilities.size_px
    device = base.unet.device

    def example(paths: Sequence[Path], prompt: str, encode) -> Example:
        plain, mirrored = encode(paths, False), encode(paths, True) if spec.flip else None
        text = codec.encode_text(base, [prompt]).to(device, base.unet.dtype)
        tables = [None if m is None else codec.Moments(*(t.to(device) for t in m)) for m in (plain, mirrored)]
        return Example(*tables, text)

    def subject(paths: Sequence[Path], mirror: bool) -> Moments:
        return codec.encode_pictures(base, paths, size, mirror)

    def kind(paths: Sequence[Path], mirror: bool) -> Moments:
        return priors.class_moments(base, list(paths), size, mirror)

    prior = example(class_pictures, spec.class_prompt, kind) if class_pictures else None
    return DreamBooth(base, spec, example(pictures, spec.instance_prompt, subject), prior)
