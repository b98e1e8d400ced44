"""Every random draw of training, from (seed, step) alone: a run resumes without any generator's state.

One step's draws are made for its whole batch at once and then cut into micro-batches, so that a smaller micro-batch
with more accumulation, or more processes, sees the same noise on the same pictures.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import torch
from torch import Tensor

LOG_SIGMA_MEAN, LOG_SIGMA_STD = -0.1, 1.3  # of the noise level in "lognormal"; the embedded model's own pretraining


def generator(seed: int, *stream: int | str) -> torch.Generator:
    """A CPU generator for one named purpose: streams of one seed share nothing."""
    text = "/".join(map(str, (seed, *stream)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class Draws:
    """What one step draws for n pictures of one kind."""

    picture: Tensor  # (n,) which picture
    mirrored: Tensor  # (n,) bool
    posterior: Tensor  # (n, C, h, w) noise of the autoencoder's posterior
    noise: Tensor  # (n, C, h, w)
    timestep: Tensor  # (n,)

    def __getitem__(self, part: slice) -> Draws:
        return Draws(*(getattr(self, f.name)[part] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.picture)


def draw(
    seed: int,
    step: int,
    kind: str,
    n: int,
    pictures: int,
    shape: tuple[int, ...],
    sigmas: Tensor,
    *,
    flip: bool = False,
    timestep_sampling: str = "uniform",
) -> Draws:
    """The draws of `step` (from 0) for n pictures.

    Args:
        kind: "instance" or "class".
        pictures: how many there are to choose from; each is taken once before any is taken again.
        shape: (C, h, w) of a latent.
        sigmas: noise level of each timestep, (T,), ascending.
    """
    g = generator(seed, kind, step)
    return Draws(
        picture=shuffled(seed, kind, step * n, n, pictures),
        mirrored=torch.rand(n, generator=g) < (0.5 if flip else 0.0),
        posterior=torch.randn(n, *shape, generator=g),
        noise=torch.randn(n, *shape, generator=g),
        timestep=TIMESTEPS[timestep_sampling](n, sigmas, g),
    )


def shuffled(seed: int, kind: str, start: int, n: int, pictures: int) -> Tensor:
    """Entries start ... start + n - 1 of an endless row of shuffled rounds through all pictures."""
    rounds = range(start // pictures, (start + n - 1) // pictures + 1)
    row = torch.cat([torch.randperm(pictures, generator=generator(seed, kind, "round", i)) for i in rounds])
    return row[start - rounds[0] * pictures :][:n]


def uniform(n: int, sigmas: Tensor, g: torch.Generator) -> Tensor:
    """All timesteps alike: the field's standard."""
    return torch.randint(0, len(sigmas), (n,), generator=g)


def lognormal(n: int, sigmas: Tensor, g: torch.Generator) -> Tensor:
    """The timesteps nearest to log-normal noise levels: mostly the middle ones, where shapes are decided."""
    log_sigma = LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.randn(n, generator=g)
    return (sigmas.log()[None] - log_sigma[:, None]).abs().argmin(dim=1)


TIMESTEPS = {"uniform": uniform, "lognormal": lognormal}
