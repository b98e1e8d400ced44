#!/usr/bin/env bash
# transformers 5.24.0: add_adapter asks for peft 0.22.0, and the newest peft on PyPI is 0.21.2. So with the newest
# versions of everything no transformers model takes an adapter, and diffusers 0.42.1, which adds a LoRA's text encoder
# part that way, cannot load a Stable Diffusion LoRA with one.
#
# Seen:
#   ValueError: The version of PEFT you are using is not compatible, please use a version >= 0.22.0
#   newest peft: 0.21.2
# Exits with 1 where add_adapter works, or a peft that it takes is published.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 peft==0.21.2
cd "$folder" && "$folder/venv/bin/python" -W ignore - <<'PY'
from peft import LoraConfig
from transformers import CLIPTextConfig, CLIPTextModel

small = dict(hidden_size=32, intermediate_size=64, num_attention_heads=4, num_hidden_layers=1, vocab_size=100)
model = CLIPTextModel(CLIPTextConfig(**small))
try:
    model.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
    assert "0.22.0" in str(error), "another reason now"
else:
    raise SystemExit("add_adapter works now")
PY
if "$folder/venv/bin/pip" download -q --no-deps -d "$folder" "peft>=0.22.0" 2>/dev/null; then
    echo "peft 0.22.0 or later is published now"
    exit 1
fi
"$folder/venv/bin/pip" download -q --no-deps -d "$folder" peft
echo "newest peft: $(ls "$folder" | sed -n 's/^peft-\(.*\)-py3.*/\1/p')"
