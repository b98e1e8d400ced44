"""Each method against its equation, written out densely in float64 with the paper's letters (torch's W is out x in)."""

import math

import pytest
import torch
from torch import nn

import delora

OUT, IN, R = 24, 36, 6


def unit_rows(u):
    return u / u.norm(dim=1, keepdim=True)


def block_diagonal(blocks):
    return torch.block_diag(*blocks)


def xi(A, B):
    """Xi_ii = 1 / (||b_i|| ||a_i||)."""
    return torch.diag(1 / (B.norm(dim=0) * A.norm(dim=1)))


def lora(W, p):
    return W + (2 * R / R) * p["B"] @ p["A"]  # alpha = 2r


def dora(W, p):
    V = lora(W, p)
    return p["m"][:, None] * V / V.norm(dim=1, keepdim=True)


def dora_columns(W, p):
    V = lora(W, p)
    return V / V.norm(dim=0) * p["m"]


def normalised(W, p, norm=1.0, start=True):
    new = (p["lambda_"] / R) * p["B"] @ xi(p["A"], p["B"]) @ p["A"] * norm
    old = (p["lambda0"] / R) * p["B0"] @ xi(p["A0"], p["B0"]) @ p["A0"] * norm if start else 0
    return W + new - old  # Eq. 9 with Eq. 15


def delora_columns(W, p):
    return normalised(W, p, W.norm(dim=0))


def delora_frobenius(W, p):
    return normalised(W, p, W.norm())


def delora_zero(W, p):
    return normalised(W, p, W.norm(dim=0), start=False)


def ether(W, p):
    return W @ block_diagonal([torch.eye(u.numel()).double() - 2 * torch.outer(u, u) for u in unit_rows(p["u"])])


def h_plus(u, v):
    pairs = zip(unit_rows(u), unit_rows(v), strict=True)
    return block_diagonal([torch.eye(a.numel()).double() - torch.outer(a, a) + torch.outer(b, b) for a, b in pairs])


def ether_plus_one_sided(W, p):
    return W @ h_plus(p["u"], p["v"])


def ether_plus(W, p):
    return h_plus(p["u_out"], p["v_out"]) @ W @ h_plus(p["u"], p["v"])


def controllable(W, p):
    u, v = unit_rows(p["u"])[0], unit_rows(p["v"])[0]
    return W + W @ (p["lambda_"] * (torch.outer(u, u) - torch.outer(v, v)))


def high_rank(W, p):
    U, V = p["U"].mT, p["V"].mT  # Eq. 14: columns u_i, v_i
    sigma, theta = torch.diag(1 / U.norm(dim=0) ** 2), torch.diag(1 / V.norm(dim=0) ** 2)
    return W + W @ ((p["lambda_"] / R) * (U @ sigma @ U.mT - V @ theta @ V.mT))


def relaxed(W, p):
    A, B, C, D = p["A"], p["B"], p["C"], p["D"]
    return W + W @ ((p["lambda_"] / R) * (B @ xi(A, B) @ A - D @ xi(C, D) @ C))


def oft(W, p):
    blocks, b = [], IN // 4
    for q in p["q"]:
        Q = torch.zeros(b, b).double()
        Q[tuple(torch.triu_indices(b, b, 1))] = q
        Q = Q - Q.mT
        blocks.append(((torch.eye(b) - Q) @ torch.linalg.inv(torch.eye(b) + Q)).mT)  # R^T by Cayley
    return W @ block_diagonal(blocks)


EQUATIONS = {
    "Eq. 1": (dict(method="lora", rank=R), lora),
    "DoRA": (dict(method="dora", rank=R), dora),
    "DoRA fixed": (dict(method="dora-fixed", rank=R), dora),
    "DoRA columns": (dict(method="dora-columns", rank=R), dora_columns),
    "normalised": (dict(method="lora-normalised", rank=R), normalised),
    "Eq. 15": (dict(method="delora", rank=R), delora_columns),
    "Eq. 8": (dict(method="delora", rank=R, weight_norm="frobenius"), delora_frobenius),
    "zero start": (dict(method="delora", rank=R, init="zero"), delora_zero),
    "Eq. 2": (dict(method="ether", blocks=3), ether),
    "Eq. 3, one side": (dict(method="ether-plus-one-sided", blocks=2), ether_plus_one_sided),
    "Eq. 3": (dict(method="ether-plus", blocks=4), ether_plus),
    "controllable": (dict(method="ether-plus-controllable", lambda_=0.7), controllable),
    "Eq. 14": (dict(method="ether-plus-high-rank", rank=R), high_rank),
    "relaxed": (dict(method="ether-plus-relaxed", rank=R), relaxed),
    "OFT": (dict(method="oft"), oft),
}


@pytest.fixture
def layer():
    torch.manual_seed(3)
    return nn.ModuleDict({"to_q": nn.Linear(IN, OUT).double()})


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_layer_computes_its_equation(name, layer, randomise):
    settings, equation = EQUATIONS[name]
    linear = layer["to_q"]
    adapter = randomise(delora.attach(layer, delora.AdapterConfig(targets=("to_q",), **settings)))
    method = adapter.layers["to_q"]
    changed = equation(linear.weight, method.tensors())
    x = torch.randn(5, 7, IN).double()
    torch.testing.assert_close(linear(x), nn.functional.linear(x, changed, linear.bias), rtol=0, atol=1e-12)

    adapter.strength = 0.4  # linear in the strength, also for the methods that turn
    part = linear.weight + 0.4 * (changed - linear.weight)
    torch.testing.assert_close(linear(x), nn.functional.linear(x, part, linear.bias), rtol=0, atol=1e-12)

    dw = changed - linear.weight
    torch.testing.assert_close(method.dense(linear.weight), dw, rtol=0, atol=1e-12)
    (row,) = adapter.geometry()
    assert math.isclose(row.distance, dw.norm().item(), rel_tol=1e-9)
    assert math.isclose(row.weight_norm, linear.weight.norm().item(), rel_tol=1e-12)
    assert row.bound is None or row.distance <= row.bound


def plain_gradients(method, linear, equation, x):
    """Gradients of sum(y^2) through the dense equation, by autograd alone."""
    leaves = {name: t.detach().clone() for name, t in method.tensors().items()}
    trained = [name for name, _ in method.named_parameters()]
    for name in trained:
        leaves[name].requires_grad_(True)
    x = x.clone().requires_grad_(True)
    y = nn.functional.linear(x, equation(linear.weight, leaves), linear.bias)
    grads = torch.autograd.grad(y.square().sum(), [x, *(leaves[name] for name in trained)])
    return dict(zip(["x", *trained], grads, strict=True))


@pytest.mark.parametrize("name", [n for n in EQUATIONS if not n.startswith("DoRA")])  # its norm is a constant there
def test_the_gradients_are_those_of_the_equation(name, layer, randomise):
    settings, equation = EQUATIONS[name]
    linear = layer["to_q"]
    adapter = randomise(delora.attach(layer, delora.AdapterConfig(targets=("to_q",), **settings)))
    method = adapter.layers["to_q"]
    x = torch.randn(4, 3, IN).double()
    wanted = plain_gradients(method, linear, equation, x)
    leaf = x.clone().requires_grad_(True)
    linear(leaf).square().sum().backward()
    torch.testing.assert_close(leaf.grad, wanted["x"], rtol=1e-9, atol=1e-10)
    for parameter_name, parameter in method.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[parameter_name], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("trial", range(12))
def test_shapes_and_ranks_of_every_kind(trial, randomise):
    """Random sizes, ranks and leading dimensions for the bounded method, both starts."""
    g = torch.Generator().manual_seed(trial)
    n_out, n_in = (int(torch.randint(1, 70, (1,), generator=g)) for _ in range(2))
    r = int(torch.randint(1, min(n_out, n_in) + 1, (1,), generator=g))
    net = nn.ModuleDict({"q": nn.Linear(n_in, n_out, bias=bool(trial % 2)).double()})
    init = "zero" if trial % 3 else "frozen-copy"
    adapter = randomise(delora.attach(net, delora.AdapterConfig(rank=r, init=init, targets=("q",)), seed=trial))
    p, W = adapter.layers["q"].tensors(), net["q"].weight
    dw = (p["lambda_"] / r) * p["B"] @ xi(p["A"], p["B"]) @ p["A"] * W.norm(dim=0)
    if init == "frozen-copy":
        dw = dw - (p["lambda0"] / r) * p["B0"] @ xi(p["A0"], p["B0"]) @ p["A0"] * W.norm(dim=0)
    for shape in ((n_in,), (0, n_in), (3, n_in), (2, 1, 4, n_in)):
        x = torch.randn(*shape, generator=g, dtype=torch.float64)
        y = nn.functional.linear(x, W + dw, net["q"].bias)
        torch.testing.assert_close(net["q"](x), y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["Eq. 1", "Eq. 15", "Eq. 8", "zero start", "Eq. 14", "relaxed", "Eq. 3"])
def test_factors_take_a_leading_adapter_dimension(name, layer, randomise):
    """Stacked tensors of three adapters give the three adapters' factors, stacked: for training several in one pass."""
    settings, _ = EQUATIONS[name]
    config = delora.AdapterConfig(targets=("to_q",), **settings)
    adapters = [randomise(delora.attach(layer, config, seed=i, name=f"n{i}"), seed=i) for i in range(3)]
    methods = [a.layers["to_q"] for a in adapters]

    def state(method):
        update = method.input_turn() if method.turns_input else method.factors()
        return torch.stack([(f.up @ f.down) for f in update if f is not None])

    separate = torch.stack([state(m) for m in methods], dim=1)
    stacked = methods[0]
    for key, tensor in list(stacked.tensors().items()):
        values = torch.stack([m.tensors()[key] for m in methods]).detach()
        values = values.unsqueeze(-2) if key == "w" else values  # (adapter, 1, in) beside (adapter, r, in)
        (setattr if key in stacked._buffers else _set_parameter)(stacked, key, values)
        del tensor
    torch.testing.assert_close(state(stacked), separate, rtol=1e-12, atol=1e-12)


def _set_parameter(method, key, values):
    setattr(method, key, nn.Parameter(values))
