"""The wheel carries everything and runs where there is no checkout."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["app", "assets", "delora", "evaluation", "training"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, without the network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "assets" / "__pycache__").mkdir()  # as in a checkout that has been worked in
    (source / "assets" / "__pycache__" / "__init__.cpython-311.pyc").touch()
    pip(["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)])
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """The wheel installed alone in a folder of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    pip(["install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)])
    return folder


def pip(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def delora(elsewhere: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the installed console script, with the checkout out of sight."""
    environment = os.environ | {"PYTHONPATH": str(elsewhere), "DELORA_DATA": str(cwd / "data")}
    return subprocess.run(
        [sys.executable, str(elsewhere / "bin" / "delora"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [file.relative_to(ROOT) for name in PACKAGES for file in (ROOT / name).rglob("*") if file.is_file()]
    wanted = {str(file) for file in files if not any(part.startswith((".", "__pycache__")) for part in file.parts)}
    assert inside == wanted
    assert {"assets/sd15-config/tokenizer/vocab.json", "delora/__init__.py"} <= inside


def test_doctor_runs_from_the_wheel_alone(elsewhere, tmp_path):
    done = delora(elsewhere, tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    where = subprocess.run(
        [sys.executable, "-c", "import app, assets; print(app.__file__, assets.path('sd15-config', 'unet').is_dir())"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(elsewhere)},
    )
    assert where.stdout.split() == [str(elsewhere / "app" / "__init__.py"), "True"]


def test_a_short_training_runs_from_the_wheel_alone(elsewhere, tmp_path):
    pictures = elsewhere / "assets" / "subjects" / "rescue-dog"
    sizes = {"steps": 2, "save-every": 2, "batch-size": 1, "class-pictures": 2, "class-steps": 2, "sample-steps": 2}
    options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    options += ["--prompt", "a {subject} in the snow", "--sample-seed", "0", "--class-word", "dog", "--json"]
    done = delora(elsewhere, tmp_path, "train", *map(str, sorted(pictures.glob("*.png"))), *options)
    assert done.returncode == 0, done.stderr
    files = [Path(file["path"]) for file in json.loads(done.stdout)["files"]]
    assert files and all(file.is_file() and tmp_path in file.parents for file in files)


def test_what_is_imported_is_declared():
    """Every third-party package that the rooms import is among the dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = " ".join(project["dependencies"] + sum(project["optional-dependencies"].values(), []))
    names = {"PIL": "pillow"}
    known = sys.stdlib_module_names | set(PACKAGES)
    # packaging, click and rich come with, and are required by, accelerate and typer.
    known |= {"packaging", "click", "rich"}
    missing = set()
    for room in PACKAGES:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules = [node.module]
                missing |= {
                    name
                    for name in (module.split(".")[0] for module in modules)
                    if name not in known and names.get(name, name.replace("_", "-")) not in text
                }
    assert not missing
