"""PEFT as an independent truth: same output, same gradients, same weights after the same training steps."""

import copy

import peft
import pytest
import torch

import delora

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
PAIRS = {
    "lora": (dict(method="lora", rank=4, alpha=6), peft.LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS)),
    "dora": (
        dict(method="dora", rank=4, alpha=6),
        peft.LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=TARGETS),
    ),
    "delora": (
        dict(method="delora", rank=4, init="zero", lambda_=12.0),
        peft.DeloraConfig(r=4, delora_lambda=12, target_modules=TARGETS),
    ),
    "oft": (
        dict(method="oft", blocks=4),
        peft.OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False, target_modules=TARGETS),
    ),
}
THEIR_NAMES = {
    "A": ("lora_A.default.weight", "delora_A.default"),
    "B": ("lora_B.default.weight", "delora_B.default"),
    "m": ("lora_magnitude_vector.default.weight",),
    "lambda_": ("delora_lambda.default",),
    "q": ("oft_R.default.weight",),
}


def both(name, make_net, dtype):
    """(our net, our adapter, their net, our key -> their parameter), with equal parameters."""
    settings, theirs_config = PAIRS[name]
    ours, theirs = make_net(dtype), make_net(dtype)
    adapter = delora.attach(ours, delora.AdapterConfig(**settings))
    theirs = peft.get_peft_model(theirs, copy.deepcopy(theirs_config), autocast_adapter_dtype=False)
    by_name = dict(theirs.base_model.model.named_parameters())
    pairs = {}
    for path, layer in adapter.layers.items():
        for key, parameter in layer.named_parameters():
            (their_key,) = [f"{path}.{end}" for end in THEIR_NAMES[key] if f"{path}.{end}" in by_name]
            pairs[f"{path}.{key}"] = (parameter, by_name[their_key])
    with torch.no_grad():
        for own, their in pairs.values():
            their.copy_(own)
    return ours, adapter, theirs.base_model.model, pairs


# A move of 1e-6 leaves the zero start's norms below 1e-4, where they are clamped and their gradient is another.
@pytest.mark.parametrize("moved", [0.0, 1e-6, 0.3])
@pytest.mark.parametrize("name", PAIRS)
def test_output_and_gradients_equal_pefts(name, moved, make_net, inputs, randomise):
    ours, adapter, theirs, pairs = both(name, make_net, torch.float64)
    if moved:
        randomise(adapter, size=moved)
        with torch.no_grad():
            for own, their in pairs.values():
                their.copy_(own)
    batch = inputs(torch.float64)
    mine, other = ours(*batch), theirs(*batch)
    torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)  # PEFT keeps norms of float64 weights in float32
    mine.square().sum().backward()
    other.square().sum().backward()
    assert len(pairs) == sum(1 for p in theirs.parameters() if p.requires_grad)
    for key, (own, their) in pairs.items():
        scale = their.grad.abs().max().item()
        torch.testing.assert_close(own.grad, their.grad, rtol=1e-5, atol=1e-6 * scale + 1e-12, msg=key)


@pytest.mark.parametrize("name", PAIRS)
def test_training_leads_to_pefts_weights(name, make_net, inputs):
    ours, adapter, theirs, pairs = both(name, make_net, torch.float64)
    batch = inputs(torch.float64)
    for net, parameters in (
        (ours, adapter.parameters()),
        (theirs, [p for p in theirs.parameters() if p.requires_grad]),
    ):
        optimizer = torch.optim.SGD(parameters, lr=0.05)
        for _ in range(20):
            optimizer.zero_grad()
            (net(*batch) - 1).square().mean().backward()
            optimizer.step()
    for key, (own, their) in pairs.items():
        torch.testing.assert_close(own, their, rtol=1e-5, atol=1e-6, msg=key)
    torch.testing.assert_close(ours(*batch), theirs(*batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_merged_weights_equal_pefts(name, make_net, randomise):
    ours, adapter, theirs, pairs = both(name, make_net, torch.float32)
    randomise(adapter)
    with torch.no_grad():
        for own, their in pairs.values():
            their.copy_(own)
    adapter.merge()
    for path, linear in ours.named_modules():
        other = theirs.get_submodule(path)
        if hasattr(other, "base_layer"):
            other.merge()
            torch.testing.assert_close(linear.weight, other.base_layer.weight, rtol=1e-5, atol=1e-5)
