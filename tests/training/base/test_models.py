"""Base models: the same code for a folder, fp16 variants, one checkpoint; and a clear word for everything else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tinymodels

import assets
from training.base import capabilities, guard, modelfolder, models, singlefile
from training.errors import BadInput, MissingModel

guard.prepare()

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def copy(sd15_folder, tmp_path):
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(sd15_folder, tmp_path / "copy"))


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def images(pipe) -> torch.Tensor:
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return torch.from_numpy(pipe("a red car", latents=noise, num_inference_steps=2, output_type="np").images)


# Loading


def test_a_folder_draws_what_stock_diffusers_draws(sd15_folder, tmp_path):
    from diffusers import StableDiffusionPipeline

    base = models.load_base(str(sd15_folder), data=tmp_path)
    stock = StableDiffusionPipeline.from_pretrained(sd15_folder)
    stock.set_progress_bar_config(disable=True)
    assert torch.allclose(images(base.pipeline()), images(stock), atol=1e-5)


def test_everything_loaded_is_frozen_and_in_the_asked_precision(sd15_fp16_folder, tmp_path):
    for dtype in ("float32", "bfloat16"):
        base = models.load_base(str(sd15_fp16_folder), data=tmp_path, dtype=dtype)
        tensors = [p for m in (base.unet, base.vae, base.text_encoder) for p in m.parameters()]
        assert {p.dtype for p in tensors} == {getattr(torch, dtype)}
        assert not any(p.requires_grad for p in tensors)


def test_fp16_variant_files_hold_the_same_model(sd15_folder, sd15_fp16_folder, tmp_path):
    full = models.load_base(str(sd15_folder), data=tmp_path)
    half = models.load_base(str(sd15_fp16_folder), data=tmp_path)
    for part in ("unet", "vae", "text_encoder"):
        ours = getattr(half, part).state_dict()
        for key, value in getattr(full, part).state_dict().items():
            assert torch.equal(ours[key], value.half().float()), key


def test_a_single_checkpoint_goes_through_the_same_code(sd15_folder, tmp_path):
    # The checkpoint is written by our key names and read back by diffusers' own converter.
    base = models.load_base(str(sd15_folder), data=tmp_path)
    file = models.save_merged(base, tmp_path / "one.safetensors", layout="file", dtype="float32")
    config = tinymodels.config(tmp_path / "config")
    again = models.load_base(str(file), data=tmp_path, config=config)
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = getattr(again, part).state_dict(), getattr(base, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), part
    assert again.capabilities == base.capabilities
    assert torch.allclose(images(again.pipeline()), images(base.pipeline()), atol=1e-5)  # memory lies otherwise


def test_checkpoint_keys_are_the_published_ones(sd15_folder, tmp_path):
    base = models.load_base(str(sd15_folder), data=tmp_path)
    state = load_file(models.save_merged(base, tmp_path / "one.safetensors", layout="file"))
    keys = state.keys()
    # v1-5-pruned-emaonly.safetensors: 686 of the UNet, 248 of the autoencoder, 196 of the text tower.
    assert [sum(key.startswith(p) for key in keys) for p in (singlefile.UNET, singlefile.VAE, singlefile.TEXT)] == [
        686,
        248,
        196,
    ]
    assert {
        "model.diffusion_model.input_blocks.3.0.op.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.2.1.conv.weight",
        "model.diffusion_model.output_blocks.5.2.conv.weight",
        "model.diffusion_model.out.2.bias",
        "first_stage_model.decoder.up.3.block.0.conv1.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "first_stage_model.encoder.down.0.downsample.conv.weight",
        "first_stage_model.post_quant_conv.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc2.weight",
    } <= set(keys)
    # 1 x 1 convolutions in the original.
    assert state["first_stage_model.decoder.mid.attn_1.proj_out.weight"].shape == (96, 96, 1, 1)


def test_a_merged_folder_opens_in_stock_diffusers_without_further_arguments(sd15_folder, tmp_path):
    from diffusers import StableDiffusionPipeline

    base = models.load_base(str(sd15_folder), data=tmp_path)
    base.unet.conv_in.weight.data += 0.5
    folder = models.save_merged(base, tmp_path / "merged")
    stock = StableDiffusionPipeline.from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    assert stock.unet.dtype == stock.text_encoder.dtype == torch.float32
    assert torch.allclose(images(stock), images(base.pipeline()), atol=2e-2)
    assert {"vocab.json", "merges.txt"} <= {file.name for file in (folder / "tokenizer").iterdir()}
    assert all(key.startswith("text_model.") for key in load_file(folder / "text_encoder" / "model.safetensors"))
    with pytest.raises(BadInput, match="exists already"):
        models.save_merged(base, folder)


def test_loading_opens_no_connection_and_runs_no_code_of_the_model(copy, tmp_path):
    (copy / "evil.py").write_text("raise SystemExit('code of the model ran')\n")
    edit(copy / "model_index.json", auto_map={"AutoModel": "evil.Model"})
    for part in ("unet", "text_encoder"):
        shutil.copy(copy / "evil.py", copy / part / "evil.py")
        edit(copy / part / "config.json", auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Model"})
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('a connection was tried')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from training.base import models\n"
        f"base = models.load_base({str(copy)!r}, data=Path({str(tmp_path)!r}))\n"
        "base.pipeline(); print(base.capabilities.attention_layers)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "128", done.stderr


# What a base can do


def test_capabilities_come_from_the_configs(sd15_folder, tmp_path):
    base = models.load_base(str(sd15_folder), data=tmp_path)
    can = base.capabilities
    assert (can.size_px, can.latent_channels, can.vae_factor) == (64, 4, 8)
    assert (can.prediction_type, can.max_tokens, can.embedded, can.classes) == ("epsilon", 77, False, ())
    assert models.describe(str(sd15_folder), tmp_path) == can
    # Counted in the module itself.
    ends = tuple(f".{name}" for name in capabilities.PROJECTIONS)
    assert can.attention_layers == sum(name.endswith(ends) for name, _ in base.unet.named_modules()) == 128


def test_other_layouts_are_read_and_not_assumed(copy, tmp_path):
    edit(copy / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    edit(copy / "tokenizer" / "tokenizer_config.json", model_max_length=32)
    can = models.describe(str(copy), tmp_path)
    assert (can.prediction_type, can.max_tokens) == ("v_prediction", 32)


@pytest.mark.parametrize(
    "change",
    [
        {"down_block_types": ["CrossAttnDownBlock2D"] * 4, "up_block_types": ["CrossAttnUpBlock2D"] * 4},
        {"layers_per_block": 1},
        {"layers_per_block": [1, 2, 1, 2]},
        {"transformer_layers_per_block": [1, 2, 1, 3]},
    ],
)
def test_attention_layers_counted_from_a_config_are_those_of_the_module(change):
    from diffusers import UNet2DConditionModel

    config = json.loads(assets.path("sd15-config", "unet", "config.json").read_text()) | tinymodels.UNET | change
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    ends = tuple(f".{name}" for name in capabilities.PROJECTIONS)
    counted = sum(name.endswith(ends) for name, _ in unet.named_modules())
    assert capabilities.attention_projections(config) == counted


def test_the_shipped_configuration_is_stable_diffusion_1_5():
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    root = assets.path("sd15-config")
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(root / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(root / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(root / "text_encoder"))
    counts = [sum(p.numel() for p in module.parameters()) for module in (unet, vae, text)]
    assert counts == [859_520_964, 83_653_863, 123_060_480]  # as published
    can = capabilities.from_configs(modelfolder.configs_of(root))
    assert (can.size_px, can.latent_channels, can.max_tokens, can.attention_layers) == (512, 4, 77, 128)
    # r (in + out) over all 128 projections at r = 16 is the paper's 3.2 M.
    ends = tuple(f".{name}" for name in capabilities.PROJECTIONS)
    layers = [m for name, m in unet.named_modules() if name.endswith(ends)]
    assert sum(16 * (m.in_features + m.out_features) for m in layers) == 3_188_736
    # The ids that OpenAI's CLIP gives this caption.
    tokenizer = CLIPTokenizer.from_pretrained(root / "tokenizer")
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_a_fingerprint_follows_the_weights_and_nothing_else(sd15_folder, copy, tmp_path):
    def print_of(folder):
        return models.load_base(str(folder), data=tmp_path).fingerprint

    assert print_of(copy) == print_of(sd15_folder)
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    save_file({key: value + 1e-3 for key, value in state.items()}, file, {"format": "pt"})
    assert print_of(copy) != print_of(sd15_folder)


# Bad input


def test_the_missing_built_in_model_is_said_plainly(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "path", lambda *parts: tmp_path.joinpath(*parts))
    with pytest.raises(MissingModel, match="built-in model is not in this installation") as caught:
        models.load_base("embedded", data=tmp_path)
    assert caught.value.exit_code == 3


def test_the_built_in_model_brings_its_words(copy, tmp_path, monkeypatch):
    shutil.copytree(copy, tmp_path / "embedded" / "pipeline")
    places = [{"name": "snow", "phrases": ["in the snow", "in deep snow"]}]
    words = {"classes": ["dog", "car"], "places": places, "colours": ["red"], "rare_tokens": ["sks"]}
    (tmp_path / "embedded" / "world.json").write_text(json.dumps(words))
    monkeypatch.setattr(assets, "path", lambda *parts: tmp_path.joinpath(*parts))
    can = models.describe("embedded", tmp_path)
    assert can.embedded and can.classes == ("dog", "car") and can.rare_tokens == ("sks",)
    assert can.places == ("in the snow",)


@pytest.mark.parametrize("ref", ["sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5"])
def test_a_model_not_downloaded_says_how_to_get_it(ref, tmp_path):
    with pytest.raises(MissingModel, match="delora models get sd15"):
        models.resolve(ref, tmp_path)


@pytest.mark.parametrize("ref", ["/no/such/folder", "someone/some-model", "nonsense", ""])
def test_a_model_that_is_nowhere(ref, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingModel, match="delora models list"):
        models.resolve(ref, tmp_path)


def test_a_scheduler_that_diffusers_does_not_have_is_named(copy, tmp_path):
    edit(copy / "scheduler" / "scheduler_config.json", _class_name="NoSuchScheduler")
    with pytest.raises(BadInput, match="NoSuchScheduler"):
        models.load_base(str(copy), data=tmp_path).pipeline()


def test_a_scorer_is_no_base_model(tmp_path):
    with pytest.raises(BadInput, match="not a base model"):
        models.resolve("dino", tmp_path)


def damage_index(folder):
    (folder / "model_index.json").unlink()
    return "no diffusers pipeline"


def damage_part(folder):
    shutil.rmtree(folder / "vae")
    return "lacks vae"


def damage_parts(folder):
    shutil.rmtree(folder / "vae")
    shutil.rmtree(folder / "tokenizer")
    return "lacks vae and tokenizer"


def damage_weights(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    return "holds no weights .diffusion_pytorch_model.safetensors"


def damage_pickle(folder):
    (folder / "text_encoder" / "model.safetensors").rename(folder / "text_encoder" / "pytorch_model.bin")
    return "a pickle, which can run code"


def damage_truncated(folder):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    return "unet cannot be loaded"


def damage_missing_tensor(folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["quant_conv.weight"]
    save_file(state, file, {"format": "pt"})
    return "lacks 1 tensors .quant_conv.weight"


def damage_shape(folder):
    edit(folder / "text_encoder" / "config.json", intermediate_size=48)
    return "text_encoder cannot be loaded"


def damage_json(folder):
    (folder / "unet" / "config.json").write_text("{")
    return "unet/config.json cannot be read"


def damage_sdxl(folder):
    edit(folder / "model_index.json", _class_name="StableDiffusionXLPipeline")
    return "is a Stable Diffusion XL model"


def damage_flux(folder):
    edit(folder / "model_index.json", _class_name="FluxPipeline")
    return "is a Flux model"


def damage_inpainting(folder):
    edit(folder / "unet" / "config.json", in_channels=9)
    return "an inpainting or editing model"


def damage_text_width(folder):
    edit(folder / "unet" / "config.json", cross_attention_dim=1024)
    return "reads text of width 1024"


def damage_encoder(folder):
    edit(folder / "model_index.json", text_encoder=["transformers", "T5EncoderModel"])
    return "text_encoder of the kind T5EncoderModel"


@pytest.mark.parametrize("damage", [value for name, value in globals().items() if name.startswith("damage_")])
def test_a_bad_model_folder_is_refused_by_name(damage, copy, tmp_path):
    said = damage(copy)
    with pytest.raises(BadInput, match=said) as caught:
        models.load_base(str(copy), data=tmp_path)
    assert str(copy) in caught.value.message and caught.value.remedy and caught.value.field == "base"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("conditioner.embedders.0.transformer.weight", "Stable Diffusion XL"),
        ("double_blocks.0.img_attn.qkv.weight", "Flux"),
        ("model.diffusion_model.joint_blocks.0.weight", "Stable Diffusion 3"),
        ("cond_stage_model.model.ln_final.weight", "Stable Diffusion 2.x"),
        ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", "an adapter"),
        ("model.diffusion_model.input_blocks.0.0.weight", "holds no autoencoder"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused_by_name(key, said, tmp_path):
    file = tmp_path / "thing.safetensors"
    save_file({key: torch.zeros(320, 4, 3, 3)}, file)
    with pytest.raises(BadInput, match=said):
        models.load_base(str(file), data=tmp_path)


def test_a_checkpoint_that_is_a_pickle_or_cut_short_is_refused(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04.")
    with pytest.raises(BadInput, match="pickles, which can run code"):
        models.load_base(str(tmp_path / "model.ckpt"), data=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(BadInput, match="damaged or cut short"):
        models.load_base(str(tmp_path / "model.safetensors"), data=tmp_path)


def test_a_folder_with_one_checkpoint_in_it_points_at_the_checkpoint(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "dream.safetensors").touch()
    with pytest.raises(BadInput, match="dream.safetensors"):
        models.load_base(str(folder), data=tmp_path)
