"""Single `.safetensors` checkpoints in the original Stable Diffusion 1.x layout, as ComfyUI users own them.

Reading needs no network: the configs and the tokenizer ship in `assets/sd15-config`.
"""

import json
from pathlib import Path

import assets
from training.base.ldm_keys import unet_key, vae_key
from training.base.modelfolder import prefixed
from training.errors import BadInput

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
REMEDY = "Take a Stable Diffusion 1.x checkpoint, or a diffusers folder of Stable Diffusion 1.x or 2.x."

# A key that only one family's files have -> what to call it.
SIGNS = {
    "conditioner.embedders.": "a Stable Diffusion XL checkpoint",
    "model.diffusion_model.label_emb.": "a Stable Diffusion XL checkpoint",
    "model.diffusion_model.joint_blocks.": "a Stable Diffusion 3 checkpoint",
    "model.diffusion_model.double_blocks.": "a Flux checkpoint",
    "double_blocks.": "a Flux checkpoint",
    "cond_stage_model.model.": "a Stable Diffusion 2.x checkpoint",
    "lora_unet_": "an adapter (LoRA), not a model",
    "lora_te_": "an adapter (LoRA), not a model",
    "base_model.model.": "an adapter (PEFT), not a model",
    "control_model.": "a ControlNet, not a model",
}


def check(path: Path, config: Path | None = None) -> None:
    """Check that the file is a whole Stable Diffusion 1.x checkpoint of the size that `config` says.

    Reads the header only.

    Args:
        config: a folder in diffusers' layout with the configs; None is Stable Diffusion 1.5's, which ships.

    Raises:
        BadInput: names the file and what it is instead.
    """
    from safetensors import SafetensorError, safe_open

    config = config or assets.path("sd15-config")
    if path.suffix.lower() != ".safetensors":
        raise BadInput(
            f"{path} is not a .safetensors file; other kinds are pickles, which can run code when they are opened.",
            "Take the .safetensors version of this model.",
            field="base",
        )
    try:
        with safe_open(path, "np") as file:  # "pt" would import torch
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged or cut short ({error}).", "Download it again.", field="base") from None
    for sign, name in SIGNS.items():
        if any(key.startswith(sign) for key in shapes):
            raise BadInput(f"{path} is {name}.", REMEDY, field="base")
    for prefix, name in ((UNET, "UNet"), (VAE, "autoencoder"), (TEXT, "text encoder")):
        if not any(key.startswith(prefix) for key in shapes):
            raise BadInput(f"{path} holds no {name}.", REMEDY, field="base")
    wanted = json.loads((config / "unet" / "config.json").read_text("utf-8"))
    found = [*shapes.get(f"{UNET}input_blocks.0.0.weight", ()), 0, 0]
    if found[1] != wanted["in_channels"]:
        raise BadInput(
            f"{path} takes {found[1]} channels, not {wanted['in_channels']}: an inpainting or editing model.",
            "Take the plain text-to-image version of it.",
            field="base",
        )
    if found[0] != wanted["block_out_channels"][0]:
        raise BadInput(f"{path} has an unknown size ({found[0]} channels at its start).", REMEDY, field="base")


def load(path: Path, config: Path | None = None, dtype: str = "float32") -> dict:
    """Load a checkpoint's parts, offline.

    Returns:
        {"unet", "vae", "text_encoder", "tokenizer", "scheduler_config"}

    Raises:
        BadInput: see `check`; also when tensors are missing or of another shape.
    """
    check(path, config)
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.loaders.single_file_utils import SingleFileComponentError
    from diffusers.utils import logging

    logging.disable_progress_bar()
    config = config or assets.path("sd15-config")
    try:
        pipe = StableDiffusionPipeline.from_single_file(
            str(path),
            config=str(config),
            local_files_only=True,
            torch_dtype=getattr(torch, dtype),
            safety_checker=None,
            **_bare_text_encoder(path, config, dtype),
        )
    except (ValueError, KeyError, RuntimeError, OSError, SingleFileComponentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} does not load as Stable Diffusion 1.x ({reason}).", REMEDY, field="base") from error
    parts = {name: getattr(pipe, name) for name in ("unet", "vae", "text_encoder", "tokenizer")}
    for name in ("unet", "vae", "text_encoder"):
        # Tensors that the file lacks stay on the meta device.
        left = [key for key, tensor in parts[name].state_dict().items() if tensor.is_meta]
        if left:
            raise BadInput(f"{path} lacks {len(left)} tensors of the {name} ({left[0]} ...).", REMEDY, field="base")
    return parts | {"scheduler_config": {"_class_name": type(pipe.scheduler).__name__, **pipe.scheduler.config}}


def _bare_text_encoder(path: Path, config: Path, dtype: str) -> dict:
    """{"text_encoder"} of a checkpoint that spells its keys without `text_model.`, as NovelAI's; else {}.

    diffusers finds no text encoder in such a file.
    """
    import torch
    from safetensors import safe_open
    from transformers import CLIPTextConfig, CLIPTextModel

    with safe_open(path, "pt") as file:
        keys = {key.removeprefix(TEXT): key for key in file.keys() if key.startswith(TEXT)}  # noqa: SIM118
        if any(key.startswith("text_model.") for key in keys):
            return {}
        model = CLIPTextModel(CLIPTextConfig.from_pretrained(str(config / "text_encoder")))
        wanted = {name: name.removeprefix("text_model.") for name in model.state_dict()}
        if missing := sorted(set(wanted.values()) - keys.keys()):
            raise BadInput(
                f"{path} lacks {len(missing)} tensors of the text_encoder ({missing[0]} ...).", REMEDY, field="base"
            )
        model.load_state_dict({name: file.get_tensor(keys[bare]) for name, bare in wanted.items()})
    return {"text_encoder": model.to(getattr(torch, dtype)).eval()}


def write(path: Path, *, unet, vae, text_encoder, dtype: str = "float16") -> Path:
    """Write the parts as one checkpoint in the original layout, the file that ComfyUI and AUTOMATIC1111 load.

    Raises:
        BadInput: when the text encoder is not Stable Diffusion 1.x's (2.x files spell theirs differently).
    """
    import torch

    from delora.files import write_safetensors

    if unet.config.use_linear_projection:
        raise BadInput(
            "A Stable Diffusion 2.x model cannot be written as one file.", "Save it as a folder.", field="format"
        )
    state = {UNET + unet_key(key, unet.config): value for key, value in unet.state_dict().items()}
    vae_levels = len(vae.config.block_out_channels)
    for key, value in vae.state_dict().items():
        key = vae_key(key, vae_levels)
        # The original autoencoder's attention is made of 1 x 1 convolutions.
        is_projection = ".attn_1." in key and key.endswith(".weight") and not key.endswith("norm.weight")
        state[VAE + key] = value[:, :, None, None] if is_projection and value.ndim == 2 else value
    for key, value in text_encoder.state_dict().items():
        state[TEXT + prefixed(key)] = value
    state = {key: value.detach().to("cpu", getattr(torch, dtype)).contiguous() for key, value in state.items()}
    write_safetensors(state, path, {"format": "pt", "modelspec.architecture": "stable-diffusion-v1"})
    return path
