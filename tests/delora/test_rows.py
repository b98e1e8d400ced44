"""Several adapters by rows of one batch: outputs and gradients are those of each adapter alone on its rows."""

import pytest
import torch

import delora

EACH = {
    "frozen copy": dict(method="delora", rank=4),
    "frozen copy, its like": dict(method="delora", rank=4, lambda_=2.0),
    "another rank": dict(method="delora", rank=2),
    "zero start": dict(method="delora", rank=4, init="zero"),
    "whole norm": dict(method="delora", rank=4, weight_norm="frobenius", lambda_max=0.2),
    "whole norm, its like": dict(method="delora", rank=4, weight_norm="frobenius"),
    "lora": dict(method="lora", rank=4),
    "lora, its like": dict(method="lora", rank=4, alpha=1.0),
    "dora": dict(method="dora", rank=4),
    "ether+": dict(method="ether-plus"),
    "oft": dict(method="oft"),
    "relaxed": dict(method="ether-plus-relaxed", rank=4),
    "fewer layers": dict(method="delora", rank=4, targets=("to_v",)),
    "full": dict(method="full"),
}


def gradients(model, inputs, adapters, factor=1.0):
    y = model(*inputs)
    (factor * y.square().flatten(1).sum(dim=1)).sum().backward()
    made = [[p.grad.clone() if p.grad is not None else None for p in a.parameters()] for a in adapters]
    for adapter in adapters:
        for p in adapter.parameters():
            p.grad = None
    return y.detach(), made


def attach(model, settings, name, seed, randomise):
    config = delora.AdapterConfig(**{"targets": ("to_q", "to_k", "to_v", "to_out.0", "head"), **settings})
    return randomise(delora.attach(model, config, seed=seed, name=name), seed=seed)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_each_adapter_sees_its_own_rows_and_learns_what_it_learns_alone(
    make_net, inputs, randomise, dtype, checkpointing
):
    alone = {}
    for i, (name, settings) in enumerate(EACH.items()):
        net = make_net(dtype)
        given = [x + i for x in inputs(dtype)]
        alone[name] = given, *gradients(net, given, [attach(net, settings, "default", i, randomise)])
    net = make_net(dtype)
    net.checkpointing = checkpointing
    adapters = [attach(net, settings, name, i, randomise) for i, (name, settings) in enumerate(EACH.items())]
    given = [torch.cat(parts) for parts in zip(*(given for given, *_ in alone.values()), strict=True)]
    with delora.by_rows(net, adapters):
        y, made = gradients(net, given, adapters)
    tolerance = dict(rtol=1e-4, atol=1e-3) if dtype == torch.float32 else dict(rtol=1e-9, atol=1e-9)
    for rows, grads, (name, (_, y_alone, (grads_alone,))) in zip(y.split(2), made, alone.items(), strict=True):
        torch.testing.assert_close(rows, y_alone, msg=name, **tolerance)
        for grad, own in zip(grads, grads_alone, strict=True):
            torch.testing.assert_close(grad, own, msg=name, **tolerance)


def test_drawing_without_gradients_is_the_same_at_every_strength(make_net, inputs, randomise):
    net = make_net()
    adapters = [attach(net, settings, name, i, randomise) for i, (name, settings) in enumerate(EACH.items())]
    x, context = inputs()
    for strength in (1.0, 0.5, 0.0):
        for adapter in adapters:
            adapter.strength = strength
        with torch.no_grad():
            with delora.by_rows(net, adapters):
                together = net(x.repeat(len(adapters), 1, 1), context.repeat(len(adapters), 1, 1)).split(2)
            for adapter, rows in zip(adapters, together, strict=True):
                with delora.by_rows(net, [adapter]):
                    torch.testing.assert_close(rows, net(x, context), rtol=1e-4, atol=1e-4)


def test_an_adapter_that_is_not_named_does_nothing_and_all_are_back_afterwards(make_net, inputs, randomise):
    net = make_net()
    base = net(*inputs())
    first, second = (attach(net, EACH[name], name, 0, randomise) for name in ("lora", "ether+"))
    both = net(*inputs())
    with delora.by_rows(net, [first]):
        only = net(*inputs())
    second.strength = 0.0
    torch.testing.assert_close(only, net(*inputs()), rtol=0, atol=0)
    second.strength = 1.0
    assert torch.equal(net(*inputs()), both) and not torch.allclose(only, both)
    for adapter in (first, second):
        adapter.detach()
    assert torch.equal(net(*inputs()), base)


def test_one_that_diverged_leaves_the_others_alone(make_net, inputs, randomise):
    net = make_net()
    adapters = [attach(net, EACH["frozen copy"], str(i), i, randomise) for i in range(3)]
    given = [torch.cat([x] * 3) for x in inputs()]
    with torch.no_grad():
        adapters[1].parameters()[0].fill_(float("nan"))
    with delora.by_rows(net, adapters):
        y, made = gradients(net, given, adapters)
    assert [bool(rows.isfinite().all()) for rows in y.split(2)] == [True, False, True]
    assert [all(bool(g.isfinite().all()) for g in grads) for grads in made] == [True, False, True]


def test_a_batch_that_cannot_be_shared_is_told(make_net, inputs, randomise):
    net = make_net()
    adapters = [attach(net, EACH["lora"], str(i), i, randomise) for i in range(3)]
    with pytest.raises(ValueError, match="a batch of 2 cannot be shared by 3"), delora.by_rows(net, adapters):
        net(*inputs())
