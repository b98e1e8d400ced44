"""A tiny Stable Diffusion with random weights, laid out like the embedded model, and runs on it.

8 latent channels, 2 levels, cross-attention at every level, v-prediction, prompts of 16 tokens, 32-pixel pictures.
"""

from pathlib import Path

SIZE_PX = 32
WORDS = ("a photo of the dog cat owl in on snow beach forest jungle street cobblestone sks", ("zwx",))
UNET = {
    "sample_size": SIZE_PX // 4,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D",) * 2,
    "up_block_types": ("CrossAttnUpBlock2D",) * 2,
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 4,
}
VAE = {
    "latent_channels": 8,
    "block_out_channels": (8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "norm_num_groups": 4,
    "sample_size": SIZE_PX,
    "scaling_factor": 0.9,
}
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def build(folder: Path, prediction_type: str = "v_prediction", seed: int = 0) -> Path:
    """Write the pipeline's folder and return it."""
    from training.base import guard

    guard.prepare()
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from training.pretrain.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(WORDS[0].split(), WORDS[1], max_length=16)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(**VAE),
            text_encoder=CLIPTextModel(text),
            tokenizer=tokenizer,
            unet=UNet2DConditionModel(**UNET),
            scheduler=DDIMScheduler(**SCHEDULER, prediction_type=prediction_type),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def photos(folder: Path, count: int = 3, size: int = 48) -> list[Path]:
    """Write colourful pictures with hard edges, each its own."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        paths.append(folder / f"photo-{i}.png")
        Image.fromarray(coarse).resize((size, size), Image.Resampling.NEAREST).save(paths[-1])
    return paths


def spec(folder: Path, **changes):
    """A RunSpec for a few quick steps on the model in `folder`."""
    from training import presets
    from training.adapterspec import read_fields

    small = {
        "base": str(folder),
        "class_word": "dog",
        "steps": 6,
        "save_every": 2,
        "batch_size": 2,
        "class_pictures": 3,
        "class_steps": 2,
        "threads": 1,
        "mixed_precision": "no",
        "adapter": {"rank": 4},
        "sample": {"prompts": ("a {subject} in the snow",), "seeds": (0, 1), "steps": 2, "guidance": 3.0},
    }
    method = changes.get("adapter", {}).get("method", "delora")
    if "rank" not in read_fields(method):
        del small["adapter"]
    return presets.make_spec("embedded", method, "quick", **presets.merged(small, changes))


def run(data: Path, folder: Path, **changes):
    """A queued run on the model in `folder` with three pictures."""
    from training.runs import rundir
    from training.subject import intake

    run_spec = spec(folder, **changes)
    cleaned = data / f"cleaned-{len(rundir.list_runs(data))}"
    pictures = intake.prepare(photos(data / "photos"), cleaned, SIZE_PX)
    return rundir.create(data, run_spec, pictures)
