"""A small attention net with the layer names of Stable Diffusion's UNet, and helpers that several tests share."""

import pytest
import torch
from torch import nn

METHODS = (
    "lora",
    "dora",
    "dora-fixed",
    "lora-normalised",
    "delora",
    "ether",
    "ether-plus-one-sided",
    "ether-plus",
    "ether-plus-controllable",
    "ether-plus-high-rank",
    "ether-plus-relaxed",
    "oft",
)


class Attention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.to_q = nn.Linear(width, 40, bias=False)
        self.to_k = nn.Linear(context, 40, bias=False)
        self.to_v = nn.Linear(context, 40, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(40, width), nn.Dropout(0.0)])

    def forward(self, x, context):
        y = nn.functional.scaled_dot_product_attention(self.to_q(x), self.to_k(context), self.to_v(context))
        return x + self.to_out[0](y)


class Net(nn.Module):
    """(batch, tokens, 32) and (batch, words, 48) -> (batch, tokens, 32)."""

    def __init__(self):
        super().__init__()
        self.attn1, self.attn2 = Attention(32, 32), Attention(32, 48)
        self.head = nn.Linear(32, 32)
        self.checkpointing = False

    def forward(self, x, context):
        if self.checkpointing:
            x = torch.utils.checkpoint.checkpoint(self.attn1, x, x, use_reentrant=False)
        else:
            x = self.attn1(x, x)
        return self.head(self.attn2(x, context))


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
