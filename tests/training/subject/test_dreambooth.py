"""The objective against formulas written out in float64, and its draws."""

import copy
import shutil

import pytest
import tinypipeline
import torch

from training import loop
from training.base import codec
from training.base.codec import Moments
from training.errors import BadInput
from training.step import draws
from training.step.noise import TARGETS, Schedule
from training.subject import dreambooth

N = 4


@pytest.fixture(params=["v_prediction", "epsilon", "sample"])
def objective(request, tiny_base, tmp_path):
    """An objective on the tiny base with three pictures and two class pictures, for each kind of prediction."""
    base = copy.copy(tiny_base)
    base.scheduler_config = {**tiny_base.scheduler_config, "prediction_type": request.param}
    return make(base, tmp_path, prior_weight=0.7)


def make(base, folder, **changes):
    spec = tinypipeline.spec(folder, **changes)
    pictures = tinypipeline.photos(folder / "subject", 3)
    kind = tinypipeline.photos(folder / "class", 5)[3:]
    return dreambooth.prepare(base, spec, pictures, kind)


def alphas_cumprod():
    """The scaled-linear schedule, written out in float64."""
    scheduler = tinypipeline.SCHEDULER
    roots = torch.linspace(scheduler["beta_start"] ** 0.5, scheduler["beta_end"] ** 0.5, 1000, dtype=torch.float64)
    return torch.cumprod(1 - roots**2, 0)


@torch.no_grad()
def by_hand(objective, drawn, example, gamma):
    """Mean weighted loss of one kind of pictures, picture by picture in float64."""
    unet = copy.deepcopy(objective.base.unet).double().eval()
    kind = objective.schedule.prediction_type
    losses = []
    for i in range(len(drawn)):
        p, t = int(drawn.picture[i]), int(drawn.timestep[i])
        z0 = example.moments.mean[p].double() + example.moments.std[p].double() * drawn.posterior[i].double()
        noise, a = drawn.noise[i].double(), alphas_cumprod()[t]
        zt = a.sqrt() * z0 + (1 - a).sqrt() * noise
        got = unet(zt[None], torch.tensor([t]), example.text.double(), return_dict=False)[0][0]
        snr = a / (1 - a)
        limited = min(float(snr), gamma) if gamma else float(snr)
        target, weight = {
            "epsilon": (noise, limited / snr),
            "v_prediction": (a.sqrt() * noise - (1 - a).sqrt() * z0, limited / (snr + 1)),
            "sample": (z0, torch.tensor(limited)),
        }[kind]
        losses.append((got - target).square().mean() * (weight if gamma else 1.0))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("gamma", [None, 5.0])
def test_the_loss_is_instance_plus_weighted_prior_as_written_by_hand(objective, gamma):
    objective.spec = objective.spec.model_copy(update={"min_snr_gamma": gamma})
    instance, prior = objective.draw(3, N)
    losses = objective.loss(instance, prior, N)
    expected = [
        by_hand(objective, instance, objective.instance, gamma),
        by_hand(objective, prior, objective.prior, gamma),
    ]
    assert torch.allclose(losses.parts.double(), torch.stack(expected), rtol=2e-5)
    assert float(losses.total) == pytest.approx(float(expected[0] + 0.7 * expected[1]), rel=2e-5)


def test_targets_and_noising_are_those_of_diffusers(objective):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler.from_config(objective.base.scheduler_config)
    z0, noise = torch.randn(3, 8, 4, 4), torch.randn(3, 8, 4, 4)
    t = torch.tensor([0, 500, 999])
    alpha, sigma = objective.schedule.at(t, z0.device)
    assert torch.allclose(alpha * z0 + sigma * noise, scheduler.add_noise(z0, noise, t), atol=1e-6)
    kind = objective.schedule.prediction_type
    theirs = {"epsilon": noise, "v_prediction": scheduler.get_velocity(z0, noise, t), "sample": z0}[kind]
    assert torch.allclose(TARGETS[kind](z0, noise, alpha, sigma), theirs, atol=1e-6)


def test_an_unknown_prediction_type_is_refused(tiny_base):
    with pytest.raises(BadInput, match="predicts 'flow'"):
        Schedule({**tiny_base.scheduler_config, "prediction_type": "flow"})


def test_min_snr_is_finite_where_the_last_step_is_pure_noise(tiny_base):
    config = {**tiny_base.scheduler_config, "rescale_betas_zero_snr": True}
    for kind, limit in (("epsilon", 1.0), ("v_prediction", 0.0), ("sample", 0.0)):
        schedule = Schedule({**config, "prediction_type": kind})
        weights = schedule.weight(torch.arange(1000), 5.0)
        assert torch.isfinite(weights).all() and float(weights[999]) == pytest.approx(limit, abs=1e-6)


def test_micro_batches_add_up_to_the_whole_step(objective):
    instance, prior = objective.draw(0, N)
    whole = objective.loss(instance, prior, N)
    parts = [objective.loss(instance[i : i + 3], prior[i : i + 3], N) for i in (0, 3)]
    assert torch.allclose(sum(p.total for p in parts), whole.total, rtol=1e-5)


def test_without_class_pictures_there_is_no_prior_loss(tiny_base, tmp_path):
    spec = tinypipeline.spec(tmp_path, class_pictures=0)
    objective = dreambooth.prepare(tiny_base, spec, tinypipeline.photos(tmp_path, 2), [])
    instance, prior = objective.draw(0, N)
    losses = objective.loss(instance, prior, N)
    assert prior is None and losses.parts.shape == (1,) and losses.total == losses.parts[0]


def test_draws_follow_from_seed_and_step_alone(objective):
    def draw(seed, step, kind="instance"):
        return draws.draw(seed, step, kind, N, 3, (8, 4, 4), objective.schedule.levels)

    torch.manual_seed(1)
    first = draw(0, 5)
    torch.manual_seed(2)
    again = draw(0, 5)
    for name in ("picture", "noise", "timestep", "posterior"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        others = [getattr(d, name) for d in (draw(0, 6), draw(1, 5), draw(0, 5, "class"))]
        if name in ("noise", "posterior"):
            assert not any(torch.equal(getattr(first, name), other) for other in others)
    assert not first.mirrored.any()
    assert not torch.equal(first.noise, first.posterior)


def test_every_picture_is_seen_once_before_any_is_seen_again():
    row = torch.cat([draws.shuffled(0, "instance", step * 4, 4, 5) for step in range(10)])
    rounds = row.view(8, 5)
    assert all(sorted(r.tolist()) == [0, 1, 2, 3, 4] for r in rounds)
    assert len({tuple(r.tolist()) for r in rounds}) > 1, "rounds are shuffled anew"


def test_timesteps_are_uniform_or_around_the_middle_noise_level(objective):
    levels, g = objective.schedule.levels, torch.Generator().manual_seed(0)
    uniform = draws.uniform(20_000, levels, g).double()
    assert abs(float(uniform.mean()) - 499.5) < 8 and uniform.min() == 0 and uniform.max() == 999
    log_sigma = levels[draws.lognormal(20_000, levels, g)].double().log()
    assert abs(float(log_sigma.mean()) + 0.1) < 0.05 and abs(float(log_sigma.std()) - 1.3) < 0.05


def test_mirrored_pictures_come_in_half_of_the_draws_where_they_are_asked_for(tiny_base, tmp_path):
    objective = make(tiny_base, tmp_path, flip=True)
    example = objective.instance
    assert not torch.allclose(example.moments.mean, example.mirrored.mean)
    from PIL import Image, ImageOps

    paths = tinypipeline.photos(tmp_path / "subject", 3)
    for path in paths:
        with Image.open(path) as image:
            ImageOps.mirror(image).save(path)
    assert torch.allclose(codec.encode_pictures(tiny_base, paths, 32).mean, example.mirrored.mean, atol=1e-5)
    instance, _ = objective.draw(0, 64)
    assert 16 < int(instance.mirrored.sum()) < 48
    latents = example.latents(instance)
    for i in range(8):
        table = example.mirrored if instance.mirrored[i] else example.moments
        p = instance.picture[i]
        assert torch.allclose(latents[i], table.mean[p] + table.std[p] * instance.posterior[i])


def test_latents_and_texts_are_those_of_the_stock_pipeline(tiny_base, tmp_path):
    from diffusers.image_processor import VaeImageProcessor
    from PIL import Image

    [path] = tinypipeline.photos(tmp_path, 1, size=32)
    with torch.no_grad():
        pixels = VaeImageProcessor(vae_scale_factor=4).preprocess(Image.open(path))
        posterior = tiny_base.vae.encode(pixels).latent_dist
    moments = codec.encode_pictures(tiny_base, [path], 32)
    assert isinstance(moments, Moments)
    assert torch.allclose(moments.mean, posterior.mean * tiny_base.vae.config.scaling_factor, atol=1e-5)
    assert torch.allclose(moments.std, posterior.std * tiny_base.vae.config.scaling_factor, atol=1e-5)
    theirs, _ = tiny_base.pipeline().encode_prompt("a sks dog in the snow", "cpu", 1, False)
    assert torch.allclose(codec.encode_text(tiny_base, ["a sks dog in the snow"]), theirs, atol=1e-6)


def test_pictures_that_were_removed_are_told_and_not_torchs_words(tiny_base, tiny_folder, tmp_path):
    run = tinypipeline.run(tmp_path, tiny_folder)
    shutil.rmtree(run.path / "dataset")
    with pytest.raises(BadInput, match=f"The pictures of run {run.id} are gone"):
        loop.train(run, tiny_base)
    state = run.state()
    assert state.name == "failed" and "dataset" in state.message and "copy of the folder" in state.remedy
