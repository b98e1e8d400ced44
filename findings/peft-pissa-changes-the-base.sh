#!/usr/bin/env bash
# PEFT 0.21.2: an adapter folder that was started with init_lora_weights="pissa", "pissa_niter_4" or "olora" does not
# hold what was trained. PEFT takes the first B A out of the base weight, at the start and again whenever the folder is
# loaded. So
#   - W + (alpha / r) B A, which is what the tensors say to every other reader, is another model;
#   - loading such a folder changes the base model for good: after unload() it is not what it was;
#   - with "pissa_niter_N", whose start is drawn at random, PEFT itself does not get back what it saved.
# The setting stands in adapter_config.json alone. The folder that save_pretrained(..., path_initial_model_for_weight_
# conversion=...) writes is a plain LoRA.
#
# Seen (a linear layer of random weights, 20 steps; differences relative to what training changed):
#   pissa:         plain reading 9.5e-01, loaded by PEFT 0.0e+00, base after unload() 6.3e-01 of W, converted 8.0e-08
#   pissa_niter_4: plain reading 9.2e-01, loaded by PEFT 6.8e-01, base after unload() 6.1e-01 of W, converted 7.9e-08
#   olora:         plain reading 1.4e+00, loaded by PEFT 0.0e+00, base after unload() 9.9e-01 of W, converted 8.8e-08
# Exits with 1 where any of this is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.24.0
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
import copy
import json
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q = torch.nn.Linear(32, 24)

    def forward(self, x):
        return self.q(x)


torch.manual_seed(0)
base, x = Net(), torch.randn(16, 32)
W = base.q.weight.detach().clone()


def whole(model):
    """The weight that a PEFT model computes with."""
    layer = model.base_model.model.q
    return (layer.base_layer.weight + layer.get_delta_weight("default")).detach()


def plain(folder):
    """W + (alpha / r) B A, as the file's tensors say."""
    config = json.loads((folder / "adapter_config.json").read_text())
    t = load_file(folder / "adapter_model.safetensors")
    A, B = (t[f"base_model.model.q.lora_{name}.weight"] for name in "AB")
    return W + config["lora_alpha"] / config["r"] * B @ A


for start in ("pissa", "pissa_niter_4", "olora"):
    root = Path(tempfile.mkdtemp())
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q"], init_lora_weights=start)
    model = get_peft_model(copy.deepcopy(base), config)
    model.peft_config["default"].init_lora_weights = True  # as PEFT's documentation has it
    model.save_pretrained(root / "start")
    model.peft_config["default"].init_lora_weights = start
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    trained = whole(model)
    model.save_pretrained(root / "saved")
    loaded = PeftModel.from_pretrained(copy.deepcopy(base), root / "saved")
    by_peft = whole(loaded)
    left = loaded.unload().q.weight.detach()
    model.save_pretrained(root / "converted", path_initial_model_for_weight_conversion=str(root / "start"))

    def off(found):
        return ((found - trained).norm() / (trained - W).norm()).item()

    changed = ((left - W).norm() / W.norm()).item()
    print(
        f"{start}: plain reading {off(plain(root / 'saved')):.1e}, loaded by PEFT {off(by_peft):.1e}, "
        f"base after unload() {changed:.1e} of W, converted {off(plain(root / 'converted')):.1e}"
    )
    assert off(plain(root / "saved")) > 0.5, "the plain reading is right now"
    assert changed > 0.05, "unload() gives the base back now"
    assert off(plain(root / "converted")) < 1e-4, "the conversion no longer gives a plain LoRA"
    assert (off(by_peft) > 0.05) == ("niter" in start), "PEFT's own loading behaves otherwise"
PY
