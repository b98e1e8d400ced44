"""What several rooms' tests share."""

import pytest
import tinyjudges
import tinymodels
import tinypipeline

from training.base import guard

guard.prepare()  # before any test module's first import of diffusers, transformers or peft


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
