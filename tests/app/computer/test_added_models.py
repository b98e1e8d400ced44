"""`delora models add` takes or refuses each made model, and the lists hold what was added."""

import json

import mademodels
import pytest
from typer.testing import CliRunner

import assets
from app.cli import cli


def delora(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", mademodels.TABLE)
def test_the_command_takes_or_refuses_each_made_model(name, sd15_folder, tmp_path, monkeypatch):
    made, real = mademodels.TABLE[name], assets.path
    path = made.write(sd15_folder, tmp_path / "made")
    monkeypatch.setattr(assets, "path", lambda *parts: sd15_folder if parts == ("sd15-config",) else real(*parts))
    result = delora("models", "add", path, "--name", "mine", "--data", tmp_path)
    listed = json.loads(delora("models", "list", "--json", "--data", tmp_path).stdout)["models"]
    words = {model["name"]: model["words"] for model in listed}
    if made.refused:
        assert result.exit_code == 2 and made.refused in result.stderr, (result.output, result.exception)
        assert "mine" not in words
    else:
        assert result.exit_code == 0, (result.output, result.exception)
        assert words["mine"].startswith(f"mine, {made.size_px} px pictures")


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_not_the_working_folder(path, sd15_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(sd15_folder)
    result = delora("models", "add", path, "--name", "mine", "--data", tmp_path)
    assert result.exit_code == 2 and "it is empty" in result.output
    assert delora("models", "add", ".", "--name", "mine", "--data", tmp_path).exit_code == 0
