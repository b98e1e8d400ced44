"""A full disk in the browser: an upload says why it was refused, New is shown, and what is pressed is answered."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fulldisk import NoRoomBeside

from app.drafts import draft
from app.web.door.nospace import NoSpace
from training.errors import DiskFull


@pytest.fixture
def client(tmp_path):
    app = FastAPI()

    @app.post("/gradio_api/upload")
    def upload() -> dict:
        return {"taken": True}

    @app.get("/page")
    def page() -> dict:
        raise OSError(28, "No space left on device")

    @app.get("/missing")
    def missing() -> dict:
        raise ValueError("another fault")

    inner = FastAPI()  # as Gradio is: it answers 500 itself
    inner.get("/page")(page)
    app.mount("/inner", inner)
    app.add_middleware(NoSpace, data=tmp_path)
    return TestClient(app, raise_server_exceptions=False)


def test_an_upload_that_does_not_fit_is_refused_with_the_room_there_is(client, monkeypatch):
    usage = type("Usage", (), {"free": 2_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert client.post("/gradio_api/upload", content=bytes(900_000)).json() == {"taken": True}
    answer = client.post("/gradio_api/upload", content=bytes(1_100_000))
    assert answer.status_code == 507
    assert "is full: it has 2.0 MB left. Free some space, then try again." in answer.text


def test_a_page_that_failed_for_want_of_room_says_so_and_another_fault_stays_one(client, monkeypatch):
    assert client.get("/page").status_code == 507  # whatever disk of it is full
    with NoRoomBeside(monkeypatch):
        for address in ("/page", "/inner/page"):
            answer = client.get(address)
            assert answer.status_code == 507 and "is full" in answer.text
    assert client.get("/missing").status_code == 500


def test_new_is_shown_on_a_full_disk_and_says_what_it_cannot_keep(tmp_path, monkeypatch):
    kept = draft.save(draft.load(tmp_path), name="Biscuit")
    with NoRoomBeside(monkeypatch):
        assert draft.load(tmp_path).name == "Biscuit"
        assert draft.load(tmp_path, "somebody new").name == ""  # has no draft on the disk yet
        with pytest.raises(DiskFull):
            draft.save(kept, name="Rex")
        with pytest.raises(DiskFull):
            draft.add_pictures(kept, [("a.png", tmp_path / "a.png")])
    assert draft.load(tmp_path).name == "Biscuit"


def test_what_is_pressed_on_a_full_disk_is_answered_in_the_corner(tmp_path):
    import gradio as gr

    from app.web.pages.act import told

    @told
    def pressed(request: gr.Request, name: str) -> str:
        raise DiskFull("The disk is full: draft.json could not be written.", "Free some space.")

    with pytest.raises(gr.Error) as shown:
        pressed(None, "a")
    assert shown.value.message == "The disk is full: draft.json could not be written. Free some space."
