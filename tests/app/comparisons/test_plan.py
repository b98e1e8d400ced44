"""What is typed becomes columns, or an error that names the field."""

import pytest

from app.comparisons import plan
from training import presets
from training.errors import BadInput


def columns(**given):
    return plan.columns(plan.parse(given))


def test_every_method_is_taught_at_every_rate():
    found = columns(methods="delora, lora,dora", rates="1 4")
    assert [(c.method, c.rate) for c in found] == [(m, r) for m in ("delora", "lora", "dora") for r in (1.0, 4.0)]
    assert plan.labels(found) == ["DeLoRA ×1", "DeLoRA ×4", "LoRA ×1", "LoRA ×4", "DoRA ×1", "DoRA ×4"]


def test_what_a_method_lacks_makes_no_second_column():
    found = columns(methods="delora lora", lambdas="2 4", ranks="8")
    assert [(c.method, c.lambda_, c.rank) for c in found] == [("delora", 2.0, 8), ("delora", 4.0, 8), ("lora", None, 8)]
    assert plan.labels(found) == ["DeLoRA, lambda 2", "DeLoRA, lambda 4", "LoRA"]


def test_seed_zero_is_a_seed():
    assert plan.labels(columns(methods="delora", seeds="0,1")) == ["DeLoRA, seed 0", "DeLoRA, seed 1"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"methods": ""}, "methods"),
        ({"methods": "delora"}, "methods"),
        ({"methods": "delora, delora"}, "methods"),
        ({"methods": "delora magic"}, "methods"),
        ({"methods": "delora lora dora", "rates": "1 2 4"}, "methods"),
        ({"methods": "delora lora", "rates": "1 x"}, "rates"),
        ({"methods": "delora lora", "rates": "0"}, "rates"),
        ({"methods": "delora lora", "rates": "nan"}, "rates"),
        ({"methods": "delora lora", "rates": "1e9"}, "rates"),
        ({"methods": "delora lora", "ranks": "4.5"}, "ranks"),
        ({"methods": "delora lora", "lambdas": "-1"}, "lambdas"),
        ({"methods": "delora lora", "seeds": "-1"}, "seeds"),
        ({"methods": "delora lora", "saves": "0 200"}, "saves"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_its_field(given, field):
    with pytest.raises(BadInput) as caught:
        columns(**given)
    assert caught.value.field == field and caught.value.remedy


def test_the_schedule_is_the_papers_and_as_long_to_the_toy_model():
    usual = plan.parse({"methods": "delora lora"})
    assert usual.schedule("sd") == (200, 600, 1000, 1400, 1800, 2200, 2600)  # Fig. 8
    longest = presets.STEPS["dreambooth", "sd"]["thorough"] / 2600
    assert presets.STEPS["dreambooth", "embedded"]["balanced"] / usual.schedule("embedded")[-1] == longest
    assert plan.parse({"methods": "delora lora", "saves": "8, 4"}).schedule("embedded") == (4, 8)
