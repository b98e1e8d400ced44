"""Base models for tests: Stable Diffusion 1.5's exact folder layout and key names, random weights of tiny width."""

import json
import shutil
from pathlib import Path

import assets

SIZE_PX = 64
# Equal where the real widths are equal, or other layers would have a shortcut convolution.
UNET = {"block_out_channels": [32, 64, 96, 96], "cross_attention_dim": 32, "sample_size": SIZE_PX // 8}
VAE = {"block_out_channels": [32, 64, 96, 96], "sample_size": SIZE_PX}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "projection_dim": 32}


def config(folder: Path) -> Path:
    """A copy of the shipped Stable Diffusion 1.5 configs with the widths made tiny."""
    shutil.copytree(assets.path("sd15-config"), folder)
    for part, changes in (("unet", UNET), ("vae", VAE), ("text_encoder", TEXT)):
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def modules(folder: Path, seed: int = 0) -> dict:
    """unet, vae and text_encoder with random weights for the configs in `folder`."""
    from training.base import guard

    guard.prepare()
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return {
            "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet")),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder")),
        }


def sd15(folder: Path, *, variant: str | None = None, seed: int = 0) -> Path:
    """Write the model folder as the hub has it; `variant="fp16"` writes half precision under the variant's names."""
    from safetensors.torch import save_file

    config(folder)
    for part, module in modules(folder, seed).items():
        state = {key: value.half() if variant else value for key, value in module.state_dict().items()}
        if part == "text_encoder":  # the hub's files have the prefix that transformers 5 no longer writes
            state = {key if key.startswith("text_model.") else f"text_model.{key}": v for key, v in state.items()}
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        name = f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, folder / part / name, {"format": "pt"})
    return folder


def output(unet, batch):
    """A UNet's output for latents, a timestep and a text, in the UNet's own precision."""
    import torch

    dtype = unet.conv_in.weight.dtype
    latents, t, text = batch
    with torch.no_grad():
        return unet(latents.to(dtype), t, text.to(dtype)).sample
