"""`--data` that is no folder, and other paths that can be none: one message each, nothing written."""

import pytest
from typer.testing import CliRunner

from app.cli import cli
from training.base import hub, modelref
from training.errors import MissingModel

COMMANDS = (["runs", "list"], ["models", "list"], ["worker"], ["app", "--no-browser"], ["doctor"], ["train", "a.png"])


def delora(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_data_folder_that_is_a_file_is_refused(tmp_path, command):
    (tmp_path / "data").write_text("a file")
    for given in (tmp_path / "data", tmp_path / "data" / "below"):
        done = delora(*command, "--data", given)
        assert done.exit_code == 2 and "Traceback" not in done.output, done.output
    assert (tmp_path / "data").read_text() == "a file"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_empty_data_folder_is_refused_and_not_the_working_folder(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for given in ("", "  "):
        done = delora(*command, "--data", given)
        assert done.exit_code == 2 and "is empty" in done.output, done.output
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_for_a_folder_is_refused(tmp_path):
    done = delora("runs", "list", "--data", tmp_path / ("x" * 300))
    assert done.exit_code == 2 and "cannot be used" in done.output


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/x", "home directory"),
        ("a\0b", "null byte"),
        ("x/" * 5000, "File name too long"),
    ],
    ids=["300 letters", "no such user", "null byte", "5000 folders"],
)
def test_a_base_model_that_can_be_no_path_is_an_error_for_a_person(tmp_path, ref, why):
    for look in (modelref.resolve, hub.add):
        with pytest.raises(MissingModel, match=why) as error:
            look(ref, tmp_path)
        assert len(error.value.message) < 300 and error.value.field == "base"
    done = delora("train", tmp_path, "--base", ref.replace("\0", ""), "--data", tmp_path / "data")
    assert done.exit_code == 3 and "Traceback" not in done.output


def test_a_title_of_megabytes_in_a_lora_file_is_cut_and_one_of_a_person_refused(tmp_path, tiny_folder):
    import torch
    from safetensors.torch import save_file

    from app.adapters import imported
    from training.base import models
    from training.errors import BadInput

    base = models.load_base(str(tiny_folder), data=tmp_path)
    path, linear = next((n, m) for n, m in base.unet.named_modules() if n.endswith("to_q"))
    key = "lora_unet_" + path.replace(".", "_")
    tensors = {
        f"{key}.lora_down.weight": torch.zeros(2, linear.in_features),
        f"{key}.lora_up.weight": torch.ones(linear.out_features, 2),
    }
    file = tmp_path / "long.safetensors"
    save_file(tensors, file, {"modelspec.title": "Long " * 1_000_000})
    record = imported.import_file(file, tmp_path / "data", base=str(tiny_folder))
    assert record.name.startswith("Long Long") and len(record.name) <= 80 and len(record.slug) <= 80
    with pytest.raises(BadInput, match="1 to 80 letters"):
        imported.import_file(file, tmp_path / "data", base=str(tiny_folder), name="x" * 5_000_000)
