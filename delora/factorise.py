"""An adapter's displacement as balanced low-rank products, in float64, ready to be cast and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .inject import Adapter
from .products import Factors


class Layer(NamedTuple):
    """One layer's displacement up @ down, and the shape of its weight, which convolutions need."""

    down: Tensor  # (r, in), or (r, in h w) of a convolution
    up: Tensor  # (out, r)
    shape: torch.Size

    def stored(self, dtype: torch.dtype) -> Factors:
        """The factors in the shapes that LoRA files have: (r, in, h, w) and (out, r, 1, 1) for a convolution."""
        down, up = self.down.to(dtype).contiguous(), self.up.to(dtype).contiguous()
        if len(self.shape) == 4:
            down, up = down.view(-1, *self.shape[1:]), up[:, :, None, None]
        return Factors(down, up)


def balanced(down: Tensor, up: Tensor, rank: int | None = None) -> Factors:
    """The matrix up @ down as factors of equal size, sorted by singular value, in float64; at most `rank` of them.

    QR of both factors, then the SVD of the small middle. A cast to half precision then costs what the rounding of a
    balanced pair costs; a frozen-copy displacement cast as it stands would miss several times that.
    """
    q_up, r_up = torch.linalg.qr(up.double())  # (out, r), (r, r)
    q_down, r_down = torch.linalg.qr(down.double().mT)  # (in, r), (r, r)
    u, s, vh = torch.linalg.svd(r_up @ r_down.mT, full_matrices=False)
    root = s[:rank].sqrt()
    return Factors(root[:, None] * (vh[:rank] @ q_down.mT), (q_up @ u[:, :rank]) * root)


@torch.no_grad()
def exact_factors(adapter: Adapter, path: str) -> Factors:
    """Balanced factors of the displacement of the layer at `path`, at strength 1.

    Raises ValueError where it has full rank.
    """
    factors = adapter.layers[path].low_rank(adapter.linears[path].weight)
    if factors is None:
        raise ValueError(
            f"{adapter.config.method}: its displacement has full rank, so no LoRA file can hold it exactly. "
            "Export a merged model, a file for ComfyUI, or an approximate file of a chosen rank."
        )
    return balanced(factors.down.cpu(), factors.up.cpu())


@torch.no_grad()
def any_factors(adapter: Adapter, path: str) -> Factors:
    """As `exact_factors`; for a displacement of full rank, factors of full rank."""
    layer, weight = adapter.layers[path], adapter.linears[path].weight
    if layer.low_rank(weight) is not None:
        return exact_factors(adapter, path)
    u, s, vh = torch.linalg.svd(layer.dense(weight).flatten(1).cpu(), full_matrices=False)
    return Factors(s.sqrt()[:, None] * vh, u * s.sqrt())


@torch.no_grad()
def plain_layers(
    adapters: Sequence[Adapter], dtype: torch.dtype, compact: int | None
) -> tuple[dict[str, Layer], float]:
    """Module path -> all adapters' displacements together, each at its strength; and the relative error in `dtype`.

    With `compact` of at most that rank; what has no matrix to factorise, norms and biases, is then missing.

    Raises ValueError where a displacement has full rank and `compact` is None.
    """
    if compact is not None and compact < 1:
        raise ValueError(f"compact: must be a rank of at least 1, not {compact}.")
    factors_of = exact_factors if compact is None else any_factors
    layers, squared_error, squared_size = {}, 0.0, 0.0
    for path in dict.fromkeys(path for adapter in adapters for path in adapter.layers):
        present = [adapter for adapter in adapters if path in adapter.layers]
        missing = _outside(present, path) if compact is not None else 0.0
        squared_error, squared_size = squared_error + missing, squared_size + missing
        shape = present[0].linears[path].weight.shape
        if len(shape) == 1 and compact is not None:
            continue
        parts = [(adapter.strength, factors_of(adapter, path)) for adapter in present]
        exact = joined([Factors(f.down, f.up * strength) for strength, f in parts])
        down, up = balanced(*exact, rank=compact)
        layers[path] = Layer(down, up, shape)
        stored = Factors(down.to(dtype).double(), up.to(dtype).double())
        squared_error += squared_norm(joined([exact, Factors(stored.down, -stored.up)]))
        squared_size += squared_norm(exact)
    return layers, (squared_error / squared_size) ** 0.5 if squared_size else 0.0


def _outside(adapters: Sequence[Adapter], path: str) -> float:
    """The squared size of what no product of matrices holds: the displacement of a bias or of a norm."""
    sums: dict[str, Tensor] = {}
    for adapter in adapters:
        for name, moved in adapter.layers[path].displacements(adapter.linears[path]).items():
            if moved.ndim == 1:
                sums[name] = sums.get(name, 0) + adapter.strength * moved
    return sum(moved.square().sum().item() for moved in sums.values())


def largest_rank(layers: Mapping[str, Layer]) -> int:
    """The largest rank of them all. Raises ValueError where there are no layers."""
    if not layers:
        raise ValueError("None of the adapted layers has a matrix that a LoRA file could hold.")
    return max(layer.down.shape[0] for layer in layers.values())


def listed(adapters: Adapter | Sequence[Adapter]) -> list[Adapter]:
    """One adapter, or several, as a list."""
    return [adapters] if isinstance(adapters, Adapter) else list(adapters)


def joined(parts: list[Factors]) -> Factors:
    """The sum of several products as one."""
    return Factors(torch.cat([p.down for p in parts]), torch.cat([p.up for p in parts], dim=1))


def squared_norm(f: Factors) -> float:
    """||up @ down||_F^2, from Gram matrices."""
    return ((f.up.mT @ f.up) * (f.down @ f.down.mT)).sum().clamp(min=0).item()
