"""Every made model of `mademodels.TABLE` is what it is, or is refused in the right words."""

import mademodels
import pytest
import torch

from training.base import hub, models
from training.errors import BadInput

TAKEN = {name: made for name, made in mademodels.TABLE.items() if not made.refused}
REFUSED = {name: made for name, made in mademodels.TABLE.items() if made.refused}


@pytest.mark.parametrize("name", [name for name in TAKEN if name != "novelai"])
def test_it_has_the_size_that_diffusers_gives_it(name, sd15_folder, tmp_path):
    from diffusers import StableDiffusionPipeline

    path = TAKEN[name].write(sd15_folder, tmp_path / name)
    pipe = StableDiffusionPipeline.from_pretrained(path)
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == TAKEN[name].size_px
    assert models.describe(str(path), tmp_path).size_px == TAKEN[name].size_px


@torch.no_grad()
def test_a_checkpoint_in_novelais_spelling_is_the_same_model(sd15_folder, tmp_path):
    path = TAKEN["novelai"].write(sd15_folder, tmp_path / "novelai")
    plain = models.load_base(str(sd15_folder), data=tmp_path)
    found = models.load_base(str(path), data=tmp_path, config=sd15_folder)
    ids = torch.arange(77)[None]
    assert torch.equal(found.text_encoder(ids)[0], plain.text_encoder(ids)[0])
    assert all(torch.equal(a, b) for a, b in zip(found.unet.parameters(), plain.unet.parameters(), strict=True))
    half = models.load_base(str(path), data=tmp_path, config=sd15_folder, dtype="float16")
    assert half.text_encoder.dtype == half.unet.dtype == torch.float16


def test_a_checkpoint_in_novelais_spelling_without_a_tensor_is_refused(sd15_folder, tmp_path):
    (tmp_path / "plain").symlink_to(sd15_folder)
    path = mademodels.checkpoint(
        tmp_path / "plain", lambda key: key.replace("transformer.text_model.", "transformer."), "final_layer_norm.bias"
    )
    with pytest.raises(BadInput, match="lacks 1 tensors of the text_encoder .final_layer_norm.bias"):
        models.load_base(str(path), data=tmp_path, config=sd15_folder)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_when_added(name, sd15_folder, tmp_path):
    path = REFUSED[name].write(sd15_folder, tmp_path / name)
    with pytest.raises(BadInput) as caught:
        hub.add(path, tmp_path)
    assert REFUSED[name].refused in caught.value.message and caught.value.remedy
    with pytest.raises(BadInput):
        models.load_base(str(path), data=tmp_path)


def test_a_damaged_tokenizer_is_said_in_words(sd15_folder, tmp_path):
    path = mademodels.TABLE["plain"].write(sd15_folder, tmp_path / "model")
    (path / "tokenizer" / "vocab.json").write_text("[")
    with pytest.raises(BadInput, match="tokenizer cannot be loaded"):
        models.load_base(str(path), data=tmp_path)
