"""The guarantee itself: no training, however wild, takes a bounded method past its bound."""

import pytest
import torch
from torch import nn

import delora

OUT, IN, R = 20, 28, 4
BOUNDED = {
    "column": dict(method="delora", rank=R),
    "column, zero start": dict(method="delora", rank=R, init="zero"),
    "frobenius": dict(method="delora", rank=R, weight_norm="frobenius"),
    "frobenius, zero start": dict(method="delora", rank=R, weight_norm="frobenius", init="zero"),
    "normalised": dict(method="lora-normalised", rank=R),
    "ether": dict(method="ether", blocks=2),
    "ether-plus-one-sided": dict(method="ether-plus-one-sided"),
    "ether-plus": dict(method="ether-plus"),
    "controllable": dict(method="ether-plus-controllable"),
    "high rank": dict(method="ether-plus-high-rank", rank=R),
    "relaxed": dict(method="ether-plus-relaxed", rank=R),
    "oft": dict(method="oft"),
    "dora-fixed": dict(method="dora-fixed", rank=R),
}


def layer(seed=0):
    torch.manual_seed(seed)
    net = nn.ModuleDict({"to_q": nn.Linear(IN, OUT)})
    net["to_q"].weight.data *= torch.linspace(0.2, 3, IN)  # columns of very different norms
    return net


def stated_bound(name, W, p):
    """The bounds of the paper, from W and the parameters alone."""
    frobenius, columns = W.norm(), W.norm(dim=0).max()
    lambdas = p["lambda_"].abs() + p.get("lambda0", torch.zeros(1)).abs() if "lambda_" in p else None
    return {
        "column": lambda: lambdas * columns,
        "column, zero start": lambda: lambdas * columns,
        "frobenius": lambda: lambdas * frobenius,  # Eq. 6, 7
        "frobenius, zero start": lambda: lambdas * frobenius,
        "normalised": lambda: lambdas,
        "ether": lambda: 2 * frobenius,  # ||W (H - I)|| <= ||W|| ||H - I||_2
        "ether-plus-one-sided": lambda: frobenius,
        "ether-plus": lambda: 3 * frobenius,
        "controllable": lambda: lambdas * frobenius,
        "high rank": lambda: lambdas / 2 * frobenius,
        "relaxed": lambda: lambdas * frobenius,
        "oft": lambda: 2 * frobenius,
        "dora-fixed": lambda: 2 * frobenius,
    }[name]()


@pytest.mark.parametrize("name", BOUNDED)
def test_displacement_never_leaves_the_bound_at_absurd_learning_rates(name):
    net = layer()
    W = net["to_q"].weight.detach().clone()
    adapter = delora.attach(net, delora.AdapterConfig(targets=("to_q",), **BOUNDED[name]))
    method = adapter.layers["to_q"]
    optimizer = torch.optim.Adam(adapter.parameter_groups(lr=2.0, lr_lambda=0.5))
    generator = torch.Generator().manual_seed(1)
    x, eye, furthest = torch.randn(64, IN, generator=generator), torch.eye(IN), 0.0
    target = torch.randn(64, OUT, generator=generator) * 100  # further away than any bound
    for step in range(1000 if BOUNDED[name]["method"] == "delora" else 250):
        loss = (net["to_q"](x) - target).square().mean() * (-1 if step % 50 < 3 else 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            with torch.no_grad():
                dw = (net["to_q"](eye) - net["to_q"].bias).mT - W  # what the layer really does, column by column
            bound = stated_bound(name, W, method.tensors()).item()
            assert dw.norm() <= bound * 1.0001
            (row,) = adapter.geometry()
            assert row.bound == pytest.approx(bound, rel=1e-5)
            assert row.distance == pytest.approx(dw.norm().item(), rel=1e-3, abs=1e-4)
            furthest = max(furthest, row.distance / row.bound)
    assert furthest > 0.02  # it did go somewhere
    assert torch.equal(net["to_q"].weight, W)


@pytest.mark.parametrize("weight_norm", ["column", "frobenius"])
def test_the_bound_is_reached_when_all_directions_agree(weight_norm):
    """The bound is tight: rank-one A and B along W's largest column reach it to rounding."""
    net = layer()
    W = net["to_q"].weight
    config = delora.AdapterConfig(rank=R, init="zero", weight_norm=weight_norm, lambda_=5.0, targets=("to_q",))
    adapter = delora.attach(net, config)
    method = adapter.layers["to_q"]
    with torch.no_grad():
        method.A.zero_()
        method.A[:, W.norm(dim=0).argmax()] = 1.0
        method.B.copy_(torch.ones(OUT, R))
    (row,) = adapter.geometry()
    assert row.distance == pytest.approx(row.bound, rel=1e-6)
    assert row.lambda_ == 5.0


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("method", ["delora", "lora-normalised", "ether-plus-high-rank"])
def test_lambda_max_is_a_ceiling_from_which_lambda_can_return(method, direction):
    net = layer()
    config = delora.AdapterConfig(method=method, rank=R, lambda_=2.0, lambda_max=3.0, targets=("to_q",))
    adapter = delora.attach(net, config)
    layer_method = adapter.layers["to_q"]
    lambda_ = layer_method.lambda_
    optimizer = torch.optim.SGD([lambda_], lr=0.7)

    def push(sign, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (-sign * layer_method.bounded_lambda()).sum().backward()
            optimizer.step()

    push(direction, 50)
    assert adapter.geometry()[0].lambda_ == 3.0 * direction
    assert 3.0 < lambda_.abs().item() <= 3.7  # one step past the ceiling at most, so it does not wind up
    push(-direction, 3)
    assert abs(adapter.geometry()[0].lambda_) < 3.0


def test_geometry_makes_nothing_of_the_weights_size(monkeypatch):
    """Cheap: with out = in = 1000 and rank 2, no tensor as large as W is made beside W's own norm."""
    net = nn.ModuleDict({"to_q": nn.Linear(1000, 1000, bias=False)})
    adapter = delora.attach(net, delora.AdapterConfig(rank=2, targets=("to_q",)))
    adapter.geometry()  # keeps ||W||
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in torch.utils._pytree.tree_leaves(made) if isinstance(t, torch.Tensor))
            return made

    with Watch():
        adapter.geometry()
    assert 0 < max(sizes) <= 4 * 1000
