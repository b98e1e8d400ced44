"""The app behind its door, with and without a login, and a secret that lies beside the data folder."""

import pytest
from badpictures import colourful
from visitors import LOGIN, Visitor

from app.web import ui
from app.web.studio import Studio


@pytest.fixture(scope="module", params=["open", "login"])
def visitor(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("owner")
    secret = folder / "secret.png"
    colourful((160, 160), seed=9).save(secret)
    studio = Studio(folder / "data")
    users, headers = ({"anna": "secret"}, LOGIN) if request.param == "login" else (None, {})
    found = Visitor(ui.application(studio, users), headers, studio, secret)
    with found.client:  # as when it runs: the queue works
        yield found
    studio.uploads.close()


@pytest.fixture
def picture(tmp_path):
    """A picture to upload."""
    colourful((96, 96), seed=1).save(tmp_path / "mine.png")
    return tmp_path / "mine.png"
