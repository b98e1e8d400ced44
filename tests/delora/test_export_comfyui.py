"""Files for ComfyUI, read as ComfyUI's published loader reads them: its formulas, restated in float64 on dense weights.

The loader (comfy/lora.py, comfy/weight_adapter/) adds strength * (alpha / r) up @ down to a weight; with `dora_scale`
it scales the changed weight, on the output axis by the norms of the weight as it was, on the input axis by those of the
changed one; `.diff` and `.diff_b` are added to weight and bias.
"""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import delora
from delora.export_comfyui import to_comfyui
from delora.imports import attach_lora, read_lora

CASES = {
    "delora": dict(method="delora", rank=4),
    "ether-plus": dict(method="ether-plus"),
    "dora": dict(method="dora", rank=4),
    "dora-fixed": dict(method="dora-fixed", rank=4),
    "dora patterns": dict(method="dora", rank=4, alpha=6.0, rank_pattern={"to_k": 2, "attn2.to_q": 7}),
    "dora-columns": dict(method="dora-columns", rank=4),
    "oft": dict(method="oft"),
    "full": dict(method="full", targets=("*",)),
}


def comfyui(key, weight, bias, tensors, strength):
    """What ComfyUI makes of a layer's weight and bias."""
    part = {end: tensors[f"{key}.{end}"].double() for end in PARTS if f"{key}.{end}" in tensors}
    eps = torch.finfo(torch.float32).eps
    if "lora_up.weight" in part:
        lora_diff = part["lora_up.weight"] @ part["lora_down.weight"]
        alpha = part["alpha"] / part["lora_down.weight"].shape[0]
        if "dora_scale" not in part:
            return weight + strength * alpha * lora_diff, bias
        scale, calc = part["dora_scale"], weight + alpha * lora_diff
        on_output_axis = scale.shape[0] == calc.shape[0]
        norm = weight.norm(dim=1, keepdim=True) if on_output_axis else calc.norm(dim=0, keepdim=True)
        return weight + strength * (calc * (scale / (norm + eps)) - weight), bias
    if "diff" in part:
        weight = weight + strength * part["diff"]
    if "diff_b" in part:
        bias = bias + strength * part["diff_b"]
    return weight, bias


PARTS = ("lora_up.weight", "lora_down.weight", "alpha", "dora_scale", "diff", "diff_b")


def drawn(net, tensors, batch, strength=1.0):
    """The net's output with every layer changed as ComfyUI would; every tensor of the file must be of some layer."""
    seen = set()
    for path, module in net.named_modules():
        if getattr(module, "weight", None) is not None:
            names = [f"{prefix}{path.replace('.', '_')}" for prefix in ("lora_unet_", "lycoris_")]  # it knows both
            key = names[any(key.startswith("lycoris_") for key in tensors)]
            seen |= {f"{key}.{end}" for end in PARTS}
            module.weight.data, bias = comfyui(key, module.weight.data, module.bias, tensors, strength)
            if module.bias is not None:
                module.bias.data = bias.data
    assert set(tensors) <= seen
    return net(*batch)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-6), (torch.float16, 3e-3)])
@pytest.mark.parametrize("name", CASES)
def test_comfyui_computes_what_the_adapter_does(name, dtype, tolerance, make_net, inputs, randomise, tmp_path):
    net, batch = make_net(torch.float64), inputs(torch.float64)
    adapter = randomise(delora.attach(net, delora.AdapterConfig(**CASES[name])), size=0.1)
    wanted = net(*batch)
    written = to_comfyui(adapter, tmp_path / "a.safetensors", dtype)
    tensors = load_file(tmp_path / "a.safetensors")
    assert all(t.dtype == dtype for key, t in tensors.items() if not key.endswith("dora_scale"))
    found = drawn(make_net(torch.float64), tensors, batch)
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert written.error <= tolerance
    assert (written.rank == 0) == (name in ("oft", "full"))
    for strength in (0.5, -0.3):  # linear there as here
        adapter.strength = strength
        found, wanted = drawn(make_net(torch.float64), tensors, batch, strength), net(*batch)
        assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_a_program_that_knows_norms_per_column_alone_finds_no_dora_to_get_wrong(
    name, make_net, inputs, randomise, tmp_path
):
    """AUTOMATIC1111 and InvokeAI know layers by `lora_unet_` and take every `dora_scale` for (1, in)."""
    adapter = randomise(delora.attach(make_net(), delora.AdapterConfig(**CASES[name])), size=0.1)
    to_comfyui(adapter, tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    read = {key: t for key, t in tensors.items() if key.startswith("lora_unet_")}
    assert len(read) == (0 if adapter.config.method in ("dora", "dora-fixed") else len(tensors))
    assert all(t.shape[0] == 1 for key, t in read.items() if key.endswith(".dora_scale"))


def test_a_sum_with_a_dora_in_it_becomes_whole_differences(make_net, inputs, randomise, tmp_path):
    net, batch = make_net(torch.float64), inputs(torch.float64)
    a = randomise(delora.attach(net, delora.AdapterConfig(method="dora", rank=2), name="a"), size=0.1)
    b = randomise(delora.attach(net, delora.AdapterConfig(rank=2, targets=("to_q",)), name="b"), size=0.1)
    a.strength, b.strength = 0.7, 0.4
    wanted = net(*batch)
    to_comfyui([a, b], tmp_path / "a.safetensors")
    found = drawn(make_net(torch.float64), load_file(tmp_path / "a.safetensors"), batch)
    assert (found - wanted).abs().max() <= 2e-6 * wanted.abs().max()


@pytest.mark.parametrize("name", ["dora", "dora-columns"])
def test_a_dora_for_comfyui_comes_back_as_the_same_dora(name, make_net, inputs, randomise, tmp_path):
    net, batch = make_net(), inputs()
    adapter = randomise(delora.attach(net, delora.AdapterConfig(**CASES[name])), size=0.1)
    wanted = net(*batch)
    to_comfyui(adapter, tmp_path / "a.safetensors")
    adapter.detach()
    again, _ = attach_lora(net, read_lora(tmp_path / "a.safetensors"))
    assert again.config.method == name
    torch.testing.assert_close(net(*batch), wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())


def test_every_number_of_a_unet_has_a_name_that_comfyui_knows(sd15_folder, tmp_path):
    """ComfyUI's own map is of the diffusers names of all weights, with underscores, and biases beside them."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(sd15_folder / "unet")
    adapter = delora.attach(unet, delora.AdapterConfig(method="full", targets=("*",)))
    nn.init.ones_(adapter.layers["conv_in"].db)
    to_comfyui(adapter, tmp_path / "a.safetensors", torch.float16)
    adapter.detach()
    names = {"weight": "diff", "bias": "diff_b"}
    wanted = set()
    for key in unet.state_dict():
        module, _, kind = key.rpartition(".")
        wanted.add(f"lora_unet_{module.replace('.', '_')}.{names[kind]}")
    assert set(load_file(tmp_path / "a.safetensors")) == wanted
