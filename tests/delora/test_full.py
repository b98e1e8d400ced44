"""Full finetuning: the same as training the model's own weights, and yet they stay untouched."""

import copy
import json

import pytest
import torch
from tinymodels import output
from torch import nn

import assets
import delora

ALL = delora.AdapterConfig(method="full", targets=("*",))


class Mixed(nn.Module):
    """One layer of each kind, some without a bias: (batch, 4, 6, 6) -> (batch, 5)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.plain = nn.GroupNorm(2, 8, affine=False)
        self.layer_norm = nn.LayerNorm(8, bias=False)
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        x = self.plain(self.norm(self.grouped(torch.tanh(self.conv(x)))))
        return self.linear(self.layer_norm(x.mean(dim=(2, 3))))


@pytest.fixture
def mixed():
    torch.manual_seed(0)
    return Mixed().double()


@pytest.fixture
def x():
    return torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_every_kind_of_layer_computes_with_its_displaced_weights(mixed, x, randomise):
    before = copy.deepcopy(mixed.state_dict())
    adapter = randomise(delora.attach(mixed, ALL))
    twin = Mixed().double()
    for strength in (1.0, 0.4):
        adapter.strength = strength
        state = copy.deepcopy(before)
        for path, layer in adapter.layers.items():
            for name, moved in (("weight", layer.dW), ("bias", getattr(layer, "db", None))):
                if moved is not None:
                    state[f"{path}.{name}"] += strength * moved.detach()
        twin.load_state_dict(state)
        torch.testing.assert_close(mixed(x), twin(x), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(before[key], t) for key, t in mixed.state_dict().items())
    adapter.strength = 1
    wanted = mixed(x)
    adapter.merge()
    torch.testing.assert_close(mixed(x), wanted, rtol=1e-12, atol=1e-12)


def test_training_leads_to_the_weights_of_plain_training(mixed, x):
    plain, target = copy.deepcopy(mixed), torch.randn(3, 5, dtype=torch.float64)
    adapter = delora.attach(mixed, ALL)
    for net, parameters in ((mixed, adapter.parameters()), (plain, list(plain.parameters()))):
        optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0)
        for _ in range(20):
            optimizer.zero_grad()
            (net(x) - target).square().mean().backward()
            optimizer.step()
    adapter.merge()
    for (name, own), other in zip(mixed.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-8, atol=1e-9, msg=name)


def test_small_steps_survive_a_base_in_half_precision(mixed, x):
    """A weight of 1 in bf16 cannot move by 1e-4 at all; its displacement can."""
    adapter = delora.attach(mixed.to(torch.bfloat16), ALL)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(1e-4)
    assert all(p.dtype == torch.float32 for p in adapter.parameters())
    (row,) = (row for row in adapter.geometry() if row.name == "norm")
    assert row.distance == pytest.approx(1e-4 * 8**0.5, rel=1e-5)


@pytest.fixture(scope="module")
def unet(sd15_folder):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(sd15_folder / "unet")


def test_a_unet_starts_exact_and_is_restored_exactly(unet, batch, randomise, tmp_path):
    base, state = output(unet, batch), copy.deepcopy(unet.state_dict())
    adapter = delora.attach(unet, ALL)
    assert torch.equal(output(unet, batch), base)
    assert adapter.num_trainable == sum(t.numel() for t in state.values())
    randomise(adapter, size=0.01)
    moved = output(unet, batch)
    assert (moved - base).abs().max() > 1e-3 * base.abs().max()
    delora.save(adapter, tmp_path / "full.safetensors")
    adapter.detach()
    assert torch.equal(output(unet, batch), base)
    assert all(torch.equal(state[key], t) for key, t in unet.state_dict().items())
    again = delora.load(unet, tmp_path / "full.safetensors")
    assert torch.equal(output(unet, batch), moved)
    again.detach()
    twin = copy.deepcopy(unet)
    delora.load(twin, tmp_path / "full.safetensors").merge()
    torch.testing.assert_close(output(twin, batch), moved, rtol=1e-4, atol=5e-6 * moved.abs().max().item())


def test_it_covers_every_number_of_stable_diffusion_1_5():
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(json.loads(assets.path("sd15-config", "unet/config.json").read_text()))
    numbers = sum(p.numel() for p in unet.parameters())
    adapter = delora.attach(unet, ALL)
    assert adapter.num_trainable == numbers == 859_520_964  # the paper's 859.5 M


def test_one_star_means_every_layer_that_a_method_can_sit_on(mixed):
    kinds = {"full": 5, "lora": 3, "delora": 1}
    for method, count in kinds.items():
        rank = {} if method == "full" else {"rank": 2}
        adapter = delora.attach(mixed, delora.AdapterConfig(method=method, targets=("*",), **rank))
        assert len(adapter.layers) == count
        adapter.detach()
