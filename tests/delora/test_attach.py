"""Attaching leaves the model as it was, bit for bit, and detaching too; what stands around it keeps working."""

import copy
import pickle

import pytest
import torch
from torch import nn

import delora

METHODS = tuple(delora.METHODS)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def variants():
    for method in METHODS:
        yield {"method": method}
    for method in ("delora", "lora-normalised"):
        yield {"method": method, "init": "zero"}
    yield {"method": "delora", "weight_norm": "frobenius"}
    yield {"method": "delora", "lambda_max": 20.0, "rank_pattern": {"to_q": 3, "attn2.to_q": 5}}


VARIANTS = list(variants())
EXACT = [v for v in VARIANTS if v["method"] != "ether"]  # ETHER is never the identity


def config(**settings):
    if "rank" in delora.METHODS[settings["method"]].options:
        settings.setdefault("rank", 8)
    return delora.AdapterConfig(**settings)


def names(settings):
    return "-".join(str(v) for v in settings.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", EXACT, ids=names)
def test_step_0_is_the_base_model_bit_for_bit(settings, dtype, make_net, inputs):
    net, batch = make_net(dtype), inputs(dtype)
    base = net(*batch)
    adapter = delora.attach(net, config(**settings))
    assert torch.equal(net(*batch), base)  # with gradients: the training path
    with torch.no_grad():
        assert torch.equal(net(*batch), base)  # without: the drawing path
        assert torch.equal(net(*batch), base)  # and once more, from what it keeps
    adapter.strength = 0.5
    assert torch.equal(net(*batch), base)


def test_ether_is_never_the_identity(make_net, inputs):
    net, batch = make_net(), inputs()
    base = net(*batch)
    delora.attach(net, config(method="ether"))
    assert (net(*batch) - base).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_detach_and_strength_0_restore_bit_for_bit(settings, dtype, make_net, inputs, randomise):
    net, batch = make_net(dtype), inputs(dtype)
    base, state, modules = net(*batch), copy.deepcopy(net.state_dict()), dict(net.named_modules())
    adapter = randomise(delora.attach(net, config(**settings)))
    moved = net(*batch)
    assert not torch.equal(moved, base) and torch.isfinite(moved).all()
    adapter.strength = 0
    assert torch.equal(net(*batch), base)
    adapter.strength = 1
    assert torch.equal(net(*batch), moved)
    adapter.detach()
    adapter.detach()
    assert torch.equal(net(*batch), base)
    assert dict(net.named_modules()) == modules
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_the_state_dict_of_the_base_does_not_know_the_adapter(settings, make_net, randomise):
    net = make_net()
    keys = list(net.state_dict())
    adapter = randomise(delora.attach(net, config(**settings)))
    before = adapter.state_dict()
    assert list(net.state_dict()) == keys
    net.load_state_dict(make_net(seed=5).state_dict(), strict=True)
    assert all(torch.equal(before[k], t) for k, t in adapter.state_dict().items())


def test_only_the_adapter_trains(make_net):
    net = make_net()
    adapter = delora.attach(net, config(method="delora"))
    trainable = [p for p in net.parameters() if p.requires_grad]
    assert {id(p) for p in trainable} == {id(p) for p in adapter.parameters()}
    # 8 projections; A (8 x in), B (out x 8) and lambda each
    sizes = 2 * [(32, 40), (40, 32)] + 2 * [(32, 40)] + 2 * [(48, 40)]
    assert adapter.num_trainable == sum(8 * (i + o) + 1 for i, o in sizes)


def test_parameter_groups_give_lambda_its_own_rate(make_net):
    adapter = delora.attach(make_net(), config(method="delora"))
    directions, lambdas = adapter.parameter_groups(2e-2, lr_lambda=1e-3, weight_decay=0.1)
    assert (directions["lr"], directions["weight_decay"]) == (2e-2, 0.1)
    assert (lambdas["lr"], lambdas["weight_decay"]) == (1e-3, 0.0)
    assert all(p.shape == (1,) for p in lambdas["params"]) and len(lambdas["params"]) == 8
    assert len(directions["params"]) == 16
    torch.optim.AdamW([directions, lambdas])


def test_half_precision_models_keep_fp32_adapters(make_net, inputs, randomise):
    net = make_net()
    adapter = randomise(delora.attach(net, config(method="delora")))
    before = adapter.state_dict()
    net.half()
    assert net.attn1.to_q.weight.dtype == torch.float16
    assert all(t.dtype == torch.float32 and torch.equal(t, before[k]) for k, t in adapter.state_dict().items())
    assert net(*inputs(torch.float16)).dtype == torch.float16


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_a_deep_copy_is_independent(settings, make_net, inputs, randomise):
    net, batch = make_net(), inputs()
    adapter = randomise(delora.attach(net, config(**settings)))
    twin = copy.deepcopy(net)
    y = net(*batch)
    assert torch.equal(twin(*batch), y)
    assert torch.equal(pickle.loads(pickle.dumps(net))(*batch), y)
    randomise(adapter, seed=9)
    assert torch.equal(twin(*batch), y) and not torch.equal(net(*batch), y)
    adapter.detach()
    assert torch.equal(twin(*batch), y)


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_gradient_checkpointing_changes_nothing(settings, make_net, inputs, randomise):
    grads = []
    for checkpointing in (False, True):
        net = make_net()
        net.checkpointing = checkpointing
        adapter = randomise(delora.attach(net, config(**settings)))
        net(*inputs()).square().sum().backward()
        grads.append([p.grad for p in adapter.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_autocast_trains_in_bf16_with_fp32_parameters(settings, make_net, inputs, randomise):
    net, batch = make_net(), inputs()
    adapter = randomise(delora.attach(net, config(**settings)))
    exact = net(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(*batch)
    assert y.dtype == torch.bfloat16
    assert (y - exact).norm() < 0.03 * exact.norm()
    y.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and torch.isfinite(p.grad).all() for p in adapter.parameters())


@pytest.mark.parametrize("settings", EXACT, ids=names)
def test_step_0_is_exact_under_autocast_too(settings, make_net, inputs):
    net, batch = make_net(), inputs()
    with torch.autocast("cpu", torch.bfloat16):
        base = net(*batch)
        delora.attach(net, config(**settings))
        assert torch.equal(net(*batch), base)


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_training_after_drawing_uses_nothing_stale(settings, make_net, inputs):
    """What is kept between pictures must follow the parameters, also when an optimizer writes through `.data`."""
    net, batch = make_net(), inputs()
    adapter = delora.attach(net, config(**settings))
    for draw in (torch.inference_mode, torch.no_grad):
        with draw():
            net(*batch)
        net(*batch).square().sum().backward()
        for p in adapter.parameters():
            p.data.sub_(0.1 * p.grad.sign() + 0.01)
        trained = net(*batch)
        with draw():
            assert torch.equal(net(*batch), trained)
            net(*batch)
        with torch.no_grad():
            for p in adapter.parameters():
                p.mul_(0.9)
            drawn = net(*batch)
        assert torch.equal(drawn, net(*batch))


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_merged_weights_give_the_same_output(settings, make_net, inputs, randomise):
    net, batch = make_net(), inputs()
    adapter = randomise(delora.attach(net, config(**settings)))
    adapter.strength = 0.8
    y = net(*batch)
    adapter.merge()
    assert not any("adapters" in name for name, _ in net.named_modules())
    torch.testing.assert_close(net(*batch), y, rtol=1e-5, atol=1e-5 * y.abs().max().item())


@pytest.mark.parametrize("first", VARIANTS, ids=names)
def test_two_adapters_on_one_layer_add_up(first, make_net, inputs, randomise):
    """Each keeps its own strength, whichever comes first; the sum is that of their displacements of W."""
    batch = inputs()
    for second in ({"method": "delora"}, {"method": "dora"}, {"method": "ether-plus"}):
        net = make_net()
        a = randomise(delora.attach(net, config(**first), name="a"))
        b = randomise(delora.attach(net, config(**second), name="b"), seed=4)
        a.strength, b.strength = 0.6, 1.0
        y = net(*batch)
        sums = copy.deepcopy(make_net())
        for path in a.layers:
            linear, own = a.linears[path], sums.get_submodule(path)
            dw = 0.6 * a.layers[path].dense(linear.weight) + b.layers[path].dense(linear.weight)
            own.weight.data += dw.float()
            if (db := getattr(a.layers[path], "db", None)) is not None:  # full finetuning moves biases too
                own.bias.data += 0.6 * db.detach()
        torch.testing.assert_close(sums(*batch), y, rtol=1e-5, atol=2e-5 * y.abs().max().item())
        delora.merge([a, b])
        torch.testing.assert_close(net(*batch), y, rtol=1e-5, atol=2e-5 * y.abs().max().item())


def test_merging_one_of_two_is_refused(make_net):
    net = make_net()
    a = delora.attach(net, config(method="lora"), name="a")
    delora.attach(net, config(method="delora"), name="b")
    with pytest.raises(ValueError, match="attn1.to_q: also holds the adapter 'b'"):
        a.merge()


def test_detaching_one_of_two_leaves_the_other(make_net, inputs, randomise):
    net, batch = make_net(), inputs()
    b = randomise(delora.attach(net, config(method="delora"), name="b"))
    alone = net(*batch)
    a = randomise(delora.attach(net, config(method="ether-plus"), name="a"))
    a.detach()
    assert torch.equal(net(*batch), alone)
    b.detach()


@pytest.mark.parametrize("settings", VARIANTS, ids=names)
def test_someone_elses_hook_sees_the_pretrained_output(settings, make_net, inputs, randomise):
    """A hook that was there before keeps its tensor: it must not change under its hands."""
    net, batch, seen = make_net(), inputs(), []
    net.attn1.to_q.register_forward_hook(lambda module, args, output: seen.append((output, output.clone())))
    adapter = randomise(delora.attach(net, config(**settings)))
    net(*batch).sum().backward()
    assert torch.equal(*seen[0])
    assert all(torch.isfinite(p.grad).all() for p in adapter.parameters())


def test_a_base_that_trains_along_gets_its_gradients(make_net, inputs, randomise):
    grads = []
    for attached in (False, True):
        net = make_net(torch.float64)
        if attached:
            delora.attach(net, config(method="delora"))
            net.requires_grad_(True)
        net(*inputs(torch.float64)).square().sum().backward()
        grads.append(net.attn1.to_q.weight.grad)
    torch.testing.assert_close(*grads)


def test_dropout_acts_while_training_only(make_net, inputs, randomise):
    net, batch = make_net(), inputs()
    randomise(delora.attach(net, config(method="delora", dropout=0.5)))
    net.eval()
    assert torch.equal(net(*batch), net(*batch))
    net.train()
    assert not torch.equal(net(*batch), net(*batch))


@pytest.mark.parametrize("settings", EXACT, ids=names)
def test_dropout_keeps_step_0_exact(settings, make_net, inputs):
    net, batch = make_net(), inputs()
    base = net(*batch)
    delora.attach(net, config(**settings, dropout=0.5))
    assert torch.equal(net(*batch), base)


def test_a_layers_start_depends_on_its_name_and_the_seed_alone(make_net):
    def start(seed=0, **settings):
        adapter = delora.attach(make_net(), config(method="delora", **settings), seed=seed)
        return adapter.state_dict()["attn2.to_v.A"]

    assert torch.equal(start(), start(targets=("to_v",)))
    assert not torch.equal(start(), start(seed=1))
    assert not torch.equal(start(), start(seed=2**31 + 1))


def test_the_input_may_be_named(make_net):
    net = make_net()
    delora.attach(net, config(method="ether-plus"))
    delora.attach(net, config(method="delora"), name="second")
    x = torch.randn(3, 32)
    assert torch.equal(net.attn1.to_q(input=x), net.attn1.to_q(x))


def test_an_activation_in_place_after_the_layer_works(randomise):
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 8))
    randomise(delora.attach(net, config(method="delora", rank=4, targets=("0", "2"))))
    net(torch.randn(4, 8)).sum().backward()


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(method="delora", targets=("to_z",)), r"targets: no linear layer's name ends in 'to_z'.*to_q"),
        (dict(method="delora", rank=33), r"rank: 33 is more than attn1.to_q has \(32 in, 40 out\)"),
        (dict(method="delora", rank_pattern={"to_z": 4}), "rank_pattern: no adapted layer's name ends in 'to_z'"),
        (dict(method="oft", blocks=5), "attn1.to_q: blocks: 5 does not divide its 32 features"),
        (dict(method="ether-plus-high-rank", rank=5), "attn1.to_q: rank: must be even"),
    ],
)
def test_what_does_not_fit_is_named_and_leaves_no_trace(settings, words, make_net):
    net = make_net()
    with pytest.raises(ValueError, match=words):
        delora.attach(net, config(**settings))
    assert not any("adapters" in name for name, _ in net.named_modules())
    assert all(p.requires_grad for p in net.parameters())


def test_the_same_name_twice_is_refused(make_net):
    net = make_net()
    delora.attach(net, config(method="lora"))
    with pytest.raises(ValueError, match="already has an adapter named 'default'"):
        delora.attach(net, config(method="delora"))


def test_layers_that_are_never_called_are_refused():
    net = nn.MultiheadAttention(16, 2)
    with pytest.raises(ValueError, match="out_proj: nn.MultiheadAttention reads this layer's weight"):
        delora.attach(net, delora.AdapterConfig(rank=2, targets=("out_proj",)))
