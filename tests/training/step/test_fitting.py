"""What is said of a spec from the base model's configs alone is what the real modules say."""

import json

import pytest
import tinymodels
import torch

import assets
from training import presets
from training.base import models, unetlayers
from training.errors import BadInput
from training.step import fitting
from training.subject import validate

# What is wrong, beside nothing: (method, changes, the field at fault)
CASES = [
    ("delora", {"adapter": {"rank": 96}}, None),
    ("delora", {"adapter": {"rank": 97}}, "adapter.rank"),
    ("lora", {"adapter": {"rank": 97, "rank_pattern": {"attn1.to_q": 8}}}, "adapter.rank"),
    ("lora", {"adapter": {"rank": 32, "rank_pattern": {"to_k": 97}}}, "adapter.rank_pattern"),
    ("lora", {"adapter": {"rank": 8, "rank_pattern": {"nowhere": 2}}}, "adapter.rank_pattern"),
    ("lora", {"adapter": {"rank": 8, "rank_pattern": {"to_k": 0}}}, "adapter.rank_pattern"),
    ("delora", {"adapter": {"rank": 8, "lambda_pattern": {"to_k": -1}}}, "adapter.lambda_pattern"),
    ("delora", {"adapter": {"rank": 8, "lambda_max": 5, "lambda_pattern": {"to_k": 6}}}, "adapter.lambda_pattern"),
    ("delora", {"adapter": {"rank": 8}, "targets": ("to_q", "to_z")}, "targets"),
    ("delora", {"adapter": {"rank": 8}, "targets": ("q",)}, "targets"),
    ("delora", {"adapter": {"rank": 8}, "targets": ("ff.net.0.proj", "linear_1", "time_emb_proj")}, None),
    ("delora", {"adapter": {"rank": 8}, "resolution": 100}, "resolution"),
    ("oft", {"adapter": {"blocks": 4}}, None),
    ("oft", {"adapter": {"blocks": 5}}, "adapter.blocks"),
    ("ether-plus-one-sided", {"adapter": {"blocks": 32}, "targets": ("ff.net.2",)}, None),
    ("ether-plus", {"adapter": {"blocks": 7}}, "adapter.blocks"),
    ("ether-plus-high-rank", {"adapter": {"rank": 7}}, "adapter.rank"),
    ("ether-plus-relaxed", {"adapter": {"rank": 6}}, None),
    ("delora", {"adapter": {"rank": 8}, "mixed_precision": "fp16"}, "mixed_precision"),
]


def cases(narrowest):
    """The cases with ranks around a model's narrowest layer."""
    text = json.dumps([[method, changes, field] for method, changes, field in CASES])
    return json.loads(text.replace("96", str(narrowest)).replace("97", str(narrowest + 1)))


@pytest.mark.parametrize("model", ["embedded", "sd15_folder"])
def test_what_fits_is_what_the_real_modules_take(model, request, tmp_path):
    ref = model if model == "embedded" else str(request.getfixturevalue(model))
    base = models.load_base(ref, data=tmp_path)
    caps = models.describe(ref, tmp_path)
    for method, changes, field in cases(96 if model == "embedded" else 32):
        spec = presets.make_spec("embedded", method, "quick", class_word="dog", base=ref, **changes)
        try:
            validate.validate(spec, base)
            fits = True
        except BadInput:
            fits = False
        assert [fault.field for fault in fitting.faults(spec, caps, gpu=False)] == ([field] if field else []), changes
        assert fits == (field is None), (method, changes)


def test_the_largest_rank_is_told_from_the_narrowest_layer(tmp_path):
    caps = models.describe("embedded", tmp_path)
    [fault] = fitting.faults(presets.make_spec("embedded", class_word="dog", adapter={"rank": 1000}), caps)
    assert fault.remedy == "Choose at most 96."
    assert fitting.faults(presets.make_spec("embedded", class_word="dog", adapter={"rank": 96}), caps) == []


@pytest.mark.parametrize(
    "change",
    [
        {},
        tinymodels.UNET,
        {"layers_per_block": [1, 2, 1, 2], "transformer_layers_per_block": [1, 2, 1, 3]},
        {"use_linear_projection": True, "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024},
        {"down_block_types": ["CrossAttnDownBlock2D"] * 4, "up_block_types": ["CrossAttnUpBlock2D"] * 4},
        {"attention_head_dim": 3, "block_out_channels": [32, 64]}
        | {"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"]}
        | {"up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]},
    ],
)
def test_linear_layers_read_from_a_config_are_those_of_the_module(change):
    from diffusers import UNet2DConditionModel

    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text()) | change
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    there = {
        path: (m.in_features, m.out_features) for path, m in unet.named_modules() if isinstance(m, torch.nn.Linear)
    }
    assert unetlayers.linears(config) == there


def test_the_embedded_models_layers_are_read_right(tmp_path):
    base = models.load_base("embedded", data=tmp_path)
    linears = ((path, m) for path, m in base.unet.named_modules() if isinstance(m, torch.nn.Linear))
    assert base.capabilities.linears == {path: (m.in_features, m.out_features) for path, m in linears}
