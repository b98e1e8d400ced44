"""Whether a spec can be trained on its base model, asked before a run is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import sample
from training.base import codec, precision
from training.step.adapting import attach
from training.step.noise import Schedule

if TYPE_CHECKING:
    from training.base.models import BaseModel
    from training.spec import SubjectSpec


def validate(spec: SubjectSpec, base: BaseModel) -> list[str]:
    """Check a spec against its base model before a run is made of it.

    Returns warnings in words. Raises BadInput for what cannot be trained: a rank above a layer's size, an unknown
    target, a resolution that does not fit, a precision that the device lacks.
    """
    sample.latent_shape(base, spec.resolution)
    precision.choose(spec.mixed_precision, base.unet.device)
    Schedule(base.scheduler_config)
    attach(base, spec).detach()
    warnings = []
    known = base.capabilities.classes
    if known and spec.class_word.lower() not in known:
        warnings.append(f"{base.name} does not know the word {spec.class_word!r}. It knows {', '.join(sorted(known))}.")
    prompts = [spec.instance_prompt, *map(spec.prompt, spec.sample.prompts)]
    prompts += [spec.class_prompt] if spec.with_prior else []
    prompts += [spec.sample.negative] if spec.sample.guidance > 1 else []
    return warnings + codec.cut_off(base, prompts)
