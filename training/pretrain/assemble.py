"""Puts the trained parts together as one folder that stock `StableDiffusionPipeline.from_pretrained` opens.

    python -m training.pretrain.assemble --vae .pretrain/vae --unet .pretrain/unet

Tensors are written as float16 under the plain file names, with `"dtype": "float32"` where a config names one, so that a
plain `from_pretrained` opens everything in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

import assets
from training.pretrain.clip import level_unread_words
from training.pretrain.jobs import save_half
from training.pretrain.tokenizer import save_tokenizer, world_tokenizer
from training.pretrain.toyworld import world
from training.pretrain.unet import scheduler


def assemble(vae: Path, unet: Path, out: Path) -> None:
    """Writes the pipeline folder `out` beside the old one, then swaps them."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    text, tokenizer = CLIPTextModel.from_pretrained(unet / "text_encoder", torch_dtype=torch.float32), world_tokenizer()
    level_unread_words(text.embeddings.token_embedding.weight, tokenizer)
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float32),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel.from_pretrained(unet / "unet", torch_dtype=torch.float32),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    pipe.unet.half(), pipe.vae.half()
    pipe.save_pretrained(new)
    save_half(text, new / "text_encoder", prefix="text_model.")
    save_tokenizer(tokenizer, new / "tokenizer")
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)
    write_facts(out.parent / "world.json")


def write_facts(file: Path) -> None:
    """What the program tells a user about the toy model: the words it knows."""
    facts = {
        "classes": list(world.CLASSES),
        "places": [{"name": p.name, "phrases": list(p.phrases)} for p in world.PLACES],
        "colours": list(world.COLOURS),
        "rare_tokens": list(world.RARE_TOKENS),
    }
    file.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, default=Path(".pretrain/vae"))
    parser.add_argument("--unet", type=Path, default=Path(".pretrain/unet"))
    parser.add_argument("--out", type=Path, default=assets.path("embedded", "pipeline"))
    options = parser.parse_args()
    assemble(options.vae, options.unet, options.out)
