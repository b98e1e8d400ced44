"""LoRA files of other programs: attached here they do what stock diffusers, PEFT or the written-out equation does."""

import copy
import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from tinymodels import output
from torch import nn

import delora
from delora.export import to_diffusers, to_kohya
from delora.imports import attach_lora, read_lora

ENDS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
STYLES = {  # how the names and the two factors are spelt
    "kohya": ("lora_unet_", ".lora_down.weight", ".lora_up.weight"),
    "diffusers": ("unet.", ".lora_A.weight", ".lora_B.weight"),
    "diffusers of 2023": ("unet.", ".lora.down.weight", ".lora.up.weight"),
    "attention processors": ("unet.", "_lora.down.weight", "_lora.up.weight"),
}


@pytest.fixture(scope="module")
def pipe(sd15_folder):
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(sd15_folder)


def difference(y, wanted):
    return ((y - wanted).abs().max() / wanted.abs().max()).item()


def matrices(unet, ends=ENDS, rank=lambda i: 3 + i % 4, seed=3):
    """Path -> (down, up), random, of differing ranks."""
    g = torch.Generator().manual_seed(seed)
    paths = [p for p, m in unet.named_modules() if isinstance(m, nn.Linear) and any(p.endswith(f".{e}") for e in ends)]
    found = {}
    for i, path in enumerate(paths):
        out, in_ = unet.get_submodule(path).weight.shape
        found[path] = torch.randn(rank(i), in_, generator=g) / in_**0.5, torch.randn(out, rank(i), generator=g) * 0.05
    return found


def named(path, style):
    prefix = STYLES[style][0]
    if style == "kohya":
        return prefix + path.replace(".", "_")
    if style == "attention processors":
        head, _, end = path.rpartition("to_")
        return f"{prefix}{head}processor.to_{end.removesuffix('.0')}"
    return prefix + path


def write(path, layers, style="kohya", alphas=None, extra=None, metadata=None):
    _, down_end, up_end = STYLES[style]
    tensors = dict(extra or {})
    for module, (down, up) in layers.items():
        tensors[named(module, style) + down_end], tensors[named(module, style) + up_end] = down, up
        if alphas:
            tensors[f"{named(module, style)}.alpha"] = torch.tensor(alphas(module))
    save_file({key: t.contiguous() for key, t in tensors.items()}, path, metadata)
    return path


def imported(unet, path, batch, **how):
    adapter, left_out = attach_lora(unet, read_lora(path), **how)
    found = output(unet, batch)
    adapter.detach()
    return found, adapter, left_out


def by_equation(unet, batch, change):
    """The UNet's output in float64 with every weight changed as `change(path, W)` says."""
    twin = copy.deepcopy(unet).double()
    for path, module in twin.named_modules():
        changed = change(path, module.weight.data) if isinstance(module, nn.Linear) else None
        if changed is not None:
            module.weight.data = changed
    return output(twin, batch)


# What the file's own readers make of it


@pytest.mark.parametrize("style", STYLES)
def test_the_same_file_in_stock_diffusers_gives_the_same(style, pipe, batch, tmp_path):
    ends = ENDS[:4] if style == "attention processors" else ENDS
    rank = (lambda i: 3 + i % 4) if style != "attention processors" else (lambda i: 4)  # old readers know one rank
    path = write(tmp_path / "a.safetensors", matrices(pipe.unet, ends, rank), style)
    base = output(pipe.unet, batch)
    pipe.load_lora_weights(path)
    wanted = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    found, adapter, left_out = imported(pipe.unet, path, batch)
    assert difference(base, wanted) > 1e-2  # the file does something
    assert difference(found, wanted) <= 5e-6
    assert torch.equal(output(pipe.unet, batch), base)
    assert len(adapter.layers) == (160 if len(ends) == 6 else 128) and left_out == ""


def test_one_alpha_for_all_layers_as_diffusers_reads_it(pipe, batch, tmp_path):
    path = write(tmp_path / "a.safetensors", matrices(pipe.unet, rank=lambda i: 4), alphas=lambda module: 1.5)
    pipe.load_lora_weights(path)
    wanted = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    assert difference(imported(pipe.unet, path, batch)[0], wanted) <= 5e-6


def test_every_layers_own_alpha_and_rank(pipe, batch, tmp_path):
    """Where stock diffusers goes wrong: W + (alpha / r) up down, written out in float64."""
    layers = matrices(pipe.unet)
    alphas = {module: 0.5 + 0.25 * (i % 7) for i, module in enumerate(layers)}
    path = write(tmp_path / "a.safetensors", layers, alphas=alphas.get)

    def change(module, W):
        if module not in layers:
            return None
        down, up = (t.double() for t in layers[module])
        return W + alphas[module] / down.shape[0] * up @ down

    found, adapter, _ = imported(pipe.unet, path, batch)
    assert difference(found.double(), by_equation(pipe.unet, batch, change)) <= 5e-6
    assert {layer.A.shape[0] for layer in adapter.layers.values()} == {3, 4, 5, 6}
    assert adapter.config.method == "lora"


def test_a_file_with_diffusers_own_header(pipe, batch, tmp_path):
    """Newer diffusers keep rank and alpha in the header; the truth is the adapter that it was saved from."""
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    patterns = {"rank_pattern": {"to_k": 2}, "alpha_pattern": {"attn2.to_k": 7}}
    pipe.unet.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=["to_q", "to_k"], **patterns))
    for key, parameter in pipe.unet.named_parameters():
        if "lora_" in key:
            nn.init.normal_(parameter, std=0.05)
    wanted = output(pipe.unet, batch)
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.unet))
    config = pipe.unet.peft_config["default"].to_dict()
    pipe.save_lora_weights(tmp_path, unet_lora_layers=state, unet_lora_adapter_metadata=config)
    pipe.unload_lora_weights()
    (path,) = tmp_path.iterdir()
    base = output(pipe.unet, batch)
    assert difference(base, wanted) > 1e-3
    assert difference(imported(pipe.unet, path, batch)[0], wanted) <= 5e-6


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_a_peft_folders_file(settings, pipe, batch, tmp_path):
    import peft

    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["to_v", "to_out.0"], **settings)
    model = peft.get_peft_model(pipe.unet, config)
    for key, parameter in model.named_parameters():
        if "lora_A" in key or "lora_B" in key:
            nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        wanted = model(*batch).sample
    model.save_pretrained(tmp_path)
    model.unload()
    found, adapter, _ = imported(pipe.unet, tmp_path / "adapter_model.safetensors", batch)
    assert difference(found, wanted) <= 5e-6
    assert adapter.config.method == ("dora" if settings.get("use_dora") else "lora")
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match="the adapter_config.json beside it cannot be used"):
        read_lora(tmp_path / "adapter_model.safetensors")


# DoRA


def magnitudes(unet, layers, dim):
    g = torch.Generator().manual_seed(5)
    weights = {p: unet.get_submodule(p).weight.detach() for p in layers}
    return {p: W.norm(dim=dim) * (0.7 + 0.6 * torch.rand(W.shape[1 - dim], generator=g)) for p, W in weights.items()}


def test_dora_with_diffusers_keys_as_stock_diffusers_reads_it(pipe, batch, tmp_path):
    layers = matrices(pipe.unet, ENDS[:4], rank=lambda i: 4)
    m = magnitudes(pipe.unet, layers, 1)
    extra = {f"unet.{p}.lora_magnitude_vector": t for p, t in m.items()}
    path = write(tmp_path / "a.safetensors", layers, "diffusers", extra=extra)
    pipe.load_lora_weights(path)
    wanted = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    found, adapter, _ = imported(pipe.unet, path, batch)
    assert difference(found, wanted) <= 5e-6
    assert adapter.config.method == "dora"


@pytest.mark.parametrize("dim, method", [(1, "dora"), (0, "dora-columns")])
def test_dora_with_kohya_keys_is_its_equation(dim, method, pipe, batch, tmp_path):
    """m (W + dW) / ||W + dW||, norms per output row or per input column as the shape of dora_scale says."""
    layers = matrices(pipe.unet, ENDS[:4])
    m = magnitudes(pipe.unet, layers, dim)
    extra = {f"lora_unet_{p.replace('.', '_')}.dora_scale": t.unsqueeze(dim) for p, t in m.items()}
    path = write(tmp_path / "a.safetensors", layers, extra=extra, alphas=lambda module: 2.0)

    def change(module, W):
        if module not in layers:
            return None
        down, up = (t.double() for t in layers[module])
        V = W + 2 / down.shape[0] * up @ down
        return m[module].double().unsqueeze(dim) * V / V.norm(dim=dim, keepdim=True)

    found, adapter, _ = imported(pipe.unet, path, batch)
    assert difference(found.double(), by_equation(pipe.unet, batch, change)) <= 5e-6
    assert adapter.config.method == method


def test_an_imported_adapter_is_saved_loaded_and_merged_like_any_other(pipe, batch, tmp_path):
    path = write(tmp_path / "a.safetensors", matrices(pipe.unet), alphas=lambda module: 2.5)
    adapter, _ = attach_lora(pipe.unet, read_lora(path))
    wanted = output(pipe.unet, batch)
    delora.save(adapter, tmp_path / "native.safetensors", {"trigger": "zwx dog"})
    to_kohya(adapter, tmp_path / "again.safetensors")
    adapter.detach()
    again = delora.load(pipe.unet, tmp_path / "native.safetensors")
    assert torch.equal(output(pipe.unet, batch), wanted)
    again.detach()
    assert difference(imported(pipe.unet, tmp_path / "again.safetensors", batch)[0], wanted) <= 5e-6
    twin = copy.deepcopy(pipe.unet)
    delora.load(twin, tmp_path / "native.safetensors").merge()
    assert difference(output(twin, batch), wanted) <= 5e-6


@torch.no_grad()
def test_convolutions_of_a_lora_as_diffusers_reads_them(pipe, batch, tmp_path):
    """kohya's files hold the 1 x 1 convolutions around every transformer, LoCon's the 3 x 3 ones too."""
    g, layers = torch.Generator().manual_seed(7), matrices(pipe.unet)
    for path, module in pipe.unet.named_modules():
        if isinstance(module, nn.Conv2d) and path.endswith(("proj_in", "conv1", "downsamplers.0.conv")):
            down = torch.randn(4, *module.weight.shape[1:], generator=g) * 0.05
            layers[path] = down, torch.randn(module.out_channels, 4, 1, 1, generator=g)
    path = write(tmp_path / "a.safetensors", layers)
    pipe.load_lora_weights(path)
    wanted = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    found, adapter, left_out = imported(pipe.unet, path, batch)
    assert left_out == "" and len(adapter.layers) == 160 + 16 + 22 + 3
    assert difference(found, wanted) <= 5e-6
    again = attach_lora(pipe.unet, read_lora(path))[0]
    for name, export in (("k", to_kohya), ("d", to_diffusers)):
        export(again, tmp_path / f"{name}.safetensors")
    delora.save(again, tmp_path / "n.safetensors")
    again.detach()
    for name in ("k", "d"):
        assert difference(imported(pipe.unet, tmp_path / f"{name}.safetensors", batch)[0], wanted) <= 5e-6
    twin = copy.deepcopy(pipe.unet)
    delora.load(twin, tmp_path / "n.safetensors").merge()
    assert difference(output(twin, batch), wanted) <= 5e-6


def test_a_convolution_cut_in_three_is_the_product_of_its_parts(pipe, batch, tmp_path):
    conv, g = pipe.unet.down_blocks[0].resnets[0].conv1, torch.Generator().manual_seed(8)
    up, mid, down = (torch.randn(*s, generator=g) for s in ((32, 3, 1, 1), (3, 3, 3, 3), (3, 32, 1, 1)))
    key = "lora_unet_down_blocks_0_resnets_0_conv1"
    tensors = {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid}
    save_file(tensors, tmp_path / "a.safetensors")
    adapter, _ = attach_lora(pipe.unet, read_lora(tmp_path / "a.safetensors"))
    x = torch.randn(1, 32, 8, 8, generator=g)
    found = conv(x)
    adapter.detach()
    wanted = conv(x) + up_mid_down(x, up, mid, down)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def up_mid_down(x, up, mid, down):
    return nn.functional.conv2d(nn.functional.conv2d(nn.functional.conv2d(x, down), mid, padding=1), up)


def test_a_rank_above_the_weights_own_is_shortened_exactly(pipe, batch, tmp_path):
    layers = matrices(pipe.unet, ("attn1.to_q",), rank=lambda i: 150)
    path = write(tmp_path / "a.safetensors", layers)
    found, adapter, _ = imported(pipe.unet, path, batch)
    wanted = by_equation(
        pipe.unet, batch, lambda p, W: W + layers[p][1].double() @ layers[p][0].double() if p in layers else None
    )
    assert difference(found.double(), wanted) <= 5e-6
    assert max(layer.A.shape[0] for layer in adapter.layers.values()) == 96


# What cannot be imported


def others():
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    return {
        f"{text}.lora_down.weight": torch.ones(2, 32),
        f"{text}.lora_up.weight": torch.ones(64, 2),
        f"{text}.alpha": torch.tensor(1.0),
        "bundle_emb.zwx.clip_l": torch.ones(2, 32),
    }


def test_what_is_not_adapted_here_is_named_and_left_out_only_when_told(pipe, batch, tmp_path):
    layers = matrices(pipe.unet)
    whole = write(tmp_path / "whole.safetensors", layers, extra=others())
    part = write(tmp_path / "part.safetensors", layers)
    words = "besides 160 layers .* 1 text encoder layer and 1 embedding"
    with pytest.raises(ValueError, match=words):
        attach_lora(pipe.unet, read_lora(whole))
    found, _, left_out = imported(pipe.unet, whole, batch, ignore_others=True)
    assert left_out == "1 text encoder layer and 1 embedding"
    assert torch.equal(found, imported(pipe.unet, part, batch)[0])


LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
SECOND = LAYER.replace("to_q", "to_k")


def good():
    return {f"{n}.{end}": t for n in (LAYER, SECOND) for end, t in pair().items()}


def pair(rank=2, out=96, in_=96):
    return {"lora_down.weight": torch.ones(rank, in_), "lora_up.weight": torch.ones(out, rank)}


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t.update({"step": torch.ones(1), "x.y": torch.ones(1)}), "not a LoRA file; it holds step, x.y"),
        (lambda t: t.pop(f"{LAYER}.lora_up.weight"), f"{LAYER} lacks its up matrix"),
        (lambda t: t[f"{LAYER}.lora_up.weight"].fill_(torch.nan), f"{LAYER}.lora_up.weight holds NaN"),
        (
            lambda t: t.update({f"{LAYER}.alpha": torch.tensor(torch.inf)}),
            f"{LAYER}.alpha holds NaN, infinite or whole",
        ),
        (
            lambda t: t.update({f"{LAYER}.lora_up.weight": torch.ones(96, 2).long()}),
            "lora_up.weight holds NaN, infinite or",
        ),
        (lambda t: t.update({f"{LAYER}.lora_up.weight": torch.ones(96, 3)}), "do not fit each other"),
        (lambda t: t.update({f"{LAYER}.hada_w1_a": torch.ones(3, 3)}), "holds LoHa, not LoRA"),
        (lambda t: t.update({f"{LAYER}.diff": torch.ones(3, 3)}), "holds whole differences of weights, not LoRA"),
        (lambda t: t.update({"lora_te2_text.alpha": torch.tensor(1.0)}), "made for Stable Diffusion XL"),
        (
            lambda t: t.update({LAYER.replace("blocks_0_attn", "blocks_3_attn") + ".alpha": torch.tensor(1.0)}),
            "made for Stable Diffusion XL",
        ),
        (lambda t: t.update({"lora_unet_double_blocks_0_img.alpha": torch.tensor(1.0)}), "made for Flux"),
        (
            lambda t: t.update({"transformer.transformer_blocks.1.attn.to_q.lora_A.weight": torch.ones(2, 2)}),
            "made for Stable Diffusion 3 or Flux",
        ),
        (
            lambda t: [t.pop(k) for k in list(t)] and t.update({f"lora_te_a.{e}": v for e, v in pair().items()}),
            "holds 1 text encoder layer and no layer of the UNet",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(change, words, tmp_path):
    tensors = good()
    change(tensors)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=words) as error:
        read_lora(tmp_path / "a.safetensors")
    assert str(tmp_path / "a.safetensors") in str(error.value)


@pytest.mark.parametrize(
    "metadata, words",
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "made for Stable Diffusion XL"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "made for Stable Diffusion XL"),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "made for Flux"),
        ({"format": "delora-studio adapter"}, "is a native adapter file already"),
        ({"lora_adapter_metadata": "[1]"}, "its header cannot be used"),
        (
            {"lora_adapter_metadata": json.dumps({"unet.alpha_pattern": {"(a+)+": 1}})},
            "is not the end of a layer's name",
        ),
    ],
)
def test_what_the_header_says_is_believed(metadata, words, tmp_path):
    save_file(good(), tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match=words):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 a pickle", struct.pack("<Q", 2**50) + b"{}", struct.pack("<Q", 8) + b"{broken}"]
)
def test_a_file_that_is_no_safetensors(content, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t.update({f"lora_unet_no_such.{e}": v for e, v in pair().items()}), r"no layer no_such \(1 of 3"),
        (
            lambda t: t.update({f"{LAYER}.{e}": v for e, v in pair(in_=1024).items()}),
            "another base model; it takes .*attn1.to_q for 1024 in, 96 out, and here it has 96 in, 96 out",
        ),
        (lambda t: t.update({f"lora_unet_conv_norm_out.{e}": v for e, v in pair().items()}), "is a GroupNorm here"),
        (lambda t: t.update({f"{LAYER}.dora_scale": torch.ones(96, 1)}), "mixes dora and lora"),
        (lambda t: t.update({f"{LAYER}.dora_scale": torch.ones(3, 1)}), "a magnitude of shape"),
    ],
)
def test_a_file_that_does_not_fit_leaves_the_model_as_it_was(change, words, pipe, batch, tmp_path):
    base = output(pipe.unet, batch)
    tensors = good()
    change(tensors)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=words):
        attach_lora(pipe.unet, read_lora(tmp_path / "a.safetensors"))
    assert torch.equal(output(pipe.unet, batch), base)
    assert not any("adapters" in name for name, _ in pipe.unet.named_modules())
