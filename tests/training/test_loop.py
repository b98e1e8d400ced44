"""The training loop through its life: steps, saves, stops, kills, resumes, failures."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tinypipeline
import torch
from safetensors.torch import load_file

import delora
from training import loop
from training.base import precision
from training.errors import BadInput, Superseded
from training.loop import Outcome
from training.runs import checkpoint, rundir
from training.runs.run import Run
from training.step import memory
from training.step.memory import Plan
from training.step.trainer import Trainer
from training.subject import validate

# Everything random at once (noise, posterior, timesteps, order, mirroring, dropout) and a schedule with time in it.
EVERYTHING = {
    "flip": True,
    "adapter": {"dropout": 0.2},
    "gradient_accumulation": 2,
    "lr_schedule": "cosine",
    "warmup_steps": 2,
    "min_snr_gamma": 5.0,
}


@pytest.fixture
def make(tmp_path, tiny_folder):
    """make(**changes) -> a queued run in a data folder that all runs of a test share."""
    return lambda **changes: tinypipeline.run(tmp_path, tiny_folder, **changes)


def tensors(run, step):
    return load_file(run.checkpoint(step) / "adapter.safetensors")


def assert_same_adapter(a, b, step):
    mine, other = tensors(a, step), tensors(b, step)
    assert mine.keys() == other.keys()
    for key in mine:
        assert torch.equal(mine[key], other[key]), key


def at(step, do):
    """A progress callback that calls `do` once training has reached `step`."""
    return lambda p: do() if p.phase == "train" and p.step == step else None


def test_a_run_trains_saves_and_leaves_the_base_model_alone(make, tiny_base):
    before = {key: value.clone() for key, value in tiny_base.unet.state_dict().items()}
    run, saves = make(), []
    assert loop.train(run, tiny_base, on_save=lambda step, adapter: saves.append((step, adapter.strength))) == "done"
    assert saves == [(2, 1.0), (4, 1.0), (6, 1.0)] and run.checkpoints() == [2, 4, 6]
    state = run.state()
    assert (state.name, state.phase, state.step, state.steps, state.saved_step) == ("running", "train", 6, 6, 6)
    after = tiny_base.unet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert not any("adapters" in name for name, _ in tiny_base.unet.named_modules())
    assert not tiny_base.unet.training


def test_a_run_saves_at_the_steps_that_are_named_and_at_the_last(make, tiny_base):
    run = make(save_at=(3, 1, 90))
    loop.train(run, tiny_base)
    assert run.checkpoints() == [1, 3, 6]


def test_events_tell_loss_rates_time_memory_and_each_layers_distance(make, tiny_base):
    run = make()
    loop.train(run, tiny_base)
    steps = run.history("step")
    assert [e["step"] for e in steps] == [1, 2, 3, 4, 5, 6]
    for event in steps:
        assert event["loss"] == pytest.approx(event["loss_instance"] + event["loss_prior"])
        assert event["lr"] == 1e-2 and event["lr_lambda"] == 4e-3
        assert event["seconds"] > 0 and event["memory_mb"] > 0
    geometry = run.history("geometry")
    assert geometry[0]["step"] == 0 and len(geometry[0]["layers"]) == tiny_base.capabilities.attention_layers == 56
    assert all(layer["distance"] == 0 for layer in geometry[0]["layers"].values())
    for layer in geometry[-1]["layers"].values():
        assert 0 < layer["distance"] <= layer["bound"] and layer["reach"] < layer["bound"]
    assert [e["phase"] for e in run.events("phase")] == ["prepare", "class pictures", "prepare", "train"]


def test_a_run_killed_in_the_middle_resumes_to_the_same_adapter_bit_for_bit(make, tiny_base, tiny_folder):
    unbroken, killed = make(**EVERYTHING), make(**EVERYTHING)
    assert loop.train(unbroken, tiny_base) == Outcome.DONE
    script = Path(__file__).with_name("train_run.py")
    arguments = [sys.executable, str(script), str(tiny_folder), str(killed.path), "5"]
    path = os.pathsep.join([str(Path(delora.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(arguments, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    state = killed.state()
    assert state.name == "running" and not state.alive and killed.checkpoints() == [2, 4]
    assert killed.events("step")[-1]["step"] == 5
    assert loop.train(killed, tiny_base) == Outcome.DONE
    assert_same_adapter(unbroken, killed, 6)
    assert [e["step"] for e in killed.events("resume")] == [4]
    assert [e["loss"] for e in killed.history("step")] == [e["loss"] for e in unbroken.history("step")]


def test_a_stopped_run_is_saved_between_saves_and_resumes_to_the_same_adapter(make, tiny_base):
    unbroken, stopped = make(**EVERYTHING), make(**EVERYTHING)
    loop.train(unbroken, tiny_base)
    assert loop.train(stopped, tiny_base, progress=at(3, stopped.request_stop)) == Outcome.STOPPED
    state = stopped.state()
    assert (state.name, state.step, state.saved_step, state.pid) == ("stopped", 3, 3, None)
    assert loop.train(stopped, tiny_base) == Outcome.DONE
    assert_same_adapter(unbroken, stopped, 6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_ctrl_c_stop_after_a_save_and_give_the_handlers_back(make, tiny_base, number):
    run, handlers = make(), {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    assert loop.train(run, tiny_base, progress=at(1, lambda: os.kill(os.getpid(), number))) == Outcome.STOPPED
    assert run.checkpoints() == [1] and run.state().name == "stopped"
    assert {s: signal.getsignal(s) for s in handlers} == handlers


def test_a_stop_before_the_first_step_saves_nothing_and_can_be_resumed(make, tiny_base):
    run = make(steps=2)
    run.request_stop()
    run.set_state("starting")
    assert loop.train(run, tiny_base) == Outcome.STOPPED
    assert run.checkpoints() == [] and run.state().name == "stopped"
    assert loop.train(run, tiny_base) == Outcome.DONE


def test_bf16_resumes_bit_for_bit_too(make, tiny_base):
    changes = {"mixed_precision": "bf16", "steps": 4}
    unbroken, stopped = make(**changes), make(**changes)
    loop.train(unbroken, tiny_base)
    loop.train(stopped, tiny_base, progress=at(3, stopped.request_stop))
    loop.train(stopped, tiny_base)
    assert_same_adapter(unbroken, stopped, 4)


def test_gradient_checkpointing_gives_the_same_gradients(make, tiny_base):
    plain, checkpointed = make(steps=2), make(steps=2, gradient_checkpointing=True)
    for run in (plain, checkpointed):
        loop.train(run, tiny_base)
    losses = [[e["grad_norm"] for e in run.history("step")] for run in (plain, checkpointed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_nan_ends_the_run_and_keeps_the_last_good_save(make, tiny_base):
    run = make()

    def poison(step, adapter):
        if step == 2:
            with torch.no_grad():
                adapter.parameters()[0].fill_(float("nan"))

    assert loop.train(run, tiny_base, on_save=poison) == Outcome.FAILED
    state = run.state()
    assert (state.name, state.cause, state.saved_step) == ("failed", "nan", 2)
    assert "broke down at step 3 (NaN)" in state.message and "Step 2 is good" in state.message
    assert run.checkpoints() == [2] and all(torch.isfinite(t).all() for t in tensors(run, 2).values())
    assert loop.train(run, tiny_base) == Outcome.DONE, "a failed run can be taken up from its good save"


def out_of_memory(monkeypatch, failures):
    """Let the first `failures` steps run out of memory."""
    gradients, left = Trainer._gradients, [failures]

    def failing(self):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return gradients(self)

    monkeypatch.setattr(Trainer, "_gradients", failing)


def test_out_of_memory_steps_down_once_and_learns_the_same(make, tiny_base, monkeypatch):
    plain, tight = make(steps=2), make(steps=2)
    loop.train(plain, tiny_base)
    out_of_memory(monkeypatch, 1)
    assert loop.train(tight, tiny_base) == Outcome.DONE
    assert "Memory ran out at step 1" in tight.events("note")[0]["words"]
    losses = [[e["loss"] for e in run.history("step")] for run in (plain, tight)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert checkpoint.read(tight.checkpoint(2))["plan"] == {"micro_batch": 1, "checkpointing": True}
    assert not tiny_base.unet.is_gradient_checkpointing


def test_out_of_memory_twice_fails_with_figures_and_offers_what_did_not_fail_yet(make, tiny_base, monkeypatch):
    run = make()
    out_of_memory(monkeypatch, 2)
    monkeypatch.setattr(memory, "available_gb", lambda device: 1.25)
    monkeypatch.setattr(memory, "total_gb", lambda device: 2.0)
    assert loop.train(run, tiny_base) == Outcome.FAILED
    state = run.state()
    assert state.cause == "memory" and "with 1 picture at once and gradient checkpointing" in state.message
    assert "needs about 0.3 GB of memory" in state.message and "1.3 of 2.0 GB were free for it" in state.message
    need = state.memory
    smaller = memory.estimate(tiny_base, tinypipeline.spec(Path(tiny_base.ref), resolution=24), Plan(1, True))
    assert need.fix == {"resolution": 24} and need.fix_gb == pytest.approx(smaller.total_gb)
    assert need.needed_gb == pytest.approx(memory.estimate(tiny_base, run.spec, Plan(1, True)).total_gb)
    assert "24 pixels instead of 32, about 0.3 GB" in state.remedy


def test_what_training_needs_is_known_before_it_begins(make, tiny_base, monkeypatch):
    """Where the system ends the process for want of memory, nobody can write it down any more."""
    run, found = make(steps=1), []
    monkeypatch.setattr(Trainer, "make_step", lambda self: found.append(run.state().memory) or 1 / 0)
    loop.train(run, tiny_base)
    (need,) = found
    assert need.needed_gb == pytest.approx(memory.estimate(tiny_base, run.spec).total_gb) and need.free_gb > 0
    assert need.fix == {"batch_size": 1, "gradient_accumulation": 2, "gradient_checkpointing": True}
    assert need.device == "cpu" and need.total_gb >= need.free_gb


def test_too_little_free_memory_steps_down_before_the_start(make, tiny_base, monkeypatch):
    run = make(steps=1)
    monkeypatch.setattr(memory, "available_gb", lambda device: 0.1)
    loop.train(run, tiny_base)
    assert "0.1 are free" in run.events("note")[0]["words"]


def test_accumulated_small_batches_are_one_large_batch(make, tiny_base):
    large, small = make(batch_size=4, steps=2), make(batch_size=2, gradient_accumulation=2, steps=2)
    for run in (large, small):
        loop.train(run, tiny_base)
    for key, tensor in tensors(large, 2).items():
        assert torch.allclose(tensor, tensors(small, 2)[key], atol=2e-3), key
    losses = [[e["loss"] for e in run.history("step")] for run in (large, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_damaged_newest_save_is_passed_over(make, tiny_base):
    unbroken, damaged = make(), make()
    loop.train(unbroken, tiny_base)
    loop.train(damaged, tiny_base, progress=at(5, damaged.request_stop))
    (damaged.checkpoint(5) / "trainer.safetensors").write_bytes(b"\0" * 100)
    assert loop.train(damaged, tiny_base) == Outcome.DONE
    assert "Going on from an earlier save" in damaged.events("note")[0]["words"]
    assert_same_adapter(unbroken, damaged, 6)


def test_training_longer_is_a_new_run_that_ends_like_one_long_run(make, tiny_base, tmp_path, tiny_folder):
    long, short = make(), make(steps=4)
    for run in (long, short):
        loop.train(run, tiny_base)
    longer = make(parent=short.id, start_step=4)
    assert longer.checkpoints() == [4] and longer.state().parent == short.id
    assert loop.train(longer, tiny_base) == Outcome.DONE
    assert_same_adapter(long, longer, 6)
    with pytest.raises(BadInput, match="no save at step 3"):
        make(parent=short.id, start_step=3)
    other = make(parent=short.id, start_step=4, adapter={"rank": 2})
    with pytest.raises(BadInput, match="settings differ"):
        loop.train(other, tiny_base)
    assert other.state().name == "failed"


def test_the_save_a_run_goes_on_from_is_drawn_and_scored_again(make, tiny_base):
    run, saves = make(), []
    loop.train(run, tiny_base, progress=at(3, run.request_stop))
    loop.train(run, tiny_base, on_save=lambda step, adapter: saves.append(step))
    assert saves == [3, 4, 6]


def test_an_error_while_drawing_fails_the_run_and_keeps_its_save(make, tiny_base):
    def broken(step, adapter):
        raise RuntimeError("no such colour")

    run = make()
    assert loop.train(run, tiny_base, on_save=broken) == Outcome.FAILED
    assert "no such colour" in run.state().message and run.checkpoints() == [2]
    assert "Traceback" in (run.path / "log.txt").read_text()
    assert not any("adapters" in name for name, _ in tiny_base.unet.named_modules())


def test_only_one_process_trains_a_run(make, tiny_base):
    run = make(steps=1)
    with run.training_lock(), pytest.raises(BadInput, match="trained by another process"):
        loop.train(Run(run.path), tiny_base)
    assert run.state().name == "queued"


def test_a_process_that_lost_the_run_writes_nothing_more(make, tiny_base):
    run = make()
    with pytest.raises(Superseded):
        loop.train(run, tiny_base, on_save=lambda step, adapter: Run(run.path).begin_attempt())
    assert run.checkpoints() == [2]


def test_a_done_run_is_not_trained_again(make, tiny_base):
    run = make(steps=1)
    loop.train(run, tiny_base)
    run.set_state("done")
    with pytest.raises(BadInput, match="is done"):
        loop.train(Run(run.path), tiny_base)


@pytest.mark.parametrize(
    "adapter", [{"method": "lora", "rank": 4}, {"method": "ether-plus"}, {"method": "oft", "blocks": 2}]
)
def test_other_methods_resume_to_the_same_adapter_too(make, tiny_base, adapter):
    unbroken, stopped = make(steps=3, adapter=adapter), make(steps=3, adapter=adapter)
    loop.train(unbroken, tiny_base)
    loop.train(stopped, tiny_base, progress=at(2, stopped.request_stop))
    loop.train(stopped, tiny_base)
    assert_same_adapter(unbroken, stopped, 3)


def test_a_spec_that_does_not_fit_its_base_is_refused_before_a_run_is_made(tiny_base, tiny_folder):
    for changes, field in (
        ({"adapter": {"rank": 64}}, "adapter.rank"),
        ({"targets": ("to_z",)}, "targets"),
        ({"resolution": 36}, "size"),
        ({"mixed_precision": "fp16"}, "mixed_precision"),
        ({"adapter": {"rank_pattern": {"nowhere": 2}}}, "adapter.rank_pattern"),
    ):
        with pytest.raises(BadInput) as caught:
            validate.validate(tinypipeline.spec(tiny_folder, **changes), tiny_base)
        assert caught.value.field == field
    assert validate.validate(tinypipeline.spec(tiny_folder), tiny_base) == []


LONG = "in the snow " * 9  # 27 words; more tokens than the 16 that the tiny model reads


@pytest.mark.parametrize(
    "changes, where",
    [
        ({"sample": {"prompts": ("a {subject} " + LONG, "a {subject}")}}, "a sks dog in the snow"),
        ({"sample": {"prompts": ("a {subject} " + LONG, "a {subject} " + "x" * 400)}}, "a sks dog in the snow"),
        ({"sample": {"negative": LONG * 2}}, "in the snow"),
        ({"class_prompt": "a dog " + LONG * 2}, "a dog in the snow"),
        ({"instance_prompt": "a sks dog " + LONG * 2}, "a sks dog in the snow"),
    ],
)
def test_every_prompt_that_is_cut_off_is_named_with_its_tokens(changes, where, tiny_base, tiny_folder):
    """Counted by the tokenizer: the one with the most letters may be short in tokens."""
    told = validate.validate(tinypipeline.spec(tiny_folder, **changes), tiny_base)
    assert any(f"The prompt '{where}" in line and "tokens of 16; its end is cut off" in line for line in told), told
    text = next(iter(changes.values()))
    text = text if isinstance(text, str) else text.get("negative") or text["prompts"][0].replace("{subject}", "sks dog")
    counted = len(tiny_base.tokenizer(text.strip()).input_ids)
    assert counted > 16 and any(f" {counted} tokens" in line for line in told)


def test_prompts_that_take_no_part_are_not_spoken_of(tiny_base, tiny_folder):
    for changes in (
        {"sample": {"negative": LONG * 2, "guidance": 1.0}},
        {"class_prompt": "a dog " + LONG * 2, "prior_weight": 0},
    ):
        assert validate.validate(tinypipeline.spec(tiny_folder, **changes), tiny_base) == []


@pytest.mark.parametrize(("amx", "mode"), [(True, "bf16"), (False, "no")])
def test_auto_is_half_precision_only_on_a_cpu_that_is_faster_with_it(monkeypatch, amx, mode):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert precision.choose("auto", "cpu") == mode
    assert precision.choose("no", "cpu") == "no" and precision.base_dtype("auto", "cpu") == "float32"


def test_bf16_learns_what_fp32_learns(make, tiny_base):
    full, half = make(), make(mixed_precision="bf16")
    for run in (full, half):
        loop.train(run, tiny_base)
    losses = [[e["loss"] for e in run.history("step")] for run in (full, half)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)


def test_runs_are_found_by_their_parent_after_the_parent_is_gone(make, tiny_base, tmp_path):
    import shutil

    parent = make(steps=2)
    loop.train(parent, tiny_base)
    child = make(parent=parent.id, start_step=2, steps=3)
    shutil.rmtree(parent.path)
    assert loop.train(rundir.open_run(tmp_path, child.id), tiny_base) == Outcome.DONE
