"""The command line: answers at once, says what is wrong in one message, and leaves nothing half made."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.adapters import benchmark
from app.cli import cli
from training.runs import rundir

QUICK = ["--steps", "2", "--save-every", "2", "--batch-size", "1", "--class-pictures", "2", "--class-steps", "1"]
QUICK += ["--sample-steps", "1", "--prompt", "a {subject} in the snow", "--sample-seed", "0", "--rank", "2"]
QUICK += ["--threads", "1"]


def delora(*arguments):
    """Run a command in this process; its exit code, stdout and stderr."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def train(tmp_path, tiny_folder, subject_folder):
    """`delora train` with good settings, to be spoilt one at a time."""

    def run(*more, pictures=subject_folder, base=tiny_folder, word="dog"):
        return delora(
            "train", pictures, "--base", base, "--class-word", word, "--data", tmp_path / "data", *QUICK, *more
        )

    return run


def refused(result, *words, code=2, data=None):
    """The command ended with one message that holds `words`, and with no run."""
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.stderr
    assert result.stderr.count("delora:") == 1
    for word in words:
        assert word in result.stderr, result.stderr
    if data is not None:
        assert not list((data / "runs").glob("*"))
        assert not list(data.rglob("*.part"))


# Help


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["train"],
        ["generate"],
        ["score"],
        ["export"],
        ["import"],
        ["runs"],
        ["models"],
        ["maps"],
        ["doctor"],
        ["demo"],
    ],
)
def test_help_imports_nothing_heavy_and_states_the_exit_codes(command):
    script = (
        f"import sys; sys.argv = ['delora', *{command!r}, '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        "heavy = ('torch', 'diffusers', 'transformers', 'gradio', 'numpy', 'PIL', 'huggingface_hub', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Exit codes: 0 done" in done.stdout


def test_every_setting_of_a_run_is_an_option_with_its_own_description(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    from training.spec import MapsSpec, RunSpec, SampleSpec, SubjectSpec

    words = " ".join(delora("train", "--help").stdout.replace("│", " ").split())
    for model in (SubjectSpec, MapsSpec, SampleSpec):
        for name, info in model.model_fields.items():
            info = RunSpec.model_fields.get(name, info)  # one option for the settings of every task
            if name not in ("version", "task", "adapter", "sample", "parent", "start_step"):
                assert info.description in words, name
    for option in ("--lambda-max", "--weight-norm", "--alpha", "--gradient-checkpointing", "--learning-rate-lambda"):
        assert option in words


# Bad pictures


def spoil_with(folder, name):
    """Make the named bad file in `folder` and return its path."""
    path = folder / name
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    if name == "text.png":
        path.write_text("these are words, not a picture\n")
    elif name == "cut.jpg":
        photo.save(path, quality=95)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "bomb.png":
        Image.new("1", (30_000, 30_000)).save(path, compress_level=1)
    elif name == "print.jpg":
        photo.convert("CMYK").save(path)
    elif name == "moving.gif":
        photo.save(path, save_all=True, append_images=[photo.rotate(90)])
    elif name == "phone.heic":
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64)
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.png", "text file"),
        ("cut.jpg", "cut off"),
        ("bomb.png", "too many pixels"),
        ("print.jpg", "CMYK"),
        ("moving.gif", "animated"),
        ("phone.heic", "export it as JPEG"),
    ],
)
def test_a_bad_picture_is_named_with_what_to_do(train, tmp_path, name, words):
    folder = tmp_path / "pictures"
    folder.mkdir()
    refused(train(pictures=spoil_with(folder, name)), name, words, data=tmp_path / "data")


def test_no_pictures(train, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(train(pictures=tmp_path / "empty"), "holds no pictures", data=tmp_path / "data")
    refused(train(pictures="--flip"), "No pictures were given", data=tmp_path / "data")


def test_a_picture_that_is_not_there(train, tmp_path):
    refused(train(pictures=tmp_path / "dog.png"), "dog.png is not there", data=tmp_path / "data")


# Bad settings and models


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rank", "0"], "adapter.rank"),
        (["--rank", "4000"], "rank: 4000 is more than"),
        (["--lambda", "-1"], "adapter.lambda_"),
        (["--method", "lora", "--lambda", "4"], "lambda_"),
        (["--prompt", "a dog in the snow"], "{subject}"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--target", "no_such_layer"], "no_such_layer"),
        (["--resolution", "60"], "60 pixels"),
    ],
)
def test_a_bad_setting_is_named(train, tmp_path, options, words):
    refused(train(*options), words, data=tmp_path / "data")


def test_an_empty_class_word(train, tmp_path):
    refused(train(word=" "), "class_word is empty", data=tmp_path / "data")


def test_a_missing_model_folder(train, tmp_path):
    refused(train(base=tmp_path / "nowhere"), "nowhere", "delora models list", code=3, data=tmp_path / "data")


def test_a_model_that_is_not_downloaded(train, tmp_path):
    refused(train(base="sd15"), "delora models get sd15", code=3, data=tmp_path / "data")


def test_a_judge_that_is_not_downloaded_makes_no_run(train, tmp_path):
    result = train("--dino", "facebook/dino-vits16")
    refused(result, "delora models get dino", code=3, data=tmp_path / "data")


def test_a_folder_that_is_no_pipeline(train, tmp_path, subject_folder):
    refused(train(base=subject_folder), str(subject_folder), data=tmp_path / "data")


def test_a_full_disk(train, tmp_path, monkeypatch):
    import errno
    import shutil

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    refused(train(), "disk", "full", code=4, data=tmp_path / "data")


def test_a_run_that_is_not_there(tmp_path):
    for command in (["runs", "show"], ["export"], ["runs", "report"], ["runs", "delete"], ["train", "--resume"]):
        refused(delora(*command, "biscuit", "--data", tmp_path), "There is no run 'biscuit'")


# A run from start to end


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder, judge_folders):
    """A data folder with one finished run made at the command line, and what the command said."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("mixed")
    draw = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone held upright
    Image.fromarray(draw.integers(0, 255, (120, 80, 3), dtype=np.uint8)).save(folder / "phone.jpg", exif=exif)
    Image.fromarray(draw.integers(0, 65535, (90, 90), dtype=np.uint16)).save(folder / "deep.png")
    judges = ["--dino", judge_folders["dino"], "--clip", judge_folders["clip"]]
    result = delora(
        "train", folder, "--base", tiny_folder, "--class-word", "dog", "--name", "Biscuit", "--json",
        "--data", data, *judges, *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    return data, json.loads(result.stdout)


def test_train_says_in_json_what_it_made(trained):
    _, document = trained
    assert document["step"] == 2 and document["trigger"] == "sks dog"
    assert {file["kind"] for file in document["files"]} == {"native", "kohya", "diffusers"}
    assert document["recommendation"]["reason"] and set(document["seconds"]) >= {"train", "draw", "export"}


def test_generate_draws_with_the_run_and_writes_its_settings_into_the_picture(trained, tmp_path):
    from evaluation.pictures import read_facts

    data, document = trained
    options = ["--run", document["run"], "--count", 2, "--steps", 1, "--out", tmp_path, "--json", "--data", data]
    result = delora("generate", "a {subject} on the beach", *options)
    assert result.exit_code == 0, (result.output, result.exception)
    paths = json.loads(result.stdout)["pictures"]
    facts = [read_facts(tmp_path / path) for path in paths]
    assert [f["seed"] for f in facts] == [0, 1]
    assert facts[0]["prompt"] == "a sks dog on the beach" and facts[0]["run"] == document["run"]
    again = delora("generate", "a {subject} on the beach", *options)
    assert not set(json.loads(again.stdout)["pictures"]) & set(paths)  # nothing is overwritten


def test_the_native_file_draws_as_the_run_does_and_strength_0_as_the_base(trained, tmp_path, tiny_folder):
    data, document = trained
    native = next(file["path"] for file in document["files"] if file["kind"] == "native")
    common = ["--count", 1, "--steps", 2, "--guidance", 3, "--json", "--data", data]
    pixels = {}
    for name, options in {
        "run": ["--run", document["run"]],
        "file": ["--adapter", native],
        "off": ["--adapter", native, "--strength", 0],
        "base": ["--base", tiny_folder],
    }.items():
        result = delora("generate", "a sks dog", *options, *common, "--out", tmp_path / name)
        assert result.exit_code == 0, (result.output, result.exception)
        pixels[name] = np.asarray(Image.open(json.loads(result.stdout)["pictures"][0]))
    assert np.array_equal(pixels["run"], pixels["file"])
    assert np.array_equal(pixels["off"], pixels["base"])


def test_runs_are_listed_shown_and_reported(trained):
    data, document = trained
    (listed,) = json.loads(delora("runs", "list", "--data", data, "--json").stdout)["runs"]
    assert (listed["id"], listed["state"], listed["name"]) == (document["run"], "done", "Biscuit")
    words = delora("runs", "show", document["run"], "--data", data).stdout
    assert "biscuit.safetensors" in words and "likeness" in words and document["recommendation"]["reason"] in words
    report = json.loads(delora("runs", "report", document["run"], "--data", data, "--json").stdout)["report"]
    html = open(report, encoding="utf-8").read()
    assert html.count("<svg") == 4 and "data:image/webp;base64," in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "") and "https://" not in html


def test_scoring_a_folder_of_generated_pictures_gives_their_prompts_without_the_token(trained, tmp_path, judge_folders):
    from evaluation import encoders
    from evaluation.pictures import read_pictures
    from evaluation.subject import mean_cosines

    data, document = trained
    delora("generate", "a {subject}", "--run", document["run"], "--count", 2, "--steps", 1, "--out", tmp_path,
           "--data", data)  # fmt: skip
    real = rundir.open_run(data, document["run"]).path / "dataset"
    judges = ["--dino", judge_folders["dino"], "--clip", judge_folders["clip"]]
    result = delora("score", "--pictures", tmp_path, "--real", real, *judges, "--json", "--data", data)
    assert result.exit_code == 0, (result.output, result.exception)
    dino = encoders.load("dino", str(judge_folders["dino"]))
    drawn, own = (dino.embed_images(read_pictures(sorted(f.glob("*.png")))) for f in (tmp_path, real))
    assert json.loads(result.stdout)["per_image"]["dino"] == pytest.approx(mean_cosines(drawn, own))


def test_the_benchmark_draws_25_prompts_with_adapter_and_base(trained):
    data, document = trained
    result = delora("score", document["run"], "--benchmark", "live", "--seeds", 1, "--json", "--data", data)
    assert result.exit_code == 0, (result.output, result.exception)
    scored = json.loads(result.stdout)
    assert scored["adapter"]["pictures"] == scored["base"]["pictures"] == len(scored["prompts"]) == 25
    assert scored["adapter"]["dino"] != scored["base"]["dino"]
    assert (rundir.open_run(data, document["run"]).path / "benchmark-live-step-000002.json").is_file()


def test_an_adapter_file_scores_what_the_run_that_it_came_from_does(trained, tmp_path, monkeypatch, judge_folders):
    data, document = trained
    run, file = rundir.open_run(data, document["run"]), tmp_path / "n.safetensors"
    delora("export", run.id, "--format", "native", "--out", file, "--data", data)
    monkeypatch.setattr(benchmark, "SampleSpec", lambda: run.spec.sample)
    judges = ["--dino", judge_folders["dino"], "--clip", judge_folders["clip"]]
    common = ["--benchmark", "live", "--seeds", 1, *judges, "--json", "--data", data]
    own = json.loads(delora("score", run.id, *common).stdout)
    asked = ["score", "--adapter", file, "--real", run.path / "dataset", "--class-word", run.spec.class_word]
    result = delora(*asked, *common)
    assert result.exit_code == 0, (result.output, result.exception)
    scored = json.loads(result.stdout)
    for who in ("base", "adapter"):
        assert scored[who]["dino"] == pytest.approx(own[who]["dino"]) and scored[who]["pictures"] == 25
    assert json.loads((tmp_path / "n-benchmark-live.json").read_text())["adapter"] == scored["adapter"]
    refused(delora(*asked[:5], *common), "--class-word")
    refused(delora(*asked[:3], "--class-word", "dog", *common), "--real")
    refused(delora(*asked, run.id, *common), "either")


def test_export_writes_each_format_and_checks_what_diffusers_can_load(trained, tmp_path):
    data, document = trained
    for kind, name in (
        ("kohya", "x.safetensors"),
        ("diffusers", "y.safetensors"),
        ("peft", "peft"),
        ("native", "n.st"),
    ):
        result = delora("export", document["run"], "--format", kind, "--out", tmp_path / name, "--json", "--data", data)
        assert result.exit_code == 0, (result.output, result.exception)
        written = json.loads(result.stdout)
        assert (tmp_path / name).exists() and written["step"] == 2
        if kind in ("kohya", "diffusers"):
            assert written["load_back"]["unet_difference"] <= 5e-6


def test_a_done_run_is_not_trained_again_and_can_be_deleted(trained, tmp_path):
    import shutil

    data, document = trained
    refused(delora("train", "--resume", document["run"], "--data", data), "is done")
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    assert delora("runs", "delete", document["run"], "--data", copy, "--yes").exit_code == 0
    assert not list((copy / "runs").glob("2*"))


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path, tiny_folder, subject_folder, judge_folders):
    import os
    import signal
    import time

    judges = ["--dino", str(judge_folders["dino"]), "--clip", str(judge_folders["clip"])]
    command = [sys.executable, "-c", "from app.cli import main; main()", "train", str(subject_folder), *judges]
    command += ["--base", str(tiny_folder), "--class-word", "dog", "--data", str(tmp_path), *QUICK]
    command[command.index("--steps") + 1] = command[command.index("--save-every") + 1] = "100000"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 400
    while not any(run.history("step") for run in rundir.list_runs(tmp_path)):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=120)
    (run,) = rundir.list_runs(tmp_path)
    state = run.state()
    assert process.returncode == 130, words
    assert state.name == "stopped" and run.checkpoints() == [state.step]
    assert f"delora train --resume {run.id}" in words and "Traceback" not in words
