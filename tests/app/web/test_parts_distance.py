"""How far it moved: the plot's lines are the quantities that the method promises, recomputed from a checkpoint."""

import re

import handmade
import pytest
import tinypipeline
import torch
from safetensors.torch import load_file

from app.web.parts.run import distance
from app.web.reading import follow
from evaluation import curves
from training import loop

STARTS = [
    {"init": "zero", "weight_norm": "column"},
    {"init": "frozen-copy", "weight_norm": "column"},
    {"init": "frozen-copy", "weight_norm": "frobenius"},
    {"method": "lora-normalised", "init": "frozen-copy"},
]


def update(A, B, lambda_, w):
    """(lambda / r) B Xi A diag(w), term by term in float64 (Eq. 15); norms as small as 1e-4 count as that."""
    total = torch.zeros(B.shape[0], A.shape[1], dtype=torch.float64)
    for a, b in zip(A, B.T, strict=True):
        total += torch.outer(b / b.norm().clamp(min=1e-4), a / a.norm().clamp(min=1e-4))
    return lambda_ / len(A) * total * w


def recomputed(run, base, step, layer):
    """(distance, bound, reach) of a layer in units of ||W||, from the checkpoint's tensors and the base's weight."""
    adapter = run.spec.adapter
    tensors = load_file(run.checkpoint(step) / "adapter.safetensors")
    t = {name: tensors[f"{layer}.{name}"].double() for name in ("A", "B", "lambda_")}
    W = base.unet.get_submodule(layer).weight.detach().double()
    columns = {"delora": W.norm(dim=0), "lora-normalised": torch.ones(W.shape[1], dtype=torch.float64)}[adapter.method]
    if getattr(adapter, "weight_norm", "") == "frobenius":
        columns = W.norm().expand(W.shape[1])
    dW, lambdas = update(t["A"], t["B"], t["lambda_"], columns), t["lambda_"].abs()
    if adapter.init == "frozen-copy":
        first = {name: tensors[f"{layer}.{name}"].double() for name in ("A0", "B0", "lambda0")}
        dW = dW - update(first["A0"], first["B0"], first["lambda0"], columns)
        lambdas = lambdas + first["lambda0"].abs()
    bound = float(lambdas * columns.max() / W.norm())
    return float(dW.norm() / W.norm()), bound, bound / adapter.rank**0.5


@pytest.mark.parametrize("adapter", STARTS, ids=lambda adapter: "-".join(adapter.values()))
def test_the_lines_drawn_are_distance_limit_and_reach_of_the_checkpoint(tmp_path, tiny_folder, tiny_base, adapter):
    changes = {"adapter": {"rank": 4, **adapter}, "steps": 2, "save_every": 2, "class_pictures": 0}
    run = tinypipeline.run(tmp_path, tiny_folder, **changes, learning_rate=0.05, learning_rate_lambda=0.3)
    assert loop.train(run, tiny_base) == "done"
    geometry = follow.view(run).journal.geometry
    last = geometry[-1]
    assert last["step"] == 2 and len(last["layers"]) > 4
    expected = {layer: recomputed(run, tiny_base, 2, layer) for layer in last["layers"]}
    for layer, (far, bound, reach) in expected.items():
        measured = last["layers"][layer]
        assert measured["distance"] == pytest.approx(far, rel=1e-4)
        assert measured["bound"] == pytest.approx(bound, rel=1e-5) and measured["reach"] == pytest.approx(
            reach, rel=1e-5
        )
        assert far < bound and measured["lambda"] != pytest.approx(run.spec.adapter.lambda_, rel=1e-3)
    nearest = max(expected, key=lambda layer: expected[layer][0] / expected[layer][1])
    drawn = {series.name: series.points[-1] for series in curves.distances(geometry)}
    assert drawn["layer nearest to its limit"] == (2, pytest.approx(expected[nearest][0], rel=1e-4))
    assert drawn["its limit (guaranteed)"] == (2, pytest.approx(expected[nearest][1], rel=1e-5))
    assert drawn[curves.REACH] == (2, pytest.approx(expected[nearest][2], rel=1e-5))
    share = 100 * expected[nearest][0] / expected[nearest][1]
    assert f"Furthest layer: {share:.0f} % of its limit." in distance.section(follow.view(run))


def test_the_axis_begins_at_0_and_holds_the_limit(tmp_path):
    run = handmade.run(tmp_path)
    handmade.events(run, handmade.geometry(40), handmade.geometry(44))  # a run made longer does not begin at 0
    plot = re.search("<svg.*</svg>", distance.section(follow.view(run)), re.S).group()
    heights = [float(value) for value in re.findall(r'text-anchor="end">([\d.]+)<', plot)]
    assert min(heights) == 0 and max(heights) >= 0.8
    assert "its limit (guaranteed)" in plot and "usual reach, about limit / √r" in plot


def test_lora_has_no_line_and_says_so(tmp_path):
    view = follow.view(handmade.train(handmade.run(tmp_path, method="lora"), 8, bound=None))
    html = distance.section(view)
    assert "LoRA has no limit." in html and "guaranteed" not in html and "usual reach" not in html
    assert "% of its limit" not in html and "No layer can go past" not in html


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        ({}, "The limit is learned too, so the line can move"),
        ({"lambda_max": 5.0}, "It holds at any learning rate and after any number of steps."),
        ({"init": "zero"}, "≤ |λ| · maxⱼ ‖wⱼ‖ / ‖W‖, for the zero start"),
        ({"init": "frozen-copy"}, "≤ (|λ| + |λ₀|) · maxⱼ ‖wⱼ‖ / ‖W‖, for the frozen-copy start"),
        ({"init": "zero", "weight_norm": "frobenius"}, "≤ |λ|, for the zero start"),
    ],
)
def test_the_limits_words_fit_the_settings(tmp_path, adapter, words):
    view = follow.view(handmade.train(handmade.run(tmp_path, adapter=adapter), 4))
    assert words in distance.limit(view)
    assert "Training moves 2 layers away from the base model." in distance.limit(view)


def test_before_the_first_step_the_page_says_when_it_is_measured(tmp_path):
    run = handmade.run(tmp_path)
    assert "comes with the first step" in distance.section(follow.view(run))
    assert "Nothing was measured." in distance.section(follow.view(handmade.put(run, "failed")))


def test_a_measurement_that_is_no_number_is_passed_over(tmp_path):
    run = handmade.train(handmade.run(tmp_path), 4)
    broken = handmade.geometry(5)
    broken["layers"]["layer.0"]["distance"] = None  # how NaN is written
    handmade.events(run, broken)
    assert follow.view(run).journal.geometry[-1]["step"] == 4
