"""Adapter methods for the linear layers of any torch model: DeLoRA and its neighbours.

import torch, delora

model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
adapter = delora.attach(model, delora.AdapterConfig(method="delora", rank=4, targets=("0", "2")))
optimizer = torch.optim.AdamW(adapter.parameter_groups(lr=1e-2, lr_lambda=1e-3))
for x in torch.randn(50, 16, 32):
    (model(x) - x[:, :8]).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
delora.save(adapter, "adapter.safetensors")
adapter.detach()  # the model is as it was, bit for bit
delora.load(model, "adapter.safetensors").merge()  # or the adapter is folded into its weights
"""

from . import dora, full, lowrank, oft, reflections  # noqa: F401  each registers its methods
from .config import METHODS, AdapterConfig
from .files import load, save
from .inject import Adapter, attach, merge
from .slot import by_rows

__all__ = ["METHODS", "Adapter", "AdapterConfig", "attach", "by_rows", "load", "merge", "save"]
