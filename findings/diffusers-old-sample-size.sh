#!/usr/bin/env bash
# diffusers 0.42.1: building a StableDiffusionPipeline changes the UNet it is given. Where the UNet's config was written
# by a diffusers before 0.9 and says a sample_size below 64, as those of Stable Diffusion 1.1 to 1.5 were first
# published, the pipeline sets it to 64 in the UNet's own config. A program that reads the size from unet/config.json,
# or from a UNet that was loaded by itself, works at 256 px where the pipeline draws at 512.
#
# Seen:
#   written by 0.6.0: 32 loaded, 64 once a pipeline holds it
#   written by 0.9.0: 32 loaded, 32 once a pipeline holds it
# Exits with 1 where that is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 transformers==5.24.0
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import json
import tempfile
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

unet = UNet2DConditionModel(
    sample_size=32, block_out_channels=(32, 64), cross_attention_dim=16, attention_head_dim=4, layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)  # fmt: skip
vae = AutoencoderKL()
for version, wanted in (("0.6.0", 64), ("0.9.0", 32)):
    folder = Path(tempfile.mkdtemp())
    unet.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_diffusers_version": version}))
    loaded = UNet2DConditionModel.from_pretrained(folder)
    before = loaded.config.sample_size
    StableDiffusionPipeline(
        vae=vae, text_encoder=None, tokenizer=None, unet=loaded, scheduler=DDIMScheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    print(f"written by {version}: {before} loaded, {loaded.config.sample_size} once a pipeline holds it")
    assert (before, loaded.config.sample_size) == (32, wanted), "sizes are read otherwise now"
PY
