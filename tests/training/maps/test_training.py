"""The one training loop teaches pictures from maps too, and resumes to the same numbers, hint encoder included."""

import mapfiles
import pytest
import tinycontrol
import tinypipeline
import torch
from safetensors.torch import load_file

from training import loop, together
from training.base import controlnet
from training.errors import BadInput
from training.maps import writing
from training.maps.steering import objective
from training.maps.steering.protocols import FrozenControlNet, HintEncoder
from training.runs import checkpoint
from training.step import onepass

SIZE = tinypipeline.SIZE_PX


@pytest.fixture
def dataset(tmp_path):
    """Three pairs as a run reads them."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for i in range(3):
        mapfiles.picture((SIZE, SIZE), i).save(folder / f"{i:04d}.png")
        writing.write(mapfiles.scene(SIZE, SIZE), folder / f"{i:04d}.map.png", "index")
    return [folder / f"{i:04d}.png" for i in range(3)]


@pytest.fixture
def train(tmp_path, tiny_folder, tiny_base, dataset):
    """Train a run on the pairs, with a way to steer; stop_at stops it after that step."""
    settings = {"flip": True, "lr_schedule": "cosine", "adapter": {"dropout": 0.2}}

    def go(steering, run=None, stop_at=None):
        run = run or tinypipeline.run(tmp_path, tiny_folder, **settings)

        def take_in(run, base, data, watch):
            return objective.prepare(base, run.spec, steering, dataset, ["a photo of the dog"] * 3)

        def progress(p):
            if p.phase == "train" and p.step == stop_at:
                run.request_stop()

        return run, loop.train(run, tiny_base, take_in, progress=progress)

    return go


def saved(run, step=6):
    folder = run.checkpoint(step)
    return {file.name: load_file(file) for file in folder.glob("*.safetensors")}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[file][key], b[file][key]) for file in a for key in a[file])


def test_a_frozen_controlnet_run_saves_the_adapter_alone(train, tiny_base, tmp_path):
    net = controlnet.load(str(tinycontrol.build(tmp_path / "net", tiny_base.unet)), tiny_base, tmp_path).module
    run, outcome = train(FrozenControlNet(net))
    assert outcome == "done" and set(saved(run)) == {"adapter.safetensors", "trainer.safetensors"}
    event = run.history("step")[-1]
    assert event["loss"] == event["loss_instance"] and event["loss_prior"] is None and "lr_trained" not in event


def test_the_hint_encoder_learns_at_its_own_rate_and_resumes_bit_for_bit(train, tiny_base):
    unbroken, outcome = train(HintEncoder.of(tiny_base.unet, 4, rate=1e-3))
    assert outcome == "done"
    first = HintEncoder.of(tiny_base.unet, 4).trained.state_dict()
    learned = saved(unbroken)["trained.safetensors"]
    assert not torch.equal(first["conv_out.weight"], learned["conv_out.weight"])
    assert unbroken.history("step")[0]["lr_trained"] == 1e-3 and unbroken.history("step")[0]["lr"] == 1e-2

    stopped, outcome = train(HintEncoder.of(tiny_base.unet, 4, rate=1e-3), stop_at=3)
    assert outcome == "stopped" and stopped.checkpoints()[-1] == 3
    resumed, outcome = train(HintEncoder.of(tiny_base.unet, 4, seed=9, rate=1e-3), stopped)
    assert outcome == "done" and same(saved(unbroken), saved(resumed))


def test_a_damaged_or_foreign_hint_encoder_is_told_and_changes_nothing(train, tiny_base):
    run, _ = train(HintEncoder.of(tiny_base.unet, 4))
    path = run.checkpoint(6)
    other = HintEncoder(16, 4).trained
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(BadInput, match="belongs to another base model"):
        checkpoint.load_trained(path, other)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    (path / checkpoint.TRAINED).write_bytes(b"torn")
    with pytest.raises(BadInput, match="missing or damaged"):
        checkpoint.load_trained(path, HintEncoder.of(tiny_base.unet, 4).trained)


def test_runs_steered_by_a_controlnet_share_a_pass_and_those_with_a_hint_encoder_take_turns(
    tmp_path, tiny_folder, tiny_base, dataset, monkeypatch
):
    net = controlnet.load(str(tinycontrol.build(tmp_path / "net", tiny_base.unet)), tiny_base, tmp_path).module
    passes, whole = [], onepass.make_steps
    monkeypatch.setattr(onepass, "make_steps", lambda trainers: passes.append(len(trainers)) or whole(trainers))

    for make, shared in ((lambda: FrozenControlNet(net), [2, 2]), (lambda: HintEncoder.of(tiny_base.unet, 4), [])):

        def take_in(run, base, data, watch, make=make):
            return objective.prepare(base, run.spec, make(), dataset, ["a photo of the dog"] * 3)

        methods = ({"rank": 4}, {"method": "lora", "rank": 4})
        alone, joint = (
            [tinypipeline.run(tmp_path, tiny_folder, steps=2, adapter=own) for own in methods] for _ in range(2)
        )
        for run in alone:
            loop.train(run, tiny_base, take_in)
        together.train(joint, tiny_base, take_in)
        assert passes == shared
        passes.clear()
        for a, b in zip(alone, joint, strict=True):
            mine, other = (saved(run, 2)["adapter.safetensors"] for run in (a, b))
            for key in mine:
                torch.testing.assert_close(mine[key], other[key], rtol=1e-3, atol=2e-4)
