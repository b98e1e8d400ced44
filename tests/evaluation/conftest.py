"""The tiny judges, opened once."""

import pytest


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
