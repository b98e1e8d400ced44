"""The code in the documentation runs as it stands."""

import re
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import delora
from delora import export

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-method.md"


@pytest.fixture
def example():
    """The names that the page's code defines."""
    names = {"__name__": "example"}
    try:
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), names)  # our own page
        yield names
    finally:
        delora.METHODS.pop("vera", None)


def test_the_example_of_the_page_trains_saves_exports_and_merges(example, tmp_path, capsys):
    model, adapter = example["model"], example["adapter"]
    assert example["loss"] < 1.0
    x = torch.randn(5, 64)
    y = model(x)
    delora.save(adapter, tmp_path / "vera.safetensors")
    export.to_kohya(adapter, tmp_path / "lora.safetensors", prefix="lora_")
    adapter.detach()
    again = delora.load(model, tmp_path / "vera.safetensors")
    assert torch.equal(model(x), y)
    assert again.num_trainable == (8 + 64) + (8 + 8)
    again.merge()
    torch.testing.assert_close(model(x), y, rtol=1e-5, atol=1e-5)
    assert load_file(tmp_path / "lora.safetensors")["lora_0.lora_down.weight"].shape == (8, 64)


def test_the_example_computes_veras_equation(example):
    layer = nn.ModuleDict({"q": nn.Linear(12, 10)}).double()
    adapter = delora.attach(layer, delora.AdapterConfig(method="vera", rank=3, targets=("q",)))
    method = adapter.layers["q"]
    nn.init.normal_(method.b)
    dw = torch.diag(method.b) @ method.B @ torch.diag(method.d) @ method.A
    x = torch.randn(4, 12).double()
    linear = layer["q"]
    torch.testing.assert_close(linear(x), nn.functional.linear(x, linear.weight + dw, linear.bias))


def test_the_readme_shows_the_lines_of_the_packages_docstring():
    readme = (PAGE.parents[1] / "README.md").read_text("utf-8")
    assert textwrap.dedent(delora.__doc__.split("\n\n", 1)[1]).strip() in readme


def test_ten_lines_attach_train_save_load_and_merge(tmp_path, monkeypatch):
    """The lines of the package's docstring, with a look at the model after each change."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    code = textwrap.dedent(delora.__doc__.split("\n\n", 1)[1])
    before, after = code.split("adapter.detach()")
    names = {}
    exec(before, names)
    model, x = names["model"], torch.randn(7, 32)
    trained = model(x)
    names["adapter"].strength = 0
    base = model(x)
    assert not torch.allclose(trained, base, atol=1e-2)
    exec("adapter.detach()" + after, names)
    torch.testing.assert_close(model(x), trained, rtol=1e-5, atol=1e-5)
    assert not any("adapters" in name for name, _ in model.named_modules())
