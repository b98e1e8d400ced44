"""Every made file of `madeloras.TABLE` becomes what it is, or is refused in the right words."""

import copy

import madeloras
import pytest
import torch
from tinymodels import output

import delora
from delora.export import to_diffusers, to_peft
from delora.export_comfyui import to_comfyui
from delora.imports import HoldsOthers, attach_lora, read_lora
from training.base.ldm_keys import aliases

TAKEN = {name: made for name, made in madeloras.TABLE.items() if not made.refused}
REFUSED = {name: made for name, made in madeloras.TABLE.items() if made.refused}


@pytest.fixture(scope="module")
def unet(sd15_folder):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(sd15_folder / "unet")


def by_equation(made, unet, batch):
    """The UNet's output in float64 with the layers' weights as the published equations change them."""
    twin = copy.deepcopy(unet).double()
    for path in madeloras.PATHS:
        twin.get_submodule(path).weight.data = madeloras.changed(unet, path, made.axis, made.scale)
    return output(twin, batch)


def difference(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("name", TAKEN)
@torch.no_grad()
def test_it_does_what_its_equation_says(name, unet, batch, tmp_path):
    made, base = TAKEN[name], output(unet, batch)
    file = read_lora(made.write(tmp_path / "made", unet))
    wanted = by_equation(made, unet, batch)
    assert difference(base.double(), wanted) > 1e-2
    if made.left_out:
        with pytest.raises(HoldsOthers, match=made.left_out):
            attach_lora(unet, file, aliases=aliases(unet))
    adapter, left_out = attach_lora(unet, file, aliases=aliases(unet), ignore_others=True)
    assert left_out == made.left_out
    assert adapter.config.method == {None: "lora", 0: "dora", 1: "dora-columns"}[made.axis]
    assert difference(output(unet, batch).double(), wanted) <= 5e-6
    adapter.strength = 0.4
    assert difference(output(unet, batch), output(merged(adapter, unet), batch)) <= 5e-6
    adapter.detach()
    assert torch.equal(output(unet, batch), base)


def merged(adapter, unet):
    """The UNet with every weight moved by the adapter's strength times its displacement."""
    twin = copy.deepcopy(unet)
    for path in adapter.layers:
        linear = twin.get_submodule(path)
        del linear.adapters
        linear._forward_hooks.clear()
        linear.weight.data += (adapter.strength * adapter.layers[path].dense(linear.weight)).float()
    return twin


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(name, unet, tmp_path):
    with pytest.raises(ValueError, match=REFUSED[name].refused) as error:
        attach_lora(unet, read_lora(REFUSED[name].write(tmp_path / "made", unet)), aliases=aliases(unet))
    assert str(tmp_path) in str(error.value)
    assert not any("adapters" in name for name, _ in unet.named_modules())


@pytest.mark.parametrize("name", ["dora-rows", "dora-columns"])
@torch.no_grad()
def test_a_dora_with_a_convolution_goes_out_again_as_it_came(name, unet, batch, tmp_path):
    """To a native file, ComfyUI's, and with norms per row to those of diffusers and PEFT, as the latter reads them."""
    import peft

    adapter, _ = attach_lora(unet, read_lora(TAKEN[name].write(tmp_path / "made", unet)))
    wanted = output(unet, batch)
    delora.save(adapter, tmp_path / "native.safetensors")
    files = {"comfyui": to_comfyui(adapter, tmp_path / "comfyui.safetensors")}
    if name == "dora-rows":
        files["diffusers"] = to_diffusers(adapter, tmp_path / "diffusers.safetensors")
        to_peft(adapter, tmp_path / "peft")
    adapter.detach()
    for kind, written in files.items():
        assert written.error <= 1e-6
        again, _ = attach_lora(unet, read_lora(tmp_path / f"{kind}.safetensors"))
        assert difference(output(unet, batch), wanted) <= 5e-6
        again.detach()
    again = delora.load(unet, tmp_path / "native.safetensors")
    assert torch.equal(output(unet, batch), wanted)
    again.detach()
    if name == "dora-rows":
        model = peft.PeftModel.from_pretrained(copy.deepcopy(unet), tmp_path / "peft")
        assert difference(model(*batch).sample, wanted) <= 5e-6


@pytest.mark.parametrize("name", ["dora-rows", "dora-columns"])
def test_a_dora_on_a_convolution_learns_as_its_equation_does(name, unet, tmp_path):
    """Gradients of A, B and m beside autograd through the dense equation, the norm held constant, in float64."""
    made, path = TAKEN[name], "down_blocks.0.resnets.0.conv1"  # 3 x 3
    conv = copy.deepcopy(unet).double().get_submodule(path)
    model = torch.nn.ModuleDict({"conv": conv})
    adapter = delora.attach(
        model, delora.AdapterConfig(method="dora" if made.axis == 0 else "dora-columns", rank=2, targets=("conv",))
    )
    method = adapter.layers["conv"]
    torch.nn.init.normal_(method.B, std=0.1)
    method.m.data *= 1.1
    x = torch.randn(2, conv.in_channels, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    conv(x).square().sum().backward()
    A, B, m = (t.detach().clone().requires_grad_() for t in (method.A, method.B, method.m))
    V = conv.weight + method.scale * (B @ A).view(conv.weight.shape)
    norms = torch.linalg.vector_norm(V, dim=[i for i in range(4) if i != made.axis], keepdim=True).detach()
    W = m.view([-1 if i == made.axis else 1 for i in range(4)]) * V / norms
    y = torch.nn.functional.conv2d(x, W, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), y)
    y.square().sum().backward()
    for found, wanted in ((method.A, A), (method.B, B), (method.m, m)):
        torch.testing.assert_close(found.grad, wanted.grad)
    assert torch.allclose(method.distance(conv.weight), (W - conv.weight).norm())
