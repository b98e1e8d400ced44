"""Drawing: the stock pipeline's pictures, one noise a seed, strength 0 the base model exactly."""

import numpy as np
import pytest
import tinypipeline
import torch

import delora
from training import sample
from training.errors import BadInput, Stopped
from training.spec import SubjectSpec
from training.subject import priors

PROMPTS = ("a dog in the snow", "a cat on the beach")


def pixels(images):
    return np.stack([np.asarray(image, dtype=int) for image in images])


@pytest.fixture
def adapter(tiny_base):
    adapter = delora.attach(tiny_base.unet, delora.AdapterConfig(rank=4))
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter))
    yield adapter
    adapter.detach()


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [("dpm++", "DPMSolverMultistepScheduler"), ("ddim", "DDIMScheduler"), ("euler", "EulerDiscreteScheduler")],
)
def test_a_seed_gives_the_stock_pipelines_picture(tiny_base, sampler, kind):
    import diffusers

    pipeline = tiny_base.pipeline()
    pipeline.scheduler = getattr(diffusers, kind).from_config(tiny_base.scheduler_config)
    theirs = [
        pipeline(
            prompt,
            negative_prompt="a cat",
            num_inference_steps=4,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        for prompt in PROMPTS
        for seed in (7, 8)
    ]
    how = {"steps": 4, "guidance": 3.0, "negative": "a cat", "sampler": sampler}
    ours = sample.generate(tiny_base, PROMPTS, (7, 8), batch=3, **how)
    assert np.abs(pixels(ours) - pixels(theirs)).max() <= 1


def test_the_noise_of_a_seed_is_the_same_whatever_the_batch(tiny_base):
    alone = sample.generate(tiny_base, PROMPTS, (0, 1, 2), steps=3, batch=1)
    together = sample.generate(tiny_base, PROMPTS, (0, 1, 2), steps=3, batch=6)
    assert np.abs(pixels(alone) - pixels(together)).max() <= 1
    assert np.abs(pixels(alone[:1]) - pixels(alone[1:2])).max() > 10, "another seed, another picture"


def test_strength_0_is_the_base_model_bit_for_bit_and_1_is_not(tiny_base, adapter):
    trained = sample.generate(tiny_base, PROMPTS, (0,), adapter=adapter, steps=3)
    none = sample.generate(tiny_base, PROMPTS, (0,), adapter=adapter, strength=0.0, steps=3)
    assert adapter.strength == 1.0
    adapter.detach()
    base = sample.generate(tiny_base, PROMPTS, (0,), steps=3)
    assert np.array_equal(pixels(none), pixels(base))
    assert np.abs(pixels(trained) - pixels(base)).max() > 2


def test_half_precision_draws_the_same_picture_but_for_a_few_levels(tiny_base, adapter):
    full, half = (
        sample.generate(tiny_base, PROMPTS, (0,), adapter=adapter, steps=4, mixed_precision=mode)
        for mode in ("no", "bf16")
    )
    difference = np.abs(pixels(full) - pixels(half))
    assert 0 < difference.max() and difference.mean() < 2


def test_drawing_leaves_the_unet_in_training_if_it_was(tiny_base):
    tiny_base.unet.train()
    sample.generate(tiny_base, PROMPTS[:1], (0,), steps=1)
    assert tiny_base.unet.training
    tiny_base.unet.eval()


def test_progress_counts_pictures_to_the_end(tiny_base):
    told = []
    sample.generate(
        tiny_base, PROMPTS, (0, 1), steps=2, batch=3, progress=lambda done, count: told.append((done, count))
    )
    assert told == [(1.5, 4), (3.0, 4), (3.5, 4), (4.0, 4)]


def test_another_size_fits_the_unet_or_is_refused(tiny_base):
    assert sample.generate(tiny_base, PROMPTS[:1], (0,), steps=1, size=48)[0].size == (48, 48)
    with pytest.raises(BadInput, match="Choose a multiple of 8: 48"):
        sample.generate(tiny_base, PROMPTS[:1], (0,), steps=1, size=50)


def test_a_save_is_drawn_once_and_step_0_shows_the_class_word_alone(tiny_base, tiny_folder, tmp_path, monkeypatch):
    run = tinypipeline.run(tmp_path, tiny_folder)
    asked = []
    draw = sample.generate

    def spy(base, prompts, *args, **kwargs):
        asked.append(list(prompts))
        return draw(base, prompts, *args, **kwargs)

    monkeypatch.setattr(sample, "generate", spy)
    paths = sample.draw(run, tiny_base, None, 0)
    assert asked == [["a dog in the snow"]]
    assert [p.name for p in paths] == ["00-00.png", "00-01.png"] and paths == run.samples(0)
    sample.draw(run, tiny_base, None, 0)
    assert len(asked) == 1


def class_pictures(base, folder, data, **changes):
    spec = tinypipeline.spec(folder, **changes)
    return priors.class_pictures(base, spec, data)


def test_class_pictures_are_kept_for_the_next_run_and_only_added_to(tiny_base, tiny_folder, tmp_path):
    first = class_pictures(tiny_base, tiny_folder, tmp_path, class_pictures=2)
    times = [path.stat().st_mtime_ns for path in first]
    more = class_pictures(tiny_base, tiny_folder, tmp_path, class_pictures=4, learning_rate=0.5, token="zwx")
    assert more[:2] == first and len(more) == 4
    assert [path.stat().st_mtime_ns for path in first] == times
    alone = class_pictures(tiny_base, tiny_folder, tmp_path / "other", class_pictures=4)
    for a, b in zip(more, alone, strict=True):
        assert a.read_bytes() == b.read_bytes() or np.abs(pixels_of(a) - pixels_of(b)).max() <= 1
    for changes in ({"class_word": "cat"}, {"class_steps": 3}, {"sample": {"guidance": 2.0}}, {"resolution": 48}):
        other = class_pictures(tiny_base, tiny_folder, tmp_path, class_pictures=1, **changes)
        assert other[0].parent != first[0].parent


def pixels_of(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, dtype=int)


def test_class_pictures_stop_between_batches_and_keep_what_is_drawn(tiny_base, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(priors.BATCH, "cpu", 2)
    spec = tinypipeline.spec(tiny_folder, class_pictures=6)
    asked = iter([False, True])
    with pytest.raises(Stopped):
        priors.class_pictures(tiny_base, spec, tmp_path, stop=lambda: next(asked))
    assert len(list(priors.class_folder(tiny_base, spec, tmp_path).glob("*.png"))) == 2
    assert len(priors.class_pictures(tiny_base, spec, tmp_path)) == 6


def test_the_latents_of_class_pictures_are_kept_beside_them(tiny_base, tiny_folder, tmp_path, monkeypatch):
    paths = class_pictures(tiny_base, tiny_folder, tmp_path, class_pictures=4)
    first = priors.class_moments(tiny_base, paths, 32, False)
    monkeypatch.setattr(priors.codec, "encode_pictures", lambda *_: pytest.fail("encoded again"))
    again = priors.class_moments(tiny_base, paths[:3], 32, False)
    assert torch.equal(again.mean, first.mean[:3]) and torch.equal(again.std, first.std[:3])


def test_damaged_class_pictures_are_drawn_and_encoded_again(tiny_base, tmp_path):
    spec = SubjectSpec(class_word="dog", class_pictures=3, class_steps=1, resolution=32)
    paths = priors.class_pictures(tiny_base, spec, tmp_path)
    whole = [path.read_bytes() for path in paths]
    first = priors.class_moments(tiny_base, paths, 32, False)
    latents = paths[0].parent / "latents-32.safetensors"
    kept = latents.read_bytes()
    for broken in (kept[: len(kept) // 2], b"", b"\xff" * 100):
        latents.write_bytes(broken)
        again = priors.class_moments(tiny_base, paths, 32, False)
        assert torch.equal(first.mean, again.mean) and latents.read_bytes() == kept
    paths[0].write_bytes(b"")
    paths[1].unlink()
    paths[1].mkdir()
    assert priors.class_pictures(tiny_base, spec, tmp_path) == paths
    assert [path.read_bytes() for path in paths] == whole
