"""What several rooms' tests share."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one that wants all cores waits for the others
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TERMINAL_WIDTH"] = "1000"  # typer breaks no sentence that a test looks for, however long a path is

import pytest
import tinyjudges
import tinymodels
import tinypipeline

from training.base import guard

guard.prepare()  # before any test module's first import of diffusers, transformers or peft
MOST_PROCESSES = 8  # each holds its own copy of the models


def pytest_xdist_auto_num_workers(config):
    """A process a core for whole rooms; single files and single tests stay in one, which starts at once."""
    named = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if all(path.suffix == ".py" for path in named) else min(os.cpu_count() or 1, MOST_PROCESSES)


@pytest.fixture(scope="session")
def judge_folders(tmp_path_factory):
    """Folders of a tiny random CLIP and DINO."""
    root = tmp_path_factory.mktemp("judges")
    return {"clip": tinyjudges.clip(root / "clip"), "dino": tinyjudges.dino(root / "dino")}


@pytest.fixture(scope="session")
def sd15_folder(tmp_path_factory):
    """A model folder with Stable Diffusion 1.5's exact layout and key names and tiny widths. Do not write into it."""
    return tinymodels.sd15(tmp_path_factory.mktemp("base") / "tiny-sd15")


@pytest.fixture(scope="session")
def sd15_fp16_folder(tmp_path_factory):
    """The same model as `sd15_folder`, with only fp16 variant files."""
    return tinymodels.sd15(tmp_path_factory.mktemp("base") / "tiny-sd15-fp16", variant="fp16")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A tiny random pipeline laid out like the embedded model (see tinypipeline.py). Do not write into it."""
    return tinypipeline.build(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def tiny_base(tiny_folder, tmp_path_factory):
    """The same, loaded. Tests must leave it without adapters."""
    from training.base import models

    return models.load_base(str(tiny_folder), data=tmp_path_factory.mktemp("data"))
