"""Full finetuning: every weight of the chosen layers is free. The baseline of the paper's Table 3, DreamBooth's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import AdapterConfig
from .methods import Method, register
from .products import f64


@register("full")
class Full(Method):
    """W' = W + dW and b' = b + db, every number of dW and db learnable, 0 at the start (Ruiz et al. 2023).

    It sits on linear layers, convolutions and norms, and trains their biases too. With the target "*" these are all
    the numbers that Stable Diffusion's UNet has: 859,520,964 in version 1.5. Embeddings and custom parameters, which
    that UNet has none of, are not covered.

    Such layers are linear in W and b, so the displacement is applied beside them like any other method's: W is not
    touched, detaching restores the model to the bit, several adapters add up, and small steps are not rounded away by a
    base in half precision. It takes a second product a layer. Weight decay pulls towards the pretrained weights.
    """

    kinds = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)

    @classmethod
    def on(cls, layer: nn.Module, config: AdapterConfig, generator: torch.Generator) -> Full:
        method = cls(layer.weight.detach(), config, generator)
        if layer.bias is not None:
            method.db = _zeros(layer.bias)
        return method

    def __init__(self, weight: Tensor, config: AdapterConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.dW = _zeros(weight)

    def add_to(self, y: Tensor, x: Tensor, linear: nn.Module, y0: Tensor) -> Tensor:
        dtype = y.dtype
        dW, db = self.keep("moved", lambda: [None if t is None else t.to(dtype) for t in self._moved()], dtype)
        return torch.add(y, _apply(linear, self.drop(x.to(dtype)), dW, db), alpha=self.strength)

    def _moved(self) -> tuple[Tensor, Tensor | None]:
        return self.dW, self._parameters.get("db")

    def dense(self, weight: Tensor) -> Tensor:
        return f64(self.dW)

    def displacements(self, layer: nn.Module) -> dict[str, Tensor]:
        return {name: f64(t) for name, t in zip(("weight", "bias"), self._moved(), strict=True) if t is not None}

    def distance(self, weight: Tensor) -> Tensor:
        return f64(self.dW).norm()


def _zeros(like: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32)))


def _apply(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the layer computes, with other weights."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    if isinstance(layer, nn.Conv2d):
        return layer._conv_forward(x, weight, bias)
    if isinstance(layer, nn.GroupNorm):
        return F.group_norm(x, layer.num_groups, weight, bias, layer.eps)
    return F.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
