"""An adapter's displacement as one balanced low-rank product, in float64, ready to be cast and written."""

from __future__ import annotations

import torch
from torch import Tensor

from .inject import Adapter
from .products import Factors


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
            "Export a merged model, or an approximate file of a chosen rank."
        )
    return balanced(factors.down.cpu(), factors.up.cpu())


@torch.no_grad()
def any_factors(adapter: Adapter, path: str) -> Factors:
    """As `exact_factors`; for a displacement of full rank, factors of full rank."""
    layer, weight = adapter.layers[path], adapter.linears[path].weight
    if layer.low_rank(weight) is not None:
        return exact_factors(adapter, path)
    u, s, vh = torch.linalg.svd(layer.dense(weight).cpu(), full_matrices=False)
    return Factors(s.sqrt()[:, None] * vh, u * s.sqrt())


def joined(parts: list[Factors]) -> Factors:
    """The sum of several products as one."""
    return Factors(torch.cat([p.down for p in parts]), torch.cat([p.up for p in parts], dim=1))


def squared_norm(f: Factors) -> float:
    """||up @ down||_F^2, from Gram matrices."""
    return ((f.up.mT @ f.up) * (f.down @ f.down.mT)).sum().clamp(min=0).item()
