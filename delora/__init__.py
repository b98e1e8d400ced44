"""Adapter methods for the linear layers of any torch model: DeLoRA and its neighbours.

import delora
adapter = delora.attach(model, delora.AdapterConfig(method="delora", rank=16, targets=("query", "value")))
optimizer = torch.optim.AdamW(adapter.parameter_groups(lr=2e-2, lr_lambda=1e-3))
"""

from . import dora, lowrank, oft, reflections  # noqa: F401  each registers its methods
from .config import AdapterConfig
from .files import load, save
from .inject import Adapter, attach
from .methods import METHODS

__all__ = ["METHODS", "Adapter", "AdapterConfig", "attach", "load", "save"]
