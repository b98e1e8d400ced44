#!/usr/bin/env bash
# diffusers 0.42.1: convert_state_dict_to_kohya, meant for files that AUTOMATIC1111 and ComfyUI read,
#   - writes every alpha as a whole number (int64, where kohya's files have floats), and always the rank, so the
#     adapter's own scale lora_alpha / r is lost without a word;
#   - names a DoRA's magnitudes `..._attn1.to_q.lora_magnitude_vector`, with a point left in the layer's name and
#     without kohya's `dora_scale`, so no reader finds them; diffusers itself refuses to read its own file.
#
# Seen:
#   alpha: torch.int64 4 though the adapter's lora_alpha was 8
#   magnitudes: lora_unet_down_blocks_0_..._attn1.to_q.lora_magnitude_vector ; dora_scale: 0
#   read back by diffusers: ValueError The following keys have not been correctly renamed: ...
# Exits with 1 where any of this is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=8, block_out_channels=(32, 64), cross_attention_dim=16, attention_head_dim=4, layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)  # fmt: skip
unet.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q"], use_dora=True))
peft_state = {f"unet.{key}": t for key, t in get_peft_model_state_dict(unet).items()}
kohya = convert_state_dict_to_kohya(peft_state)

alphas = {key: t for key, t in kohya.items() if key.endswith(".alpha")}
key, alpha = next(iter(alphas.items()))
print("alpha:", alpha.dtype, alpha.item(), "though the adapter's lora_alpha was 8")
assert all(not t.is_floating_point() and t.item() == 4 for t in alphas.values()), "alphas are written otherwise now"

left = [key for key in kohya if "magnitude" in key]
print("magnitudes:", left[0], "; dora_scale:", sum("dora_scale" in key for key in kohya))
assert left and all(".to_q.lora_magnitude_vector" in key for key in left), "magnitudes are named otherwise now"
assert not any("dora_scale" in key for key in kohya)

try:
    state, _ = StableDiffusionPipeline.lora_state_dict(dict(kohya))
except Exception as error:
    print("read back by diffusers:", type(error).__name__, str(error)[:100].replace("\n", " "))
else:
    raise SystemExit("diffusers reads its own file now")
PY
