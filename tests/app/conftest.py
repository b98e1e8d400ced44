"""A tiny base model, tiny judges and a subject's pictures: a whole job in seconds."""

import pytest
import tinyjudges
import tinypipeline


@pytest.fixture(scope="session")
def judge_folders(tmp_path_factory):
    """Folders of a tiny random CLIP and DINO."""
    root = tmp_path_factory.mktemp("judges")
    return {"clip": tinyjudges.clip(root / "clip"), "dino": tinyjudges.dino(root / "dino")}


@pytest.fixture(scope="session")
def subject_folder(tmp_path_factory):
    """A folder with three pictures of a subject."""
    folder = tmp_path_factory.mktemp("subject")
    tinypipeline.photos(folder, 3, 80)
    return folder
