"""The model that ships: stock diffusers opens it, it draws what it is asked for, and it stays small."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import assets
from evaluation import encoders
from training.base import guard
from training.pretrain.toyworld.world import article

guard.prepare()

FOLDER = assets.path("embedded", "pipeline")
PROMPTS = {  # prompt -> the place that it names, for the judge
    "a red car in the snow": "in the snow",
    "a dog on the beach": "on the beach",
    "a yellow teapot on a wooden table": "on a wooden table",
    "an apple in front of a brick wall": "in front of a brick wall",
    "a whale under water": "under water",
    "a green house on the grass": "on the grass",
    "a robot in space": "in space",
    "a cactus in the desert": "in the desert",
}


@pytest.fixture(scope="module")
def pipe():
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(str(FOLDER))
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_a_plain_from_pretrained_gives_float32_everywhere(pipe):
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


@pytest.fixture(scope="module")
def seen(pipe):
    """The judge, and what it sees (8, d) in one picture of each of PROMPTS."""
    generator = torch.Generator().manual_seed(3)
    images = pipe(list(PROMPTS), num_inference_steps=25, guidance_scale=3.0, generator=generator).images
    clip = encoders.load("clip")
    return clip, clip.embed_images(images)


def test_its_pictures_show_the_place_that_the_prompt_names(seen):
    clip, pictures = seen
    places = list(PROMPTS.values())
    scores = pictures @ clip.embed_texts([f"a photo of a thing {place}" for place in places]).T
    named = scores.argmax(1) == torch.arange(len(places))
    assert named.sum() >= 6, [p for p, ok in zip(PROMPTS, named, strict=True) if not ok]


def test_the_judge_names_what_its_pictures_show_out_of_all_classes(seen):
    clip, pictures = seen
    classes = json.loads(assets.path("embedded", "world.json").read_text("utf-8"))["classes"]
    scores = pictures @ clip.embed_texts([article(f"a photo of a {word}") for word in classes]).T
    named = [classes[i] for i in scores.argmax(1)]
    right = [word in prompt.split() for word, prompt in zip(named, PROMPTS, strict=True)]
    assert sum(right) >= 7, dict(zip(PROMPTS, named, strict=True))


def test_two_captions_give_two_pooled_texts(pipe):
    ids = pipe.tokenizer(["a red car", "a blue car"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        one, other = pipe.text_encoder(ids).pooler_output
    assert (one - other).norm() > 0.05 * one.norm()


def test_a_caption_comes_back_from_its_ids(pipe):
    text = "a photo of a sks teapot in front of a brick wall"
    ids = pipe.tokenizer(text).input_ids
    assert pipe.tokenizer.decode(ids, skip_special_tokens=True).strip() == text
    assert len(pipe.tokenizer("sks", add_special_tokens=False).input_ids) == 1


def test_every_latent_channel_has_unit_variance(pipe):
    from training.pretrain.toyworld import world
    from training.pretrain.toyworld.pixels import to_pixels

    pictures = np.stack([p.image for p in world.validation(60)])
    with torch.no_grad():
        latents = pipe.vae.encode(to_pixels(pictures)).latent_dist.mean
    assert pipe.vae.config.scaling_factor == 1
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(8), atol=0.15)


def test_decoded_pictures_are_close_to_the_real_ones(pipe):
    from training.pretrain import autoencoder
    from training.pretrain.toyworld import world

    assert autoencoder.psnr(pipe.vae, np.stack([p.image for p in world.validation(40)])) > 29


def test_the_judges_tell_real_renders_apart():
    from training.pretrain import probe
    from training.pretrain.toyworld import world

    clip = encoders.load("clip")
    pictures = world.World().batch(world.VALIDATION_SEED + 9, 100)
    seen = lambda arrays: clip.embed_images([Image.fromarray(a) for a in arrays]).numpy()  # noqa: E731
    found = probe.zero_shot(seen, lambda texts: clip.embed_texts(texts).numpy(), pictures)
    assert found["object"] > 0.95 and found["place"] > 0.95, found


def test_the_models_stay_small():
    sizes = [file.stat().st_size / 1e6 for file in assets.path("embedded").rglob("*.safetensors")]
    assert len(sizes) == 8 and max(sizes) < 50 and sum(sizes) < 100  # and what a judge knows of its world
