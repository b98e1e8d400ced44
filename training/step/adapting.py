"""Between a spec's adapter settings and the library: attaching, and measuring for the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import delora
from training.errors import BadInput

if TYPE_CHECKING:
    from training.base.models import BaseModel
    from training.spec import RunSpec


def attach(base: BaseModel, spec: RunSpec, name: str = "default") -> delora.Adapter:
    """A new adapter for a spec on its base model. Raises BadInput naming the setting that does not fit."""
    try:
        return delora.attach(base.unet, spec.adapter.to_config(spec.targets), seed=spec.seed, name=name)
    except ValueError as error:
        field = str(error).partition(":")[0]
        where = field if field == "targets" else f"adapter.{field}"
        raise BadInput(str(error), "", where if field.isidentifier() else "adapter") from error


def relative_geometry(adapter: delora.Adapter) -> dict[str, dict[str, float | None]]:
    """Per layer its distance from the pretrained weight, bound and usual reach in units of ||W||_F, and its lambda."""

    def share(value: float | None, norm: float) -> float | None:
        return None if value is None else float(f"{value / norm:.6g}")  # short lines in a long file

    return {
        layer.name: {
            "distance": share(layer.distance, layer.weight_norm),
            "bound": share(layer.bound, layer.weight_norm),
            "reach": share(layer.reach, layer.weight_norm),
            "lambda": layer.lambda_,
        }
        for layer in adapter.geometry()
    }
