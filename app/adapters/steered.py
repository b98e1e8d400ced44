"""How a map steers what is drawn: as the run was taught that is drawn with, or by a ControlNet of the base model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import BadInput
from training.maps import PICTURE, SEGMENTATION

if TYPE_CHECKING:
    import numpy as np

    from app.adapters.sources import Source
    from training.base.models import BaseModel
    from training.maps.steering.protocols import Steering
    from training.spec import MapsSpec


def which(source: Source | None, control: str | None, embedded: bool, kind: str = SEGMENTATION) -> str | None:
    """The ControlNet that pictures follow a map with; None where the run that is drawn with has its own hint encoder.

    Args:
        source: what is drawn with; a run of maps brings what it was taught with. control: another ControlNet than that.
        embedded: whether the base model is the built-in one. kind: what is shown to it, of `training.maps.controls`.

    Raises BadInput where a ControlNet is named beside a run's own encoder, or none for a kind that the usual one does
    not follow.
    """
    from training.base import controlnet

    spec = _taught(source)
    _check_kind(kind, kind_of(source), control)
    if spec and spec.protocol == "hint-encoder":
        if control is not None:
            raise BadInput("This run learned a hint encoder of its own.", "Leave --control out.", "control")
        return None
    return control or (spec.controlnet if spec else controlnet.usual(embedded))


def steering(
    base: BaseModel,
    source: Source | None,
    control: str | None,
    scale: float | None,
    data: Path,
    kind: str = SEGMENTATION,
) -> tuple[Steering, dict[str, Any]]:
    """What brings maps to `base`, and what is told of it with each picture.

    Args: as `which`. scale: another hold on the map than the run's, or 1.

    Raises:
        BadInput, MissingModel: the ControlNet is not here, does not fit or follows something else, or the run has
            learned its own encoder.
    """
    from training.maps.steering import taking
    from training.maps.steering.protocols import FrozenControlNet

    ref, spec = which(source, control, base.capabilities.embedded, kind), _taught(source)
    scale = (spec.control_scale if spec else 1.0) if scale is None else float(scale)
    if ref is None:
        from evaluation.maps.drawn import steering_of

        made = steering_of(source.run, base, source.step, data)
        made.scale = scale
        return made, {"control": "its hint encoder", "control_scale": scale}
    net = taking.frozen(base, ref, data)
    facts = {"control": net.name, "control_fingerprint": net.fingerprint, "control_scale": scale}
    return FrozenControlNet(net.module, scale), facts


def _taught(source: Source | None) -> MapsSpec | None:
    """The spec of the run of maps that is drawn with."""
    return source.run.spec if source and source.run and source.run.spec.follows_maps else None


def kind_of(source: Source | None) -> str:
    """What is shown where nobody says: what the run that is drawn with was taught to follow, or a map."""
    spec = _taught(source)
    return spec.control_kind if spec else SEGMENTATION


def _check_kind(kind: str, usual: str, control: str | None) -> None:
    """Raises BadInput where a ControlNet that nobody named would be shown what it does not follow."""
    if control is None and kind not in (usual, PICTURE):
        raise BadInput(
            f"The ControlNet follows {usual}, not {kind}.", f"Name one for {kind} with --control.", "control"
        )


def caption_of(labels: np.ndarray) -> str:
    """The caption of a map that is drawn without a prompt: its largest classes."""
    from training.maps import IGNORED, captions, reading

    counts = reading.count(labels)
    return captions.from_classes({i: float(counts[i] / counts.sum()) for i in range(IGNORED) if counts[i]})
