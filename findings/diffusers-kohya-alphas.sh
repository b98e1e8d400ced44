#!/usr/bin/env bash
# diffusers 0.42.1 with PEFT 0.21.2: a kohya LoRA whose layers have different alphas loads with wrong scales. Every
# layer should get (alpha / rank) up down, as in kohya's own code and in ComfyUI; PEFT only warns of ignored
# alpha_pattern keys.
#
# Seen (the output, relative to what the LoRA changes):
#   one alpha for all layers: 1.8e-05 off
#   an alpha of its own in each: 9.3e-01 off
# Exits with 1 where any of this is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import copy

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=8, block_out_channels=(32, 64), cross_attention_dim=16, attention_head_dim=4, layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)  # fmt: skip
RANK = 4
paths = [path for path, _ in unet.named_modules() if path.endswith(("to_q", "to_k", "to_v"))]
x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 16)
parts = {}
for path in paths:
    out, inputs = unet.get_submodule(path).weight.shape
    parts[path] = torch.randn(RANK, inputs) / inputs**0.5, torch.randn(out, RANK) * 0.1


def drawn(model):
    with torch.no_grad():
        return model(x, 500, text).sample


base = drawn(unet)
for kind, alphas in (("one alpha for all layers", [2.0]), ("an alpha of its own in each", [0.5, 4.0, 9.0])):
    alpha = {path: alphas[i % len(alphas)] for i, path in enumerate(paths)}
    wanted, state = copy.deepcopy(unet), {}
    for path, (down, up) in parts.items():
        key = "lora_unet_" + path.replace(".", "_")
        state[f"{key}.lora_down.weight"], state[f"{key}.lora_up.weight"] = down, up
        state[f"{key}.alpha"] = torch.tensor(alpha[path])
        wanted.get_submodule(path).weight.data += alpha[path] / RANK * up @ down
    found = copy.deepcopy(unet)
    state, network_alphas = StableDiffusionPipeline.lora_state_dict(state, unet_config=found.config)
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=network_alphas, unet=found)
    off = ((drawn(found) - drawn(wanted)).norm() / (drawn(wanted) - base).norm()).item()
    print(f"{kind}: {off:.1e} off")
    assert (off > 0.05) == (len(alphas) > 1), "alphas are read otherwise now"
PY
