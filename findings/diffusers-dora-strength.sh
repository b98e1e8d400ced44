#!/usr/bin/env bash
# diffusers 0.42.1 with PEFT 0.21.2: a DoRA at a strength other than 1 is not the DoRA's change at that strength.
# set_adapters(..., weights=s) scales B A inside the norm, m (W + s B A) / ||W + s B A||, so the magnitudes stay whole:
# at 0 a DoRA still changes the model, and at 0.5 it is far from W + 0.5 (W' - W), which ComfyUI and LyCORIS compute.
# With LoRA the two are the same.
#
# Seen (a layer's weight, relative to the share of the change that was asked for):
#   lora: at 0.5 4.8e-07 off, at 0 changed by 0.0e+00 of the whole change
#   dora: at 0.5 6.0e-01 off, at 0 changed by 5.6e-01 of the whole change
# Exits with 1 where any of this is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=8, block_out_channels=(32, 64), cross_attention_dim=16, attention_head_dim=4, layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)  # fmt: skip
path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
W = unet.get_submodule(path).weight.detach().clone()


def weight(strength):
    """What the layer computes with: its answer to every unit vector."""
    unet.set_adapters(["a"], weights=[strength])
    with torch.no_grad():
        return unet.get_submodule(path)(torch.eye(W.shape[1])).T


for kind in ("lora", "dora"):
    unet.add_adapter(LoraConfig(r=4, target_modules=["to_q"], use_dora=kind == "dora"), adapter_name="a")
    for key, parameter in unet.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.05)
        if "magnitude" in key:
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
    change = weight(1.0) - W
    half = ((weight(0.5) - (W + 0.5 * change)).norm() / (0.5 * change).norm()).item()
    nothing = ((weight(0.0) - W).norm() / change.norm()).item()
    print(f"{kind}: at 0.5 {half:.1e} off, at 0 changed by {nothing:.1e} of the whole change")
    assert (half > 0.1) == (nothing > 0.1) == (kind == "dora"), "strengths are applied otherwise now"
    unet.delete_adapters("a")
PY
