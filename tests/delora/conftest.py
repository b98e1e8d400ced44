"""What the adapters' tests share."""

import pytest
import torch
from tinynets import Net


@pytest.fixture
def make_net():
    """net(dtype, seed): the same weights for the same seed."""

    def make(dtype=torch.float32, seed=0):
        torch.manual_seed(seed)
        return Net().to(dtype)

    return make


@pytest.fixture
def inputs():
    """inputs(dtype): an (x, context) pair for the net."""

    def make(dtype=torch.float32, seed=1):
        generator = torch.Generator().manual_seed(seed)
        return (
            torch.randn(2, 6, 32, generator=generator).to(dtype),
            torch.randn(2, 5, 48, generator=generator).to(dtype),
        )

    return make


@pytest.fixture
def randomise():
    """randomise(adapter): moves every trainable number away from its start, as some training would."""

    def move(adapter, seed=2, size=0.3):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in adapter.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(noise.to(parameter.dtype), alpha=size * 0.3 if parameter.numel() == 1 else size)
        return adapter

    return move


@pytest.fixture(scope="session")
def batch():
    """What a tiny Stable Diffusion UNet is asked: latents (1, 4, 8, 8), a timestep, a text (1, 7, 32)."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(1, 4, 8, 8, generator=g), torch.tensor(401), torch.randn(1, 7, 32, generator=g)
