"""The five named actions, called as another program would."""

import io
import time
import urllib.request

import pytest
import walks
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

SMALL = {
    "effort": "quick", "steps": 4, "save_every": 4, "batch_size": 1, "class_pictures": 2, "class_steps": 2,
    "sample.prompts": "a {subject}", "sample.seeds": "0", "sample.steps": 2,
}  # fmt: skip


def _until_ended(client, item: str) -> dict:
    deadline = time.monotonic() + 300
    while (status := client.predict(item, api_name="/status"))["state"] not in ("done", "failed", "stopped"):
        assert time.monotonic() < deadline, status
        time.sleep(0.5)
    return status


@pytest.mark.slow
def test_a_program_trains_draws_and_downloads(app):
    client = Client(app.url, verbose=False, analytics_enabled=False)
    pictures = [handle_file(path) for path in walks.SAMPLE]
    run_id = client.predict(pictures, "Jeep", "car", SMALL, api_name="/start")
    status = _until_ended(client, run_id)
    assert status["state"] == "done" and status["step"] == 4, status
    drawing = client.predict("a {subject} in the snow", run_id, {"count": 1, "steps": 2}, api_name="/generate")
    drawn = _until_ended(client, drawing)
    assert drawn["state"] == "done" and len(drawn["pictures"]) == 1, drawn
    with urllib.request.urlopen(app.url + drawn["pictures"][0]) as answer:
        assert Image.open(io.BytesIO(answer.read())).size == (128, 128)
    with urllib.request.urlopen(app.url + client.predict(run_id, api_name="/download")) as answer:
        assert answer.read()[:1] and answer.headers["Content-Disposition"].startswith("attachment")


def test_what_is_wrong_comes_back_in_words(app):
    client = Client(app.url, verbose=False, analytics_enabled=False)
    with pytest.raises(AppError, match="There is no run"):
        client.predict("20260101-000000-nobody-0000", api_name="/status")
    for given in (["/etc/hostname"], [{"path": "/etc/hostname"}]):
        with pytest.raises(Exception, match="upload"):
            client.predict(given, "Jeep", "car", {}, api_name="/start")
    with pytest.raises(AppError, match="Rank"):
        client.predict([handle_file(walks.SAMPLE[0])], "Jeep", "car", {**SMALL, "rank": 0}, api_name="/start")
    assert app.runs() == []
