"""A small attention net with the layer names of Stable Diffusion's UNet, for the adapters' tests."""

import torch
from torch import nn


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
