"""ControlNet folders are checked before they are loaded, and fit their base model or are refused in words."""

import json

import pytest
import tinycontrol
import torch

import assets
from training.base import controlnet
from training.errors import BadInput, MissingModel


@pytest.fixture
def folder(tiny_base, tmp_path):
    return tinycontrol.build(tmp_path / "control", tiny_base.unet)


def test_a_folder_that_fits_is_loaded_frozen(tiny_base, folder, tmp_path):
    made = controlnet.load(str(folder), tiny_base, tmp_path)
    assert made.name == "control" and made.folder.factor == 4 and len(made.fingerprint) == 16
    assert not made.module.training and not any(p.requires_grad for p in made.module.parameters())


def test_fp16_variants_are_found(tiny_base, tmp_path):
    folder = tinycontrol.build(tmp_path / "half", tiny_base.unet, variant="fp16")
    made = controlnet.load(str(folder), tiny_base, tmp_path)
    assert made.folder.variant == "fp16" and made.folder.weights[0].name.endswith(".fp16.safetensors")
    assert made.module.dtype == tiny_base.unet.dtype == torch.float32


def test_one_that_shrinks_its_picture_otherwise_is_refused_before_it_is_run(tiny_base, tmp_path):
    folder = tinycontrol.build(tmp_path / "eight", tiny_base.unet, factor=8)
    with pytest.raises(BadInput, match="eight shrinks its picture 8 times, and the base model's latents are 4 times"):
        controlnet.load(str(folder), tiny_base, tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"_class_name": "T2IAdapter"}, "is a T2IAdapter, no ControlNet"),
        ({"cross_attention_dim": 1024}, "was made for text of width 1024, and the base model has text of width 16"),
        ({"in_channels": 9}, "latents of 9 channels"),
        ({"block_out_channels": [8, 32]}, r"blocks of widths \[8, 32\]"),
        ({"conditioning_channels": 4}, "takes pictures of 4 channels"),
        ({"conditioning_embedding_out_channels": "wide"}, "config.json is damaged: what it says of conditioning_emb"),
    ],
)
def test_others_are_refused_in_words(tiny_base, folder, tmp_path, changes, words):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(BadInput, match=words) as refused:
        controlnet.load(str(folder), tiny_base, tmp_path)
    assert refused.value.field == "control"


def test_damaged_and_missing_ones_are_refused(tiny_base, folder, tmp_path):
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(BadInput, match="cannot be loaded"):
        controlnet.load(str(folder), tiny_base, tmp_path)
    weights.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(BadInput, match="a pickle"):
        controlnet.load(str(folder), tiny_base, tmp_path)
    for ref, words in (
        ("controlnet-seg", "delora models get controlnet-seg"),
        ("gone", "There is no ControlNet 'gone'"),
        ("~no-such-user/x", "There is no ControlNet"),
        ("x" * 300, "There is no ControlNet"),
    ):
        with pytest.raises(MissingModel, match=words):
            controlnet.load(ref, tiny_base, tmp_path)


def test_stable_diffusions_own_controlnet_fits_it(tmp_path):
    """The settings that differ from diffusers' defaults in control_v11p_sd15_seg, against the shipped UNet config."""
    unet = json.loads(assets.path("sd15-config", "unet", "config.json").read_text())
    settings = {"_class_name": "ControlNetModel", "cross_attention_dim": 768, "attention_head_dim": 8}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "diffusion_pytorch_model.fp16.safetensors").touch()
    found = controlnet.inspect(str(tmp_path), unet, 8, tmp_path)
    assert (found.variant, found.factor) == ("fp16", 8)
