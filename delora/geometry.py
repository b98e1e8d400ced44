"""How far an adapter has moved each layer from its pretrained weight, and how far it can: the figures' quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .methods import Method
from .products import f64


@dataclass(frozen=True)
class LayerGeometry:
    """One adapted layer. `distance`, `weight_norm`, `bound` and `reach` are Frobenius norms in one unit."""

    name: str  # module path
    distance: float  # ||dW||_F, at strength 1
    weight_norm: float  # ||W||_F
    bound: float | None  # what ||dW||_F cannot exceed with the lambda of now; None where nothing is guaranteed
    reach: float | None  # where r independent directions usually end: about the bound over sqrt(r)
    lambda_: float | None  # as it acts, after lambda_max

    @property
    def relative(self) -> float:
        """||dW||_F / ||W||_F."""
        return self.distance / self.weight_norm


@torch.no_grad()
def measure(
    layers: Mapping[str, Method], linears: Mapping[str, nn.Linear], weight_norms: dict[str, float]
) -> list[LayerGeometry]:
    """One entry a layer. `weight_norms` keeps ||W||_F between calls (W does not change); it is filled here."""
    missing = [path for path in layers if path not in weight_norms]
    if missing:
        norms = torch.stack([frobenius(linears[path].weight) for path in missing]).tolist()
        weight_norms.update(zip(missing, norms, strict=True))
    rows = []
    for path, layer in layers.items():
        lambda_ = layer.bounded_lambda() if hasattr(layer, "bounded_lambda") else None
        distance = layer.distance(linears[path].weight)
        rows.append((distance, layer.bound(weight_norms[path]), layer.reach(weight_norms[path]), lambda_))
    # One transfer from the device for all numbers of all layers.
    numbers = iter(torch.stack([_scalar(v, distance) for row in rows for v in row if v is not None]).tolist())
    values = [[None if v is None else next(numbers) for v in row] for row in rows]
    return [
        LayerGeometry(path, distance, weight_norms[path], bound, reach, lambda_)
        for path, (distance, bound, reach, lambda_) in zip(layers, values, strict=True)
    ]


def frobenius(weight: Tensor) -> Tensor:
    """||W||_F as a float64 scalar."""
    return f64(weight.detach()).norm()


def _scalar(value: Tensor | float, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(())
