"""The native file: what was saved comes back exactly, and whatever is wrong with a file is said in words."""

import errno
import json
import resource
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

import delora
from delora.files import read_header, write_safetensors

METHODS = tuple(delora.METHODS)


def config(method="delora", **settings):
    if "rank" in delora.METHODS[method].options:
        settings.setdefault("rank", 4)
    return delora.AdapterConfig(method=method, **settings)


@pytest.fixture
def saved(make_net, randomise, tmp_path):
    """A trained DeLoRA's file and the net it belongs to, without it."""
    net = make_net()
    adapter = randomise(delora.attach(net, config()))
    delora.save(adapter, tmp_path / "a.safetensors", {"trigger": "sks dog"})
    adapter.detach()
    return net, tmp_path / "a.safetensors"


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_adapter_comes_back_exactly(method, make_net, inputs, randomise, tmp_path):
    net, batch = make_net(), inputs()
    adapter = randomise(delora.attach(net, config(method, dropout=0.1), name="mine"))
    net.eval()
    y, state = net(*batch), adapter.state_dict()
    delora.save(adapter, tmp_path / "a.safetensors")
    adapter.detach()
    again = delora.load(net, tmp_path / "a.safetensors", name="again")
    assert torch.equal(net(*batch), y)
    assert again.config == adapter.config and again.name == "again"
    assert state.keys() == again.state_dict().keys()
    assert all(torch.equal(state[key], t) for key, t in again.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]  # nothing half-made beside it


def test_a_disk_that_refuses_is_an_os_error_and_leaves_nothing_half_written(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**23, limit[1]))
    try:
        with pytest.raises(OSError) as told:
            write_safetensors({"a": torch.zeros(2**22)}, tmp_path / "a.safetensors", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert told.value.errno == errno.EFBIG and told.value.filename == str(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        write_safetensors({"a": torch.zeros(1)}, tmp_path / "nowhere" / "a.safetensors", {})


def test_the_header_tells_what_it_is_without_reading_tensors(saved):
    header = read_header(saved[1])
    assert header["trigger"] == "sks dog"
    assert header["config"] == config()
    assert len(header["weight_norms"]) == 8


def test_a_half_precision_copy_of_the_base_is_the_same_base(saved):
    net, path = saved
    delora.load(net.half(), path)


def damage(path, change):
    """Rewrites the file after `change(tensors, metadata)`."""
    with path.open("rb") as file:
        metadata = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t, m: t.pop("attn1.to_q.A"), "lacks 'attn1.to_q.A'"),
        (lambda t, m: t.update({"attn1.to_q.C": torch.ones(1)}), "has unknown 'attn1.to_q.C'"),
        (
            lambda t, m: t.update({"attn1.to_q.A": torch.ones(3, 32)}),
            r"attn1.to_q.A: the shape is \(3, 32\), not \(4, 32",
        ),
        (lambda t, m: t["attn1.to_q.A"].fill_(torch.nan), "attn1.to_q.A: holds NaN"),
        (lambda t, m: m.pop("format"), "not an adapter file of DeLoRA Studio"),
        (lambda t, m: m.update(version="9"), r"written by another version \(9\)"),
        (lambda t, m: m.update(config="{"), "the header is damaged"),
        (lambda t, m: m.update(config='{"method": "delora", "speed": 3}'), "header is damaged.*speed: not a setting"),
        (lambda t, m: m.update(config="[]"), "the header is damaged"),
        (lambda t, m: m.pop("weight_norms"), "the header is damaged"),
    ],
)
def test_a_changed_file_is_refused_and_the_model_stays_clean(change, words, saved, inputs):
    net, path = saved
    base = net(*inputs())
    damage(path, change)
    with pytest.raises(ValueError, match=words) as error:
        delora.load(net, path)
    assert str(path) in str(error.value)
    assert torch.equal(net(*inputs()), base)
    assert not any("adapters" in name for name, _ in net.named_modules())


@pytest.mark.parametrize(
    "write, words",
    [
        (lambda p: p.unlink(), "there is no such file"),
        (lambda p: p.write_bytes(b""), "not a safetensors file, or cut off"),
        (lambda p: p.write_text("I am a picture of a dog"), "not a safetensors file, or cut off"),
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "not a safetensors file, or damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:200]), "not a safetensors file, or cut off"),
        (lambda p: p.write_bytes(struct.pack("<Q", 2**40) + p.read_bytes()[8:]), "not a safetensors file, or cut off"),
        (lambda p: p.write_bytes(struct.pack("<Q", 17 * 2**20) + b"{" * (18 * 2**20)), "not a safetensors file"),
    ],
)
def test_a_broken_file_is_refused(write, words, saved):
    net, path = saved
    write(path)
    with pytest.raises(ValueError, match=words):
        delora.load(net, path)


def test_another_base_model_is_recognised(saved, make_net):
    _, path = saved
    other = make_net(seed=7)
    with pytest.raises(ValueError, match="made for another base model: .* Load the base model"):
        delora.load(other, path)
    assert not any("adapters" in name for name, _ in other.named_modules())
    delora.load(other, path, check_base=False)  # a finetune of the same layout may be meant


def test_a_broken_adapter_is_not_saved(make_net, tmp_path):
    adapter = delora.attach(make_net(), config())
    adapter.layers["attn1.to_q"].A.data[0, 0] = torch.inf
    with pytest.raises(ValueError, match="attn1.to_q.A: holds NaN or infinite numbers"):
        delora.save(adapter, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [{"config": "mine"}, {"steps": 400}])
def test_metadata_must_be_text_under_its_own_key(metadata, make_net, tmp_path):
    adapter = delora.attach(make_net(), config())
    with pytest.raises(ValueError, match="metadata: .* must be text"):
        delora.save(adapter, tmp_path / "a.safetensors", metadata)


def test_a_state_that_does_not_fit_changes_nothing(make_net, randomise):
    adapter = randomise(delora.attach(make_net(), config()))
    before = {key: t.clone() for key, t in adapter.state_dict().items()}
    state = {key: torch.zeros_like(t) for key, t in before.items()} | {"attn2.to_v.B": torch.full((40, 4), torch.nan)}
    with pytest.raises(ValueError, match="attn2.to_v.B: holds NaN"):
        adapter.load_state_dict(state)
    assert all(torch.equal(before[key], t) for key, t in adapter.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_a_state_loaded_into_a_used_adapter_replaces_all_of_it(method, make_net, inputs, randomise):
    """Its start too: nothing that was kept from the drawing or training before may remain."""
    net, other, batch = make_net(), make_net(), inputs()
    used = randomise(delora.attach(net, config(method)), seed=5)
    net(*batch)
    with torch.no_grad():
        net(*batch)
    wanted = randomise(delora.attach(other, config(method), seed=8), seed=9)
    used.load_state_dict(wanted.state_dict())
    assert torch.equal(net(*batch), other(*batch))
    with torch.no_grad():
        assert torch.equal(net(*batch), other(*batch))
