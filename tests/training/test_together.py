"""Several runs trained in one pass: each learns what it learns alone, and has a life and a folder of its own."""

import os
import signal

import pytest
import tinypipeline
import torch
from safetensors.torch import load_file

from training import loop, together
from training.errors import BadInput
from training.loop import Outcome
from training.runs import checkpoint
from training.step import memory, onepass
from training.subject import priors

EACH = {
    "frozen copy": {},
    "its like, faster": {"learning_rate": 3e-2, "adapter": {"rank": 4, "lambda_": 2.0}},
    "another seed": {"seed": 5},
    "another rank": {"adapter": {"rank": 2}},
    "zero start": {"adapter": {"rank": 4, "init": "zero"}},
    "lora": {"adapter": {"method": "lora", "rank": 4}},
    "dora": {"adapter": {"method": "dora", "rank": 4}},
    "ether+": {"adapter": {"method": "ether-plus"}},
}
SCHEDULED = {
    "steps": 3,
    "flip": True,
    "gradient_accumulation": 2,
    "lr_schedule": "cosine",
    "warmup_steps": 2,
    "min_snr_gamma": 5.0,
    "max_grad_norm": 0.05,  # always in the way, so that clipping is seen to be each run's own
}


@pytest.fixture
def make(tmp_path, tiny_folder):
    """make(**changes) -> a queued run in a data folder that all runs of a test share."""
    return lambda **changes: tinypipeline.run(tmp_path, tiny_folder, **changes)


@pytest.fixture(autouse=True)
def little_memory_needed(monkeypatch):
    """Counting what each spec needs takes longer than these trainings, and is tested elsewhere."""
    monkeypatch.setattr(memory, "estimate", lambda *args, **kwargs: memory.Estimate(0.0, 0.0, 1e-3, 0.0))


@pytest.fixture
def passes(monkeypatch):
    """How many runs shared each pass."""
    seen, whole = [], onepass.make_steps
    monkeypatch.setattr(onepass, "make_steps", lambda trainers: seen.append(len(trainers)) or whole(trainers))
    return seen


def assert_learned_alike(a, b, step):
    """Float tolerance: sums over rows are made in another order."""
    mine, other = (load_file(run.checkpoint(step) / "adapter.safetensors") for run in (a, b))
    assert mine.keys() == other.keys()
    for key in mine:
        torch.testing.assert_close(mine[key], other[key], rtol=1e-3, atol=2e-4, msg=key)
    for mine, other in zip(a.history("step"), b.history("step"), strict=True):
        for name in ("loss", "loss_instance", "loss_prior", "grad_norm"):
            assert mine[name] == (other[name] and pytest.approx(other[name], rel=1e-3)), name
        for name in ("step", "lr"):
            assert mine[name] == other[name]


def at(run, step, do):
    """A progress callback that calls `do` once `run` has reached `step`."""
    return lambda told, p: do() if told is run and p.phase == "train" and p.step == step else None


def test_each_run_learns_what_it_learns_alone(make, tiny_base, passes):
    alone, joint = ({name: make(**{**SCHEDULED, **own}) for name, own in EACH.items()} for _ in range(2))
    for run in alone.values():
        assert loop.train(run, tiny_base) == Outcome.DONE
    ended = together.train(list(joint.values()), tiny_base)
    assert set(ended.values()) == {Outcome.DONE} and len(ended) == len(EACH)
    assert passes == [len(EACH)] * 3
    for name in EACH:
        assert_learned_alike(alone[name], joint[name], 3)
        kinds = [[e["kind"] for e in run.events()] for run in (alone[name], joint[name])]
        assert kinds[0] == kinds[1] and alone[name].checkpoints() == joint[name].checkpoints()
        first, second = (run.history("geometry")[-1]["layers"] for run in (alone[name], joint[name]))
        for layer in first:
            assert first[layer]["distance"] == pytest.approx(second[layer]["distance"], rel=1e-3, abs=1e-5)
    assert not any("adapters" in name for name, _ in tiny_base.unet.named_modules()) and not tiny_base.unet.training


def test_one_that_is_stopped_leaves_and_is_resumed_alone(make, tiny_base, passes):
    unbroken, broken = ([make(seed=seed, steps=4) for seed in (0, 1, 2)] for _ in range(2))
    for run in unbroken:
        loop.train(run, tiny_base)
    ended = together.train(broken, tiny_base, progress=at(broken[1], 3, broken[1].request_stop))
    assert [ended[run.id] for run in broken] == ["done", "stopped", "done"]
    assert passes == [3, 3, 3, 2] and broken[1].state().saved_step == 3
    assert loop.train(broken[1], tiny_base) == Outcome.DONE
    for a, b in zip(unbroken, broken, strict=True):
        assert_learned_alike(a, b, 4)


def test_runs_at_different_steps_are_resumed_together(make, tiny_base, passes):
    unbroken, broken = ([make(seed=seed) for seed in (0, 1)] for _ in range(2))
    for run in unbroken:
        loop.train(run, tiny_base)
    for run, step in zip(broken, (2, 5), strict=True):
        loop.train(run, tiny_base, progress=lambda p, run=run, step=step: p.step == step and run.request_stop())
    assert set(together.train(broken, tiny_base).values()) == {"done"}
    assert passes == [2]  # the one at 5 had a single step left
    for a, b in zip(unbroken, broken, strict=True):
        assert_learned_alike(a, b, 6)


def test_one_that_breaks_down_fails_and_the_others_go_on(make, tiny_base):
    alone, runs = make(), [make(), make(adapter={"method": "lora", "rank": 4})]

    def poison(run, step, adapter):
        if run is runs[1] and step == 2:
            with torch.no_grad():
                adapter.parameters()[0].fill_(float("nan"))

    loop.train(alone, tiny_base)
    ended = together.train(runs, tiny_base, on_save=poison)
    assert [ended[run.id] for run in runs] == ["done", "failed"]
    assert runs[1].state().cause == "nan" and "step 3" in runs[1].state().message and runs[1].checkpoints() == [2]
    assert_learned_alike(alone, runs[0], 6)


def test_an_error_at_a_save_is_its_own_runs_alone(make, tiny_base):
    runs = [make(), make()]

    def broken(run, step, adapter):
        if run is runs[0]:
            raise RuntimeError("no such colour")

    ended = together.train(runs, tiny_base, on_save=broken)
    assert [ended[run.id] for run in runs] == ["failed", "done"] and "no such colour" in runs[0].state().message


def test_a_save_is_drawn_by_its_own_adapter_alone(make, tiny_base):
    runs = [make(steps=2), make(steps=2, adapter={"method": "ether-plus"})]
    x, t, text = torch.randn(1, 8, 8, 8), torch.tensor(500), torch.randn(1, 16, 16)
    seen = {}

    @torch.no_grad()
    def draw(run, step, adapter):
        seen[run.id] = tiny_base.unet(x, t, text).sample

    together.train(runs, tiny_base, on_save=draw)
    for run in runs:
        adapter = checkpoint.attach(tiny_base, run.checkpoint(2))
        with torch.no_grad():
            own = tiny_base.unet(x, t, text).sample
        adapter.detach()
        torch.testing.assert_close(seen[run.id], own, rtol=1e-4, atol=1e-5)


def test_class_pictures_are_drawn_by_the_base_model_though_others_wait(make, tiny_base, tmp_path):
    """The second run asks for more of them when the first one's adapter is on already; ETHER changes all pictures."""
    first, second = make(adapter={"method": "ether"}), make(class_pictures=5)
    together.train([first, second], tiny_base)
    elsewhere = tmp_path / "elsewhere"
    fresh = priors.class_pictures(tiny_base, second.spec, elsewhere)
    found = priors.class_pictures(tiny_base, second.spec, tmp_path)
    assert [path.read_bytes() for path in fresh] == [path.read_bytes() for path in found]


def test_where_memory_runs_out_fewer_share_a_pass_with_the_same_result(make, tiny_base, passes, monkeypatch):
    alone, runs = ([make(seed=seed, steps=2, gradient_accumulation=2) for seed in range(4)] for _ in range(2))
    for run in alone:
        loop.train(run, tiny_base)
    whole, large = tiny_base.unet.forward, []

    def small(x, *args, **kwargs):
        if len(x) > 8:  # more than two runs of 2 + 2 pictures
            large.append(len(x))
            if len(large) == 2:  # the first micro-batch has left its gradients
                raise torch.OutOfMemoryError("too many rows")
        return whole(x, *args, **kwargs)

    monkeypatch.setattr(tiny_base.unet, "forward", small)
    assert set(together.train(runs, tiny_base).values()) == {"done"}
    assert passes == [4, 2, 2, 2, 2]
    for a, b in zip(alone, runs, strict=True):
        assert_learned_alike(a, b, 2)
        assert any("Going on with 2 at once" in e["words"] for e in b.events("note"))


def test_what_is_estimated_not_to_fit_is_not_tried(make, tiny_base, passes, monkeypatch):
    monkeypatch.setattr(memory, "available_gb", lambda device: 0.0025)  # each needs 0.001
    assert set(together.train([make(steps=1) for _ in range(3)], tiny_base).values()) == {"done"}
    assert passes == [2]


def test_those_that_cannot_share_make_their_own_steps_in_turn(make, tiny_base, passes):
    changes = [
        {},
        {"adapter": {"method": "lora", "rank": 4}},
        {"adapter": {"method": "full"}},
        {"adapter": {"rank": 4, "dropout": 0.2}},
        {"batch_size": 1},
        {"prior_weight": 0.0},
    ]
    alone, joint = ([make(steps=2, **own) for own in changes] for _ in range(2))
    for run in alone:
        loop.train(run, tiny_base)
    together.train(joint, tiny_base)
    assert passes == [2, 2]
    for a, b in zip(alone, joint, strict=True):
        assert_learned_alike(a, b, 2)
    told = [onepass.why_alone(run.spec) for run in joint]
    assert told[:2] == [None, None] and "every weight" in told[2] and "dropout" in told[3]


def test_a_stop_signal_stops_all_after_a_save(make, tiny_base):
    runs = [make(), make()]
    ended = together.train(runs, tiny_base, progress=at(runs[0], 1, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert set(ended.values()) == {"stopped"} and all(run.checkpoints() == [1] for run in runs)


def test_one_that_cannot_be_trained_is_told_and_the_others_are(make, tiny_base):
    held, other = make(steps=1), make(steps=1)
    with held.training_lock():
        ended = together.train([held, other], tiny_base)
    assert isinstance(ended[held.id], BadInput) and ended[other.id] == "done"
    assert held.state().name == "queued"


def test_what_cannot_be_trained_together_at_all_is_refused(make, tiny_base, monkeypatch):
    run = make()
    for runs in ([], [run, run]):
        with pytest.raises(BadInput, match="different ones"):
            together.train(runs, tiny_base)
    with pytest.raises(BadInput, match="mixed_precision"):
        together.train([run, make(mixed_precision="bf16")], tiny_base)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="by one process"):
        together.train([run], tiny_base)
