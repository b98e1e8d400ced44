"""An adapter's files: written in every format that holds it, and loaded by those who did not write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

import delora
from delora import export
from training.base import guard

guard.prepare()  # a torchvision that does not match torch would end diffusers' import
import peft  # noqa: E402
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel  # noqa: E402


def write_all(adapter: delora.Adapter, folder: Path) -> Iterator[tuple[str, Path]]:
    """Each export that holds the adapter exactly, in both precisions: what it is, and where."""
    for dtype in (torch.float32, torch.float16):
        for kind, write in (("kohya", export.to_kohya), ("diffusers", export.to_diffusers), ("PEFT", export.to_peft)):
            precision = str(dtype).removeprefix("torch.")
            path = folder / f"{kind}-{precision}{'' if kind == 'PEFT' else '.safetensors'}"
            try:
                write(adapter, path, dtype)
            except ValueError:  # this format cannot hold the method
                continue
            yield f"{kind} {precision}", path


@contextmanager
def loaded(unet: UNet2DConditionModel, path: Path) -> Iterator[nn.Module]:
    """The UNet with an export, loaded by stock PEFT (a folder) or stock diffusers (a file)."""
    if path.is_dir():
        model = peft.PeftModel.from_pretrained(unet, path)
        yield model
        model.unload()
        return
    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipe = StableDiffusionPipeline(unet=unet, scheduler=DDIMScheduler(), requires_safety_checker=False, **parts)
    pipe.load_lora_weights(path)
    yield unet
    pipe.unload_lora_weights()
