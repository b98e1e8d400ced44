"""The tiny judges, opened once."""

import pytest
import tinyjudges


@pytest.fixture(scope="session")
def judge_folders(tmp_path_factory):
    """Folders of a tiny random CLIP and DINO."""
    root = tmp_path_factory.mktemp("judges")
    return {"clip": tinyjudges.clip(root / "clip"), "dino": tinyjudges.dino(root / "dino")}


@pytest.fixture(scope="session")
def clip(judge_folders):
    """The tiny CLIP, opened."""
    from evaluation import encoders

    return encoders.load("clip", str(judge_folders["clip"]))


@pytest.fixture(scope="session")
def dino(judge_folders):
    """The tiny DINO, opened."""
    from evaluation import encoders

    return encoders.load("dino", str(judge_folders["dino"]))
