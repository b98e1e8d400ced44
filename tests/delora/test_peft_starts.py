"""PEFT's own folders, whatever they were started with: read as PEFT computes them, or refused where they cannot say.

And what diffusers' own converter makes of an adapter.
"""

import copy

import pytest
import torch
from safetensors.torch import save_file
from tinymodels import output

from delora.imports import attach_lora, read_lora

CHANGING = ("pissa", "pissa_niter_4", "olora")
KEEPING = (True, "gaussian", "orthogonal", "mica", "eva")


@pytest.fixture(scope="module")
def unet(sd15_folder):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(sd15_folder / "unet")


def difference(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def started(unet, start, **settings):
    """PEFT's adapter on a copy of the UNet, as it starts."""
    import peft

    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["to_q"], init_lora_weights=start, **settings)
    return peft.get_peft_model(copy.deepcopy(unet), config)


def trained(model):
    """The same after some training: both matrices moved."""
    g = torch.Generator().manual_seed(0)
    for key, parameter in model.named_parameters():
        if "lora_A" in key or "lora_B" in key:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=g)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", CHANGING)
@torch.no_grad()
def test_a_start_that_changes_the_base_is_refused_and_the_way_out_works(start, unet, batch, tmp_path):
    model = started(unet, start)
    model.peft_config["default"].init_lora_weights = True  # as PEFT's documentation saves the start
    model.save_pretrained(tmp_path / "start")
    model.peft_config["default"].init_lora_weights = start
    wanted = trained(model)(*batch).sample
    model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match=f"init_lora_weights='{start}'.*path_initial_model_for_weight_conversion"):
        read_lora(tmp_path / "saved")
    model.save_pretrained(tmp_path / "converted", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    adapter, _ = attach_lora(unet, read_lora(tmp_path / "converted"))
    found = output(unet, batch)
    adapter.detach()
    assert difference(output(unet, batch), wanted) > 1e-2 and difference(found, wanted) <= 5e-6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", KEEPING)
@torch.no_grad()
def test_a_start_that_leaves_the_base_as_it_is_means_what_the_file_says(start, unet, batch, tmp_path):
    model = trained(started(unet, start))
    wanted = model(*batch).sample
    model.save_pretrained(tmp_path)
    adapter, _ = attach_lora(unet, read_lora(tmp_path))
    found = output(unet, batch)
    adapter.detach()
    assert difference(found, wanted) <= 5e-6


@pytest.mark.parametrize("dora", [False, True])
@torch.no_grad()
def test_what_diffusers_own_converter_writes(dora, unet, batch, tmp_path):
    """Its alphas are whole numbers, the rank; its DoRA keys are in PEFT's and kohya's spelling at once."""
    from diffusers.utils import convert_state_dict_to_kohya
    from peft.utils import get_peft_model_state_dict

    model = started(unet, True, use_dora=dora)
    model.base_model.model.peft_config = model.peft_config
    for module in model.modules():
        if hasattr(module, "scaling"):
            module.scaling["default"] = 1.0  # the converter knows no other
    wanted = trained(model)(*batch).sample
    state = get_peft_model_state_dict(model)
    state = {key.replace("base_model.model.", "unet."): t.contiguous() for key, t in state.items()}
    kohya = convert_state_dict_to_kohya(state)
    assert not any(t.is_floating_point() for key, t in kohya.items() if key.endswith(".alpha"))
    save_file(kohya, tmp_path / "a.safetensors")
    adapter, _ = attach_lora(unet, read_lora(tmp_path / "a.safetensors"))
    found = output(unet, batch)
    adapter.detach()
    assert adapter.config.method == ("dora" if dora else "lora")
    assert difference(found, wanted) <= 5e-6
