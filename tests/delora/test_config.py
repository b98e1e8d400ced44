"""AdapterConfig says no early, names the field, and survives a trip through JSON."""

import json

import pytest

import delora
from delora import AdapterConfig
from delora.config import match


def test_every_method_of_the_papers_tables_is_there():
    assert set(delora.METHODS) >= {
        "lora",
        "dora",
        "dora-fixed",
        "lora-normalised",
        "delora",
        "ether",
        "ether-plus-one-sided",
        "ether-plus",
        "ether-plus-controllable",
        "ether-plus-high-rank",
        "ether-plus-relaxed",
        "oft",
    }


@pytest.mark.parametrize("method", list(delora.METHODS))
def test_a_config_survives_json(method):
    config = AdapterConfig(method=method, targets=["query"], dropout=0.1)
    again = AdapterConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config)


def test_patterns_survive_json_and_cannot_be_changed():
    config = AdapterConfig(rank_pattern={"to_q": 4}, lambda_pattern={"to_q": 2.5}, lambda_max=20.0)
    assert AdapterConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(TypeError):
        config.rank_pattern["to_k"] = 1


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(method="delorra"), "method: there is no 'delorra'. Choose one of .*delora"),
        (dict(rank=0), "rank: must be a whole number of at least 1, not 0"),
        (dict(rank=2.5), "rank: must be a whole number"),
        (dict(rank_pattern={"to_q": 0}), r"rank_pattern\['to_q'\]: must be a whole number"),
        (dict(lambda_=0.0), "lambda_: must be above 0"),
        (dict(lambda_=float("nan")), "lambda_: must be above 0"),
        (dict(lambda_=5.0, lambda_max=4.0), "lambda_: 5.0 lies above lambda_max = 4.0"),
        (dict(lambda_pattern={"to_q": -1.0}), r"lambda_pattern\['to_q'\]: must be above 0"),
        (dict(method="lora", alpha=-1.0), "alpha: must be above 0"),
        (dict(method="oft", blocks=0), "blocks: must be a whole number"),
        (dict(weight_norm="rows"), "weight_norm: must be 'column' or 'frobenius', not 'rows'"),
        (dict(init="random"), "init: must be 'frozen-copy' or 'zero', not 'random'"),
        (dict(dropout=1.0), "dropout: must be at least 0 and below 1"),
        (dict(targets=()), "targets: name at least one layer"),
        (dict(method="lora", lambda_max=3.0), "lambda_max: lora has no such setting"),
        (dict(method="lora", lambda_pattern={"to_q": 1.0}), "lambda_pattern: lora has no such setting"),
        (dict(method="ether", rank=4), "rank: ether has no such setting"),
        (dict(alpha=8.0), "alpha: delora has no such setting"),
    ],
)
def test_a_wrong_setting_is_named(settings, words):
    with pytest.raises(ValueError, match=words):
        AdapterConfig(**settings)


def test_an_unknown_setting_in_a_file_is_named():
    with pytest.raises(ValueError, match="ranc: not a setting of an adapter"):
        AdapterConfig.from_dict({"method": "lora", "ranc": 4})


def test_the_longest_end_of_a_name_wins():
    pattern = {"to_q": 1, "attn1.to_q": 2, "down.attn1.to_q": 3}
    assert match("up.attn2.to_q", pattern) == 1
    assert match("up.attn1.to_q", pattern) == 2
    assert match("down.attn1.to_q", pattern) == 3
    assert match("up.attn1.not_to_q", pattern) is None


def test_each_layer_gets_its_own_rank_and_lambda(make_net):
    config = AdapterConfig(rank=4, lambda_=3.0, rank_pattern={"to_q": 2}, lambda_pattern={"attn2.to_q": 7.0})
    layers = delora.attach(make_net(), config).layers
    assert layers["attn1.to_q"].A.shape[0] == 2 and layers["attn1.to_k"].A.shape[0] == 4
    assert layers["attn1.to_q"].lambda_.item() == 3.0 and layers["attn2.to_q"].lambda_.item() == 7.0
