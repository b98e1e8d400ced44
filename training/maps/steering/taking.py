"""A run of maps made ready: its steering opened, for training and drawing alike, and its pairs encoded."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from training.base import controlnet
from training.maps import dataset
from training.maps.steering import objective
from training.maps.steering.protocols import FrozenControlNet, HintEncoder

if TYPE_CHECKING:
    from training.base.models import BaseModel
    from training.maps.steering.objective import FromMaps
    from training.maps.steering.protocols import Steering
    from training.runs.run import Run
    from training.spec import MapsSpec
    from training.step.objective import Watch

_opened: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # base model -> (ref, its ControlNet)


def frozen(base: BaseModel, ref: str, data: Path) -> controlnet.Control:
    """The ControlNet `ref` on the base model's device, opened once for all that train and draw with that base.

    Raises as `controlnet.load`.
    """
    kept, control = _opened.get(base, ("", None))
    if kept != ref:
        control = controlnet.load(ref, base, data)
        _opened[base] = (ref, control)
    control.module.to(base.unet.device)
    return control


def steering(spec: MapsSpec, base: BaseModel, data: Path) -> Steering:
    """What brings maps to the base model as the spec's protocol has it; a hint encoder is new, from the spec's seed.

    Raises as `controlnet.load`.
    """
    return STEERINGS[spec.protocol](spec, base, data)


def _frozen_controlnet(spec: MapsSpec, base: BaseModel, data: Path) -> FrozenControlNet:
    return FrozenControlNet(frozen(base, spec.controlnet, data).module, spec.control_scale)


def _hint_encoder(spec: MapsSpec, base: BaseModel, data: Path) -> HintEncoder:
    made = HintEncoder.of(base.unet, base.capabilities.vae_factor, spec.seed, spec.learning_rate_hint)
    made.scale = spec.control_scale
    return made


STEERINGS = {"frozen-controlnet": _frozen_controlnet, "hint-encoder": _hint_encoder}


def take_in(run: Run, base: BaseModel, data: Path, watch: Watch) -> FromMaps:
    """The objective of a run: its ControlNet or encoder, and its pairs encoded.

    Raises BadInput where its pairs are gone, and as `steering`.
    """
    pairs = dataset.read(run.path, dataset.TRAINING)
    made = steering(run.spec, base, data)
    pictures, captions = [pair.picture for pair in pairs], [pair.caption for pair in pairs]
    return objective.prepare(base, run.spec, made, pictures, captions, run.spec.control_kind)
