"""The memory estimate against what autograd really keeps."""

import pytest
import tinypipeline
import torch

import delora
from training.spec import parse
from training.step import counting, memory
from training.step.memory import Plan


def really_kept(base, spec, batch):
    """Bytes that a real forward pass keeps for the backward pass."""
    adapter = delora.attach(base.unet, spec.adapter.to_config(spec.targets))
    weights = {t.untyped_storage().data_ptr() for t in (*base.unet.parameters(), *base.unet.buffers())}
    kept = {}

    def keep(t):
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage()
        return t

    base.unet.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        y = base.unet(torch.randn(batch, 8, 8, 8), torch.zeros(batch), torch.randn(batch, 16, 16), return_dict=False)[0]
    total = sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in weights)
    del y
    base.unet.eval()
    adapter.detach()
    return total


def test_the_activations_are_those_that_autograd_keeps(tiny_base, tiny_folder):
    spec = tinypipeline.spec(tiny_folder)  # 2 + 2 pictures
    estimated = memory.estimate(tiny_base, spec).activations_gb * memory.GB / memory.MARGIN
    assert estimated == pytest.approx(really_kept(tiny_base, spec, 4), rel=0.1)


def test_weights_and_optimizer_are_counted_exactly(tiny_base, tiny_folder):
    spec = tinypipeline.spec(tiny_folder)
    adapter = delora.attach(tiny_base.unet, spec.adapter.to_config(spec.targets))
    modules = (tiny_base.unet, tiny_base.vae, tiny_base.text_encoder)
    frozen = sum(p.numel() * 4 for module in modules for p in module.parameters() if not p.requires_grad)
    own = sum(t.numel() * 4 for t in adapter.state_dict().values())
    trainable = adapter.num_trainable
    adapter.detach()
    estimate = memory.estimate(tiny_base, spec)
    assert estimate.weights_gb * memory.GB == pytest.approx(frozen + own)
    assert estimate.optimizer_gb * memory.GB == pytest.approx(12 * trainable)


def test_more_pictures_need_more_and_checkpointing_needs_less(tiny_base, tiny_folder):
    def activations(**changes):
        return memory.estimate(tiny_base, tinypipeline.spec(tiny_folder, **changes)).activations_gb

    normal = activations()
    assert activations(batch_size=4) == pytest.approx(2 * normal, rel=0.1)
    assert activations(prior_weight=0.0) == pytest.approx(normal / 2, rel=0.1)
    assert activations(gradient_checkpointing=True) < 0.6 * normal


def test_there_is_one_step_down_and_then_none():
    assert Plan(4, False).smaller() == Plan(2, True)
    assert Plan(1, False).smaller() == Plan(1, True)
    assert Plan(1, True).smaller() is None


def test_a_plan_that_fits_is_kept_and_one_that_does_not_steps_down(tiny_base, tiny_folder, monkeypatch):
    spec = tinypipeline.spec(tiny_folder, batch_size=4)
    monkeypatch.setattr(memory, "available_gb", lambda device: 8.0)
    assert memory.fitting(tiny_base, spec) == (Plan(4, False), None)
    monkeypatch.setattr(memory, "available_gb", lambda device: 0.0)
    plan, note = memory.fitting(tiny_base, spec)
    assert plan == Plan(2, True) and "0.3 GB are needed and 0.0 are free" in note


def test_each_fix_is_a_spec_that_needs_less_until_nothing_is_left(tiny_base, tiny_folder):
    spec, plan, needed, found = tinypipeline.spec(tiny_folder, batch_size=4), Plan(4, False), float("inf"), []
    pictures = spec.batch_size
    while (need := memory.need(tiny_base, spec, plan, ran_out=True)).fix:
        assert need.needed_gb < needed, need
        needed = need.needed_gb
        found.append(need.fix)
        spec = parse({**spec.model_dump(), **need.fix})
        plan = Plan.of(spec)
        assert memory.estimate(tiny_base, spec).total_gb == pytest.approx(need.fix_gb)
        assert spec.batch_size * spec.gradient_accumulation == pictures
    assert [fix.get("batch_size") or fix["resolution"] for fix in found] == [2, 1, 24, 16]


def test_what_runs_out_of_memory_is_told_from_other_errors():
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert memory.is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    assert not memory.is_out_of_memory(RuntimeError("shapes do not match"))


def test_what_stands_beside_the_base_model_is_counted(tiny_base):
    frozen, trained = torch.nn.Linear(100, 50), torch.nn.Conv2d(3, 8, 3, padding=1)
    found = counting.beside(frozen, trained, (3, 16, 16))
    assert found.trainable == 3 * 8 * 9 + 8
    assert found.weights_bytes == 4 * (100 * 50 + 50 + found.trainable)
    assert found.kept_bytes == 4 * 3 * 16 * 16, "a convolution keeps its input"
    spec = tinypipeline.spec(tiny_base.path)
    plain, both = memory.estimate(tiny_base, spec), memory.estimate(tiny_base, spec, beside=found)
    assert both.weights_gb - plain.weights_gb == pytest.approx(found.weights_bytes / 1e9)
    assert both.optimizer_gb - plain.optimizer_gb == pytest.approx(12 * found.trainable / 1e9)
    more = spec.batch_size * found.kept_bytes * memory.MARGIN / 1e9
    assert both.activations_gb - plain.activations_gb == pytest.approx(more)
    assert counting.beside() == counting.NOTHING
