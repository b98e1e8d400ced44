"""Checkpoints: what is in them, what stays, and what a damaged one says."""

import json

import pytest
import tinypipeline

import delora
from training import loop
from training.errors import BadInput, RunFailed
from training.runs import checkpoint


@pytest.fixture
def trained(tmp_path, tiny_folder, tiny_base):
    """A run with saves at 1 ... 7 by the rule of keep_every = 3 and step 2 recommended."""
    run = tinypipeline.run(tmp_path, tiny_folder, steps=7, save_every=1, keep_every=3)

    def score(step, adapter):
        if step == 2:
            run.write_scores({"recommendation": {"step": 2}})

    loop.train(run, tiny_base, on_save=score)
    return run


def test_the_newest_two_the_recommended_and_every_third_save_stay(trained):
    assert trained.checkpoints() == [2, 3, 6, 7]
    assert checkpoint.resumable(trained) == [7, 6]
    removed = [step for event in trained.events("save") for step in event["removed"]]
    assert sorted(removed) == [1, 4, 5]


def test_the_save_to_take_instead_stays_where_none_is_recommended(tmp_path, tiny_folder, tiny_base):
    run = tinypipeline.run(tmp_path, tiny_folder, steps=7, save_every=1, keep_every=3)
    advice = {"recommendation": {"step": None, "instead": 2, "last_good": 1}}
    loop.train(run, tiny_base, on_save=lambda step, adapter: step == 1 and run.write_scores(advice))
    assert run.checkpoints() == [1, 2, 3, 6, 7], "the last good save of a run that has collapsed stays too"


def test_all_saves_stay_where_no_rule_is_given(tmp_path, tiny_folder, tiny_base):
    run = tinypipeline.run(tmp_path, tiny_folder, steps=4, save_every=1)
    loop.train(run, tiny_base)
    assert run.checkpoints() == [1, 2, 3, 4] and checkpoint.resumable(run) == [4, 3]


def test_a_save_is_a_native_adapter_file_that_says_what_made_it(trained, tiny_base):
    path = trained.checkpoint(2)
    header = delora.files.read_header(path / "adapter.safetensors")
    assert header["trigger"] == "sks dog" and header["step"] == "2" and header["run"] == trained.id
    assert header["base_fingerprint"] == tiny_base.fingerprint
    assert json.loads(header["spec"]) == trained.spec.model_dump(mode="json")
    info = checkpoint.read(path)
    assert info["step"] == 2 and info["threads"] == 1 and set(info["versions"]) == set(checkpoint.PACKAGES)
    adapter = checkpoint.attach(tiny_base, path)
    assert adapter.config == trained.spec.adapter.to_config(trained.spec.targets)
    adapter.detach()


def test_a_damaged_save_names_its_file_and_leaves_the_model_alone(trained, tiny_base):
    path = trained.checkpoint(7)
    whole = (path / "adapter.safetensors").read_bytes()
    (path / "adapter.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"step-000007/adapter\.safetensors"):
        checkpoint.attach(tiny_base, path)
    assert not any("adapters" in name for name, _ in tiny_base.unet.named_modules())
    (path / "checkpoint.json").write_text("{")
    with pytest.raises(BadInput, match="not a whole checkpoint"):
        checkpoint.read(path)


def test_a_full_disk_at_a_save_interrupts_the_run_at_the_save_before(tmp_path, tiny_folder, tiny_base, monkeypatch):
    run = tinypipeline.run(tmp_path, tiny_folder, steps=4)
    write = checkpoint._save_optimizer

    def full(optimizer, path):
        if "step-000004" in str(path):
            raise OSError(28, "No space left on device")
        write(optimizer, path)

    monkeypatch.setattr(checkpoint, "_save_optimizer", full)
    assert loop.train(run, tiny_base) == "interrupted"
    state = run.state()
    assert (state.name, state.cause) == ("interrupted", "disk")
    assert state.message.endswith("Saved up to step 2.")
    assert "disk is full" in state.message and state.saved_step == 2
    assert run.checkpoints() == [2] and not list((run.path / "checkpoints").glob(".*"))


def test_numbers_that_are_not_finite_are_not_saved(tmp_path, tiny_folder, tiny_base):
    import torch

    run = tinypipeline.run(tmp_path, tiny_folder)
    adapter = delora.attach(tiny_base.unet, delora.AdapterConfig(rank=4))
    optimizer = torch.optim.AdamW(adapter.parameters())
    with torch.no_grad():
        adapter.parameters()[0].fill_(float("inf"))
    with pytest.raises(RunFailed, match="NaN or infinite"):
        checkpoint.save(run, 1, adapter, optimizer, tiny_base, {})
    adapter.detach()
    assert run.checkpoints() == []
