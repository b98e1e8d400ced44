"""Training and drawing from maps against diffusers' own ControlNet: its pipeline, and its training step written out."""

import copy

import mapfiles
import numpy as np
import pytest
import tinycontrol
import tinypipeline
import torch

import delora
from training import sample
from training.base import codec, controlnet
from training.errors import BadInput
from training.maps import colours, drawing, geometry, intake, objective, pairs, writing
from training.maps.control import FrozenControlNet, HintEncoder

SIZE, N = tinypipeline.SIZE_PX, 4


@pytest.fixture(scope="module")
def net(tiny_base, tmp_path_factory):
    folder = tinycontrol.build(tmp_path_factory.mktemp("control") / "seg", tiny_base.unet)
    return controlnet.load(str(folder), tiny_base, folder).module


def labels(seed=0):
    return np.roll(mapfiles.scene(SIZE, SIZE), 5 * seed, axis=1)


@pytest.fixture
def made(tiny_base, net, tmp_path):
    """An objective on three pairs, with a frozen ControlNet."""
    return prepare(tiny_base, FrozenControlNet(net), tmp_path)


def prepare(base, steering, folder, **changes):
    for i in range(3):
        for name in ("images", "annotations"):
            (folder / name).mkdir(exist_ok=True)
        mapfiles.picture((SIZE, SIZE), i).save(folder / "images" / f"{i}.png")
        writing.write(labels(i), folder / "annotations" / f"{i}.png", "index")
    checked = intake.check(pairs.find(folder).pairs)
    paths = intake.prepare(checked, folder / "dataset", SIZE)
    spec = tinypipeline.spec(folder, **changes)
    return objective.prepare(base, spec, steering, paths, [f"a photo of the {word}" for word in ("dog", "cat", "owl")])


# Drawing


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_picture_is_the_one_that_diffusers_controlnet_pipeline_draws(tiny_base, net, guidance):
    from diffusers import StableDiffusionControlNetPipeline

    parts = {name: getattr(tiny_base, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    pipe = StableDiffusionControlNetPipeline(
        **parts,
        controlnet=net,
        scheduler=sample.scheduler_for(tiny_base.scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    wishes = [drawing.Wish(labels(i), "a photo of the dog", i) for i in range(3)]
    ours = drawing.draw(tiny_base, FrozenControlNet(net, 0.8), wishes, steps=4, guidance=guidance, batch=2)
    for wish, image in zip(wishes, ours, strict=True):
        (theirs,) = pipe(
            wish.caption,
            image=colours.control(wish.labels),
            num_inference_steps=4,
            guidance_scale=guidance,
            controlnet_conditioning_scale=0.8,
            generator=torch.Generator().manual_seed(wish.seed),
        ).images
        apart = np.abs(np.asarray(image).astype(int) - np.asarray(theirs).astype(int))
        assert apart.max() <= 1
    without = drawing.draw(tiny_base, None, wishes, steps=4, guidance=guidance)
    assert np.abs(np.asarray(without[0]).astype(int) - np.asarray(ours[0]).astype(int)).max() > 8


def test_without_steering_a_picture_is_that_of_plain_drawing(tiny_base):
    plain = sample.generate(tiny_base, ["a photo of the dog"], [0, 1], steps=3)
    wishes = [drawing.Wish(labels(), "a photo of the dog", seed) for seed in (0, 1)]
    drawn = drawing.draw(tiny_base, None, wishes, steps=3)
    assert [image.tobytes() for image in drawn] == [image.tobytes() for image in plain]


def test_maps_of_unlike_sizes_or_oblong_ones_are_refused(tiny_base):
    wishes = [drawing.Wish(mapfiles.scene(SIZE, size), "a dog", 0) for size in (SIZE, 2 * SIZE)]
    with pytest.raises(BadInput, match="32 x 32, 64 x 32 pixels cannot be drawn together"):
        drawing.draw(tiny_base, None, wishes)


# Training


@torch.no_grad()
def by_hand(made, drawn, net):
    """The step of diffusers' train_controlnet.py, pair by pair in float64."""
    from diffusers import DDPMScheduler

    unet, net = (copy.deepcopy(module).double().eval() for module in (made.base.unet, net))
    scheduler = DDPMScheduler.from_config(made.base.scheduler_config)
    losses = []
    for i in range(len(drawn)):
        p, t = int(drawn.picture[i]), drawn.timestep[i : i + 1]
        table = made.mirrored if drawn.mirrored[i] else made.moments
        z0 = (table.mean[p] + table.std[p] * drawn.posterior[i])[None].double()
        noise = drawn.noise[i][None].double()
        zt = scheduler.add_noise(z0, noise, t)
        words = f"a photo of the {('dog', 'cat', 'owl')[p]}"
        text = codec.encode_text(made.base, [words]).double()
        shown = colours.paint(labels(p)[:, ::-1] if drawn.mirrored[i] else labels(p))
        picture = torch.from_numpy(shown.copy()).permute(2, 0, 1)[None].double() / 255
        down, middle = net(zt, t, text, controlnet_cond=picture, return_dict=False)
        steered = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        got = unet(zt, t, text, **steered).sample
        losses.append((got - scheduler.get_velocity(z0, noise, t)).square().mean())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("flip", [False, True])
def test_the_loss_is_that_of_diffusers_controlnet_training(tiny_base, net, tmp_path, flip):
    made = prepare(tiny_base, FrozenControlNet(net), tmp_path, flip=flip)
    drawn, none = made.draw(3, 8)
    assert none is None and bool(drawn.mirrored.any()) == flip
    losses = made.loss(drawn, None, 8)
    assert float(losses.total) == pytest.approx(float(by_hand(made, drawn, net)), rel=2e-5)
    assert losses.parts.shape == (1,) and not losses.parts.requires_grad


def test_micro_batches_add_up_to_the_whole_step(made):
    drawn, _ = made.draw(0, N)
    parts = [made.loss(drawn[i : i + 3], None, N).total for i in (0, 3)]
    assert torch.allclose(sum(parts), made.loss(drawn, None, N).total, rtol=1e-5)


def test_only_the_adapter_learns_under_a_frozen_controlnet(made, net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    adapter = delora.attach(made.base.unet, delora.AdapterConfig(method="delora", rank=2))
    try:
        drawn, _ = made.draw(0, N)
        made.loss(drawn, None, N).total.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())
    finally:
        adapter.detach()
    assert made.steering.trained is None and not any(p.grad is not None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# The hint encoder


def test_the_hint_encoder_is_the_papers():
    encoder = HintEncoder(320, 8).trained
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 8
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(1.086e6, rel=1e-3)
    assert encoder(torch.rand(1, 3, 64, 64)).shape == (1, 320, 8, 8)
    assert HintEncoder(8, 4).trained(torch.rand(1, 3, 64, 64)).shape == (1, 8, 16, 16)
    assert HintEncoder(8, 16).trained(torch.rand(1, 3, 64, 64)).shape == (1, 8, 4, 4)


def test_at_the_start_it_changes_nothing_at_all(tiny_base):
    steering = HintEncoder.of(tiny_base.unet, 4)
    wishes = [drawing.Wish(labels(), "a photo of the dog", 0)]
    ours, plain = (drawing.draw(tiny_base, way, wishes, steps=2)[0] for way in (steering, None))
    assert ours.tobytes() == plain.tobytes()
    again = HintEncoder.of(tiny_base.unet, 4).trained.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in steering.trained.state_dict().items())


def test_it_adds_once_behind_the_first_convolution_and_learns(tiny_base, tmp_path):
    steering = HintEncoder.of(tiny_base.unet, 4)
    torch.nn.init.normal_(steering.trained.conv_out.weight)
    x, t, text = torch.randn(2, 8, 8, 8), torch.tensor([3, 900]), torch.randn(2, 16, 16)
    picture = colours.control(np.stack([labels(0), labels(1)]))

    class First(torch.nn.Module):
        """A first convolution with the hint in it, so that the UNet itself stays as diffusers has it."""

        def __init__(self, convolution):
            super().__init__()
            self.convolution = convolution

        def forward(self, given):
            return self.convolution(given) + steering.trained(picture)

    truth = copy.deepcopy(tiny_base.unet)
    truth.conv_in = First(truth.conv_in)
    with torch.no_grad():
        assert torch.equal(steering.predict(tiny_base.unet, x, t, text, picture), truth(x, t, text).sample)
        assert not tiny_base.unet.conv_in._forward_hooks

    made = prepare(tiny_base, steering, tmp_path)
    drawn, _ = made.draw(0, N)
    made.loss(drawn, None, N).total.backward()
    assert all(p.grad is not None for p in steering.trained.parameters())


def test_a_pair_reaches_the_loss_as_it_was_cut(made):
    drawn, _ = made.draw(0, N)
    where = geometry.frame((SIZE, SIZE), SIZE)
    for i, p in enumerate(drawn.picture.tolist()):
        expected = colours.paint(geometry.cut_labels(labels(p), where)).transpose(2, 0, 1)
        np.testing.assert_array_equal((made.pictures(drawn)[i] * 255).round().numpy(), expected)
