"""The load-back check finds an exact file exact and a wrong one wrong, and leaves the model as it was."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import delora
from delora.export import to_diffusers, to_kohya
from evaluation.loadback import load_back
from training.base.models import load_base


@pytest.fixture
def moved(sd15_folder, tmp_path):
    """A base model with a DeLoRA that has left its start, and the base."""
    base = load_base(str(sd15_folder), data=tmp_path)
    adapter = delora.attach(base.unet, delora.AdapterConfig(rank=4, lambda_=8.0))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter) * parameter.abs().mean() * 2)
    return base, adapter


def output(base):
    """The UNet's answer to one fixed input."""
    torch.manual_seed(1)
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 77, base.unet.config.cross_attention_dim)
    with torch.no_grad():
        return base.unet(x, 300, text).sample


@pytest.mark.parametrize("write", [to_kohya, to_diffusers])
def test_an_exact_export_is_found_exact(moved, tmp_path, write):
    base, adapter = moved
    write(adapter, tmp_path / "biscuit.safetensors")
    before = output(base)
    found = load_back(base, adapter, tmp_path / "biscuit.safetensors", prompt="a sks dog")
    assert found.unet_difference <= 5e-6
    assert found.picture_difference <= 1e-3
    assert adapter.strength == 1 and torch.equal(output(base), before)
    assert json.loads(json.dumps(found.to_dict()))["file"] == "biscuit.safetensors"
    assert "loaded back by diffusers' own loader" in found.words


def test_a_file_with_another_displacement_is_found_out(moved, tmp_path):
    base, adapter = moved
    path = tmp_path / "wrong.safetensors"
    to_kohya(adapter, path)
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    halved = {key: value / 2 if ".lora_up." in key else value for key, value in tensors.items()}
    save_file(halved, path, metadata)
    assert load_back(base, adapter, path, prompt="a sks dog").unet_difference > 1e-3


def test_a_strength_other_than_one_is_kept(moved, tmp_path):
    base, adapter = moved
    to_kohya(adapter, tmp_path / "biscuit.safetensors")
    adapter.strength = 0.5
    assert load_back(base, adapter, tmp_path / "biscuit.safetensors", prompt="a dog").unet_difference <= 5e-6
    assert adapter.strength == 0.5
