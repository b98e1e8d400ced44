"""The core adapts any `nn.Linear`: RoBERTa and LLaMA, Q and V, as in the paper's language experiments."""

import pytest
import torch

import delora

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=99)


def roberta():
    from transformers import RobertaConfig, RobertaForSequenceClassification

    return RobertaForSequenceClassification(RobertaConfig(**SMALL, max_position_embeddings=40)), ("query", "value")


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SMALL, num_key_value_heads=2)), ("q_proj", "v_proj")


@pytest.fixture(params=[roberta, llama], ids=["roberta", "llama"])
def language_model(request):
    from training.base import guard

    guard.prepare()
    torch.manual_seed(0)
    model, targets = request.param()
    return model.eval(), targets


@pytest.mark.parametrize("method", list(delora.METHODS))
def test_a_language_model_trains_and_merges(method, language_model):
    model, targets = language_model
    tokens = torch.arange(3, 21).view(2, 9)
    base = model(tokens).logits
    rank = {"rank": 4} if "rank" in delora.METHODS[method].options else {}
    adapter = delora.attach(model, delora.AdapterConfig(method=method, targets=targets, **rank))
    assert len(adapter.layers) == 4
    if method != "ether":
        assert torch.equal(model(tokens).logits, base)
    optimizer = torch.optim.Adam(adapter.parameter_groups(1e-2))
    losses = []
    for _ in range(5):
        loss = (model(tokens).logits - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    y = model(tokens).logits
    adapter.merge()
    torch.testing.assert_close(model(tokens).logits, y, rtol=1e-4, atol=1e-5)
