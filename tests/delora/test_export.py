"""Files for other programs, opened by those programs' own loaders: the same UNet output to 5e-6 of its maximum."""

import json
import math
import re
from collections import Counter

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tinymodels import output

import assets
import delora
from delora import export

LOW_RANK = {
    "lora": dict(method="lora", rank=4),
    "delora": dict(method="delora", rank=4),
    "delora zero": dict(method="delora", rank=4, init="zero"),
    "delora frobenius": dict(method="delora", rank=4, weight_norm="frobenius"),
    "delora patterns": dict(
        method="delora", rank=4, rank_pattern={"to_k": 2, "mid_block.attentions.0.transformer_blocks.0.attn1.to_q": 9}
    ),
    "lora-normalised": dict(method="lora-normalised", rank=4),
    "ether": dict(method="ether", blocks=2),
    "ether-plus-one-sided": dict(method="ether-plus-one-sided", blocks=2),
    "ether-plus": dict(method="ether-plus"),
    "ether-plus-controllable": dict(method="ether-plus-controllable"),
    "ether-plus-high-rank": dict(method="ether-plus-high-rank", rank=4),
    "ether-plus-relaxed": dict(method="ether-plus-relaxed", rank=4),
}
RANKS = {"lora": 4, "delora": 8, "delora zero": 4, "delora frobenius": 8, "delora patterns": 18, "lora-normalised": 8}
RANKS |= {"ether": 2, "ether-plus-one-sided": 4, "ether-plus": 4, "ether-plus-controllable": 2}
RANKS |= {"ether-plus-high-rank": 4, "ether-plus-relaxed": 4}
FULL_RANK = {"dora": dict(method="dora", rank=4), "oft": dict(method="oft"), "full": dict(method="full")}
DORA = {
    "dora": FULL_RANK["dora"],
    "dora-fixed": dict(method="dora-fixed", rank=4),
    "dora patterns": dict(method="dora", rank=4, alpha=6.0, rank_pattern={"to_k": 2, "attn2.to_q": 7}),
}


@pytest.fixture(scope="module")
def pipe(sd15_folder):
    from training.base import guard

    guard.prepare()
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(sd15_folder)


def trained(unet, settings, randomise, size=0.03):
    return randomise(delora.attach(unet, delora.AdapterConfig(**settings)), size=size)


def difference(y, wanted):
    return ((y - wanted).abs().max() / wanted.abs().max()).item()


WRITTEN = [(name, export.to_kohya) for name in LOW_RANK]
WRITTEN += [(name, export.to_diffusers) for name in ("lora", "delora", "delora patterns", "ether-plus")]


@pytest.mark.parametrize("name, write", WRITTEN)
def test_stock_diffusers_draws_the_same(name, write, pipe, batch, randomise, tmp_path):
    base = output(pipe.unet, batch)
    adapter = trained(pipe.unet, LOW_RANK[name], randomise)
    wanted = output(pipe.unet, batch)
    written = write(adapter, tmp_path / "a.safetensors")
    adapter.detach()
    assert difference(base, wanted) > 1e-3  # the adapter does something
    pipe.load_lora_weights(tmp_path / "a.safetensors")
    found = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    assert difference(found, wanted) <= 5e-6
    assert written.rank == RANKS[name] and written.error < 1e-6


@pytest.mark.parametrize("name", DORA)
def test_stock_diffusers_reads_a_dora_as_such(name, pipe, batch, randomise, tmp_path):
    adapter = trained(pipe.unet, DORA[name], randomise)
    wanted = output(pipe.unet, batch)
    written = export.to_diffusers(adapter, tmp_path / "a.safetensors")
    adapter.strength = 0.5
    with pytest.raises(ValueError, match=r"written at strength 1, not 0\.5"):
        export.to_diffusers(adapter, tmp_path / "b.safetensors")
    adapter.detach()
    pipe.load_lora_weights(tmp_path / "a.safetensors")
    found = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    assert difference(found, wanted) <= 5e-6
    assert written.rank == (7 if "patterns" in name else 4) and written.error < 1e-6


@pytest.mark.parametrize("init", ["frozen-copy", "zero"])
def test_half_precision_files_are_near_at_the_size_that_training_leads_to(init, pipe, batch, tmp_path):
    """fp16 costs at most 5e-5 of the output. The lambda is that of a preset, 4 at widths of 320 and more, scaled to
    these widths, so that the displacement is the same share of ||W||: some per cent."""
    adapter = delora.attach(pipe.unet, delora.AdapterConfig(rank=8, init=init, lambda_=1.0))
    optimizer = torch.optim.Adam(adapter.parameter_groups(2e-3, 1e-3))
    for _ in range(5):
        optimizer.zero_grad()
        pipe.unet(*batch).sample.square().mean().backward()
        optimizer.step()
    wanted = output(pipe.unet, batch)
    export.to_kohya(adapter, tmp_path / "half.safetensors", dtype=torch.float16)
    adapter.detach()
    pipe.load_lora_weights(tmp_path / "half.safetensors")
    found = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    assert difference(found, wanted) <= 5e-5


def test_several_adapters_become_one_file(pipe, batch, randomise, tmp_path):
    a = trained(pipe.unet, LOW_RANK["delora"], randomise)
    b = randomise(
        delora.attach(pipe.unet, delora.AdapterConfig("lora", rank=3, targets=("to_q", "to_out.0")), name="b"),
        seed=6,
        size=0.03,
    )
    a.strength, b.strength = 0.7, 0.4
    wanted = output(pipe.unet, batch)
    written = export.to_kohya([a, b], tmp_path / "both.safetensors")
    a.detach()
    b.detach()
    pipe.load_lora_weights(tmp_path / "both.safetensors")
    found = output(pipe.unet, batch)
    pipe.unload_lora_weights()
    assert difference(found, wanted) <= 5e-6
    assert written.rank == 8 + 3


@pytest.mark.parametrize("name", [*LOW_RANK, "dora", "oft"])
def test_peft_opens_the_folder(name, pipe, batch, randomise, tmp_path):
    import peft

    settings = LOW_RANK.get(name) or FULL_RANK[name]
    # OFT far enough for PEFT's default, a cut-off series in place of Cayley's formula, to show.
    adapter = trained(pipe.unet, settings, randomise, size=0.1 if name == "oft" else 0.03)
    wanted = output(pipe.unet, batch)
    export.to_peft(adapter, tmp_path / "folder")
    adapter.detach()
    base = output(pipe.unet, batch)
    model = peft.PeftModel.from_pretrained(pipe.unet, tmp_path / "folder")
    found = output(model, batch)
    model.unload()
    assert difference(found, wanted) <= 5e-6
    assert torch.equal(output(pipe.unet, batch), base)
    kind = json.loads((tmp_path / "folder" / "adapter_config.json").read_text())["peft_type"]
    assert kind == {"delora zero": "DELORA", "oft": "OFT"}.get(name, "LORA")


def test_a_compact_file_is_the_best_of_its_rank_and_says_how_far_off(pipe, randomise, tmp_path):
    for settings in (LOW_RANK["delora"], *FULL_RANK.values()):
        adapter = trained(pipe.unet, settings | {"targets": ("attn1.to_q",)}, randomise)
        written = export.to_kohya(adapter, tmp_path / "c.safetensors", compact=4)
        tail, whole = 0.0, 0.0
        for path, layer in adapter.layers.items():
            s = torch.linalg.svdvals(layer.dense(adapter.linears[path].weight)).square()
            tail, whole = tail + s[4:].sum().item(), whole + s.sum().item()
        adapter.detach()
        assert written.rank == 4
        assert written.error == pytest.approx(math.sqrt(tail / whole), rel=1e-3)
        with safe_open(tmp_path / "c.safetensors", "pt") as file:
            assert file.metadata()["delora.approximate"] == f"rank 4 by SVD, {100 * written.error:.2g} % missing"


@pytest.mark.parametrize("name", FULL_RANK)
def test_a_full_rank_displacement_is_refused_with_a_way_out(name, pipe, randomise, tmp_path):
    adapter = trained(pipe.unet, FULL_RANK[name], randomise)
    writers = [export.to_kohya] if name == "dora" else [export.to_kohya, export.to_diffusers, export.to_peft]
    for write in writers if name != "oft" else writers[:2]:
        with pytest.raises(ValueError, match=f"{name}: its displacement has full rank.*merged"):
            write(adapter, tmp_path / "a.safetensors")
    adapter.detach()
    assert list(tmp_path.iterdir()) == []


def sd15_projections():
    """The 128 attention projections of Stable Diffusion 1.5, from its published configuration."""
    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text())
    blocks = []
    for i, kind in enumerate(config["down_block_types"]):
        if kind == "CrossAttnDownBlock2D":
            blocks += [f"down_blocks.{i}.attentions.{j}" for j in range(config["layers_per_block"])]
    blocks.append("mid_block.attentions.0")
    for i, kind in enumerate(config["up_block_types"]):
        if kind == "CrossAttnUpBlock2D":
            blocks += [f"up_blocks.{i}.attentions.{j}" for j in range(config["layers_per_block"] + 1)]
    ends = [f"attn{n}.{p}" for n in (1, 2) for p in ("to_q", "to_k", "to_v", "to_out.0")]
    return [f"{block}.transformer_blocks.0.{end}" for block in blocks for end in ends]


def test_key_names_are_those_of_stable_diffusion_1_5(pipe, randomise, tmp_path):
    projections = sd15_projections()
    assert len(projections) == 128
    adapter = trained(pipe.unet, LOW_RANK["delora zero"], randomise)
    export.to_kohya(adapter, tmp_path / "k.safetensors", metadata={"ss_tag": "sks dog"})
    export.to_diffusers(adapter, tmp_path / "d.safetensors")
    adapter.detach()
    kohya = {"lora_unet_" + re.sub(r"\.", "_", p) for p in projections}
    ends = (".lora_down.weight", ".lora_up.weight", ".alpha")
    assert set(load_file(tmp_path / "k.safetensors")) == {key + end for key in kohya for end in ends}
    ends = (".lora_A.weight", ".lora_B.weight")
    assert set(load_file(tmp_path / "d.safetensors")) == {f"unet.{p}{end}" for p in projections for end in ends}
    with safe_open(tmp_path / "k.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["ss_tag"] == "sks dog" and metadata["ss_network_module"] == "networks.lora"
    assert metadata["ss_network_dim"] == "4" and metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"


def test_one_alpha_for_the_whole_file_whatever_the_ranks(pipe, randomise, tmp_path):
    adapter = trained(pipe.unet, LOW_RANK["delora patterns"], randomise)
    export.to_kohya(adapter, tmp_path / "k.safetensors")
    adapter.detach()
    tensors = load_file(tmp_path / "k.safetensors")
    assert {t.item() for key, t in tensors.items() if key.endswith(".alpha")} == {18.0}
    ranks = Counter(t.shape[0] for key, t in tensors.items() if key.endswith("lora_down.weight"))
    assert ranks == {4: 32, 8: 95, 18: 1}


def test_a_three_level_unet_maps_right_too(pipe, batch, randomise, tmp_path):
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=32,
        attention_head_dim=8,
    )
    parts = {k: v for k, v in pipe.components.items() if k != "unet"}
    three = StableDiffusionPipeline(unet=unet, **parts)
    sample = (torch.cat([batch[0], batch[0]], dim=1), *batch[1:])
    adapter = trained(unet, LOW_RANK["delora"], randomise)
    wanted = output(unet, sample)
    export.to_kohya(adapter, tmp_path / "k.safetensors")
    adapter.detach()
    three.load_lora_weights(tmp_path / "k.safetensors")
    assert difference(output(unet, sample), wanted) <= 5e-6


COUNTS = {
    "lora 16": (dict(method="lora", rank=16), 3_188_736),
    "lora 4": (dict(method="lora", rank=4), 797_184),
    "dora 16": (dict(method="dora", rank=16), 3_288_576),
    "dora-fixed 16": (dict(method="dora-fixed", rank=16), 3_188_736),
    "delora 16": (dict(method="delora", rank=16), 3_188_864),
    "delora zero 16": (dict(method="delora", rank=16, init="zero"), 3_188_864),
    "lora-normalised 16": (dict(method="lora-normalised", rank=16), 3_188_864),
    "ether-plus": (dict(method="ether-plus"), 398_592),
    "oft": (dict(method="oft"), 11_602_368),
}


@pytest.mark.parametrize("name", COUNTS)
def test_trainable_parameters_on_the_true_stable_diffusion_1_5(name):
    from training.base import guard

    guard.prepare()
    from diffusers import UNet2DConditionModel

    settings, wanted = COUNTS[name]
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(json.loads(assets.path("sd15-config", "unet/config.json").read_text()))
    adapter = delora.attach(unet, delora.AdapterConfig(**settings))
    assert list(adapter.layers) == sorted(adapter.layers, key=list(dict(unet.named_modules())).index)
    assert set(adapter.layers) == set(sd15_projections())
    assert adapter.num_trainable == wanted
