"""The judges: transformers' own numbers, always by Pillow and bicubic, and a description that names the weights."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from tinyjudges import noise_pictures

from evaluation import encoders
from training.errors import BadInput, MissingModel


def by_hand(picture, size_px, mean, std):
    """Bicubic resize by Pillow, to [0, 1], normalised: (1, 3, size, size) float32."""
    pixels = np.asarray(picture.convert("RGB").resize((size_px, size_px), Image.Resampling.BICUBIC)) / 255
    return torch.tensor((pixels - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]


def test_dino_is_the_normed_class_token_of_a_bicubic_pillow_resize(dino, judge_folders):
    from transformers import ViTModel

    picture = noise_pictures(1, 0, (90, 60))[0]
    model = ViTModel.from_pretrained(judge_folders["dino"], add_pooling_layer=False).eval()
    with torch.no_grad():
        token = model(by_hand(picture, 32, np.full(3, 0.5), np.full(3, 0.5))).last_hidden_state[0, 0]
    assert torch.allclose(dino.embed_images([picture])[0], token / token.norm(), atol=1e-6)


def test_clip_embeddings_are_those_of_the_whole_model(clip, judge_folders):
    from transformers import AutoTokenizer, CLIPModel

    picture, text = noise_pictures(1, 3)[0], "a red dog in the snow"
    model = CLIPModel.from_pretrained(judge_folders["clip"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(judge_folders["clip"])
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    with torch.no_grad():
        whole = model(pixel_values=by_hand(picture, 32, mean, std), **tokenizer([text], return_tensors="pt"))
    cosine = clip.embed_images([picture])[0] @ clip.embed_texts([text])[0]
    expected = whole.logits_per_image.item() / model.logit_scale.exp().item()
    assert cosine.item() == pytest.approx(expected, abs=1e-6)


def test_a_text_is_the_same_alone_and_in_a_batch_of_longer_ones(clip):
    alone = clip.embed_texts(["a dog"])[0]
    together = clip.embed_texts(["a dog", "a photo of a red car in the snow on a beach"])[0]
    assert torch.allclose(alone, together, atol=1e-6)


def test_a_prompt_longer_than_the_model_is_cut_not_refused(clip):
    assert clip.embed_texts(["a dog in the snow " * 30]).shape == (1, 16)


def test_the_description_names_backend_filter_and_the_hash_of_the_weights(dino, judge_folders):
    weights = (judge_folders["dino"] / "model.safetensors").read_bytes()
    words = dino.describe()
    assert words["sha256"] == hashlib.sha256(weights).hexdigest()[:12]
    assert "resize 32x32 bicubic" in words["preprocessing"] and "PIL backend" in words["preprocessing"]
    assert words["name"] == "dino"


def test_the_filter_stays_bicubic_when_the_folder_asks_for_another(clip, judge_folders):
    import json

    assert json.loads((judge_folders["dino"] / "preprocessor_config.json").read_text())["resample"] == 2  # bilinear
    assert "Pil" in type(clip._processor).__name__
    assert encoders.load("dino", str(judge_folders["dino"]))._processor.resample == Image.Resampling.BICUBIC


def test_a_judge_not_downloaded_is_named_with_its_command(tmp_path):
    with pytest.raises(MissingModel, match="delora models get dino"):
        encoders.load("dino", "facebook/dino-vits16", tmp_path)


def test_an_unknown_judge_is_told_what_there_is(tmp_path):
    with pytest.raises(MissingModel, match="nowhere"):
        encoders.load("clip", "nowhere/at-all", tmp_path)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="model.safetensors"):
        encoders.load("dino", str(tmp_path))
