"""What a base model can do, read from its configs: sizes, prediction type, prompt length, the words it knows."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.base import unetlayers

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class Capabilities:
    """Facts about one base model that the rest of the program must not assume.

    size_px: edge of the square pictures it was trained on.
    latent_channels: channels of the latent the UNet works on (4 for Stable Diffusion).
    vae_factor: pixels per latent cell along one edge (8 for Stable Diffusion).
    prediction_type: "epsilon" or "v_prediction".
    max_tokens: tokens of a prompt, with its begin and end mark.
    attention_layers: attention projections (q, k, v, out) an adapter can sit on.
    linears: all linear layers of the UNet, module path -> (in, out).
    size_multiple: edges of pictures must be multiples of it.
    embedded: the toy model that ships with the program.
    classes, places, colours: the words an embedded model was trained with, places as its captions say them ("in the
        snow"); () where any word may be known.
    rare_tokens: words its tokenizer keeps whole and its captions never used: names for a subject.
    """

    size_px: int
    latent_channels: int
    vae_factor: int
    prediction_type: str
    max_tokens: int
    attention_layers: int
    linears: Mapping[str, tuple[int, int]] = field(repr=False, compare=False)
    size_multiple: int
    embedded: bool = False
    classes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    rare_tokens: tuple[str, ...] = ()


def from_configs(configs: Mapping[str, Mapping], world: Path | None = None) -> Capabilities:
    """Read the capabilities of a pipeline.

    Args:
        configs: the JSON of "unet", "vae", "scheduler", "tokenizer" and "text_encoder", by component.
        world: the embedded model's `world.json`, None for any other model.
    """
    vae_factor = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
    words = json.loads(world.read_text("utf-8")) if world else {}
    words["places"] = [place["phrases"][0] for place in words.get("places", ())]
    return Capabilities(
        size_px=sample_size(configs["unet"]) * vae_factor,
        latent_channels=configs["unet"]["in_channels"],
        vae_factor=vae_factor,
        prediction_type=configs["scheduler"].get("prediction_type", "epsilon"),
        # Some tokenizers say 1e30 for "no limit"; the text encoder's positions are the limit then.
        max_tokens=int(
            min(configs["tokenizer"].get("model_max_length", 1e30), configs["text_encoder"]["max_position_embeddings"])
        ),
        attention_layers=attention_projections(configs["unet"]),
        linears=unetlayers.linears(configs["unet"]),
        # Every level of the UNet halves the latent, and its skip connections must meet again on the way up.
        size_multiple=vae_factor * 2 ** (len(configs["unet"]["block_out_channels"]) - 1),
        embedded=world is not None,
        **{key: tuple(words.get(key, ())) for key in ("classes", "places", "colours", "rare_tokens")},
    )


def sample_size(unet: Mapping) -> int:
    """Edge of the latents that a UNet was trained on, as diffusers reads its config.

    Configs from before diffusers 0.9 say 32 for what is 64 (Stable Diffusion 1.1 to 1.5 as first published); its
    pipelines take less than 64 from such a one as 64.
    """
    size = unet["sample_size"]
    written = re.match(r"(\d+)\.(\d+)", str(unet.get("_diffusers_version", "")))
    old = written is not None and (int(written[1]), int(written[2])) < (0, 9)
    return 64 if old and isinstance(size, int) and size < 64 else size


def attention_projections(unet: Mapping) -> int:
    """Count a UNet's attention projections from its config, without building it (128 for SD 1.5)."""
    ends = tuple(f".{name}" for name in PROJECTIONS)
    return sum(path.endswith(ends) for path in unetlayers.linears(unet))
