"""A subject's pictures: with the tiny models of tests/conftest.py, a whole job in seconds."""

import pytest
import tinypipeline


@pytest.fixture(scope="session")
def subject_folder(tmp_path_factory):
    """A folder with three pictures of a subject."""
    folder = tmp_path_factory.mktemp("subject")
    tinypipeline.photos(folder, 3, 80)
    return folder
