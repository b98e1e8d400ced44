"""Between a person's side and the UNet's: prompts to embeddings, pictures to latents, latents to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from training.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

    from training.base.models import BaseModel

SHOWN_LETTERS = 60  # of a prompt that is spoken of
ENCODE_BATCH = 4  # at the UNet's resolution the autoencoder's activations are large


class Moments(NamedTuple):
    """The posterior of n pictures in the UNet's scale: z = mean + std * noise, each (n, C, h, w), fp32 on the CPU."""

    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def join(cls, parts: Sequence[Moments]) -> Moments:
        return cls(torch.cat([m for m, _ in parts]), torch.cat([s for _, s in parts]))


def cut_off(base: BaseModel, prompts: Sequence[str]) -> list[str]:
    """A sentence for each of `prompts` whose end a base model does not read, counted in tokens."""
    most, told = base.capabilities.max_tokens, []
    for prompt in dict.fromkeys(prompts):
        if (tokens := len(base.tokenizer(prompt).input_ids)) > most:
            shown = prompt if len(prompt) <= SHOWN_LETTERS else f"{prompt[:SHOWN_LETTERS]} ..."
            told.append(
                f"The prompt {shown!r} is longer than {base.name} reads, {tokens} tokens of {most}; its end is cut off."
            )
    return told


@torch.no_grad()
def encode_text(base: BaseModel, prompts: Sequence[str]) -> Tensor:
    """Embeddings of prompts, (n, tokens, width), as `StableDiffusionPipeline` makes them; longer prompts are cut."""
    device = base.text_encoder.device
    tokens = base.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=base.capabilities.max_tokens,
        truncation=True,
        return_tensors="pt",
    )
    masked = getattr(base.text_encoder.config, "use_attention_mask", None)
    mask = tokens.attention_mask.to(device) if masked else None
    return base.text_encoder(tokens.input_ids.to(device), attention_mask=mask)[0]


@torch.no_grad()
def encode_pictures(base: BaseModel, paths: Sequence[Path], size_px: int, mirrored: bool = False) -> Moments:
    """The posterior moments of picture files; `mirrored` encodes their mirror images (a latent cannot be flipped).

    Raises BadInput where there are none, or for one that cannot be read.
    """
    if not paths:
        raise BadInput("There are no pictures to train on.", "Make a new run with pictures.", "pictures")
    parts = []
    for start in range(0, len(paths), ENCODE_BATCH):
        pixels = torch.stack([_pixels(path, size_px) for path in paths[start : start + ENCODE_BATCH]])  # (b, 3, H, W)
        pixels = (pixels.flip(-1) if mirrored else pixels).to(base.vae.device, base.vae.dtype).contiguous()
        posterior = base.vae.encode(pixels).latent_dist
        scale, shift = _scale(base)
        mean, std = (posterior.mean - shift) * scale, posterior.std * scale
        parts.append(Moments(*(t.float().cpu().contiguous() for t in (mean, std))))
    return Moments.join(parts)


@torch.no_grad()
def decode_latents(base: BaseModel, latents: Tensor) -> list[Image.Image]:
    """Latents (n, C, h, w) to pictures."""
    from PIL import Image

    scale, shift = _scale(base)
    decoded = base.vae.decode((latents / scale + shift).to(base.vae.dtype), return_dict=False)[0]
    pixels = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
    return [Image.fromarray((picture * 255).round().astype("uint8")) for picture in pixels]


def _scale(base: BaseModel) -> tuple[float, float]:
    config = base.vae.config
    return config.scaling_factor, getattr(config, "shift_factor", None) or 0.0


def _pixels(path: Path, size_px: int) -> Tensor:
    """A picture file as (3, H, W) in -1 ... 1."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error, EOFError, ...
        raise BadInput(f"{path} cannot be read as a picture.", "Put it back from a copy, then resume.") from error
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32).copy()).permute(2, 0, 1) / 127.5 - 1
