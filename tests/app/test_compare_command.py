"""`delora compare`: columns trained one after another, gone on with where it was stopped, and told at the end."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands import compare
from app.comparisons import comparison
from training import presets
from training.errors import Stopped

QUICK = ["--batch-size", "1", "--class-pictures", "2", "--class-steps", "1", "--sample-steps", "1", "--threads", "1"]
QUICK += ["--prompt", "a {subject} in the snow", "--sample-seed", "0", "--saves", "1,2", "--ranks", "2"]


def delora(*arguments):
    """Run a command in this process; its exit code, stdout and stderr."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refused(result, *words):
    """The command ended with one message that holds `words`."""
    assert result.exit_code == 2 and "Traceback" not in result.stderr, (result.output, result.exception)
    assert result.stderr.count("delora:") == 1 and all(word in result.stderr for word in words), result.stderr


@pytest.fixture
def run(tmp_path, tiny_folder, subject_folder):
    """`delora compare` of DeLoRA and LoRA, two steps each."""

    def run(*more, pictures=(subject_folder,)):
        given = ("--base", tiny_folder, "--class-word", "dog", "--name", "Rex", "--data", tmp_path / "data")
        return delora("compare", *pictures, *given, *QUICK, *more)

    return run


def steps(run):
    return [event["step"] for event in run.events("step")]


def test_it_goes_on_where_it_was_stopped_and_tells_each_column(run, tmp_path, monkeypatch):
    whole, made = compare.to_its_end, []

    def stopped_after_one(run, *rest, **more):
        made.append(run)
        if len(made) > 1:
            raise Stopped("Stopped.", "")
        whole(run, *rest, **more)

    monkeypatch.setattr(compare, "to_its_end", stopped_after_one)
    assert run("--rates", "2").exit_code == 130
    (found,) = comparison.every(tmp_path / "data")
    assert [state.name for state in found.states()] == ["done", "stopped"], "no worker takes what waits for its turn"
    usual = presets.preset("sd", "delora")["learning_rate"]
    assert found.read().saves == (1, 2) and found.runs()[0].spec.learning_rate == 2 * usual

    monkeypatch.setattr(compare, "to_its_end", whole)
    done = delora("compare", "--resume", found.id, "--json", "--data", tmp_path / "data")
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.stdout)
    assert [column["column"] for column in told["columns"]] == ["DeLoRA", "LoRA"]
    assert [column["state"] for column in told["columns"]] == ["done", "done"]
    assert told["comparison"] == found.id and told["found"].endswith(".")
    assert all(column["distance"] > 0 for column in told["columns"])
    assert [steps(run) for run in found.runs()] == [[1, 2], [1, 2]], "nothing finished is repeated"
    shown = delora("compare", "--resume", found.id, "--data", tmp_path / "data")
    assert told["found"] in shown.stdout and "DeLoRA" in shown.stdout


def test_what_is_wrong_is_told_and_nothing_is_made(run, tmp_path, subject_folder):
    data = tmp_path / "data"
    refused(run("--methods", "delora magic"), "magic", "ether-plus")
    refused(run("--methods", "delora"), "1 column")
    refused(run("--rates", "1,x"), "rates")
    refused(run("--subject", "jeep"), "--subject")
    refused(run(pictures=()), "Give pictures")
    refused(delora("compare", "--subject", "unicorn", "--data", data), "There is no sample subject")
    refused(delora("compare", "--resume", "nobody", "--data", data), "There is no comparison")
    assert comparison.every(data) == [] and not list((data / "runs").glob("*")) and not list(data.rglob("*.part"))
