"""No request can name a file that was not uploaded in its own session: in any field of any event, by any route."""

import itertools
import os
import threading
import time

import pytest
from badpictures import colourful
from visitors import file_object

from app.web import uploads
from app.web.door import calls
from app.web.uploads import Uploads
from training.errors import BadInput
from training.runs import rundir

DEAD = "0123456789abcdef"  # the name of an app's folder


def _copies(visitor) -> list:
    """Files below the data folder that hold the secret."""
    secret = visitor.secret.read_bytes()
    return [p for p in visitor.studio.data.rglob("*") if p.is_file() and p.read_bytes() == secret]


def _shapes(path) -> list:
    """The ways to say a file in a field."""
    with_url = {**file_object(path), "url": f"file://{path}"}
    return [file_object(path), [file_object(path)], {"value": file_object(path)}, with_url, {"path": str(path)}]


def _requests(dependency: dict, shapes) -> list[tuple[str, dict]]:
    """A call of one event by each of Gradio's routes, with a shape in the place of every input, or of what happened."""
    about = {"fn_index": dependency["id"], "session_hash": "s"}
    plain = [None] * len(dependency["inputs"])
    full = [[next(shapes)] * max(1, len(plain)) for _ in range(3)]
    found = [(route, {**about, "data": full[0]}) for route in ("run/predict", "api/predict", "queue/join")]
    found += [("run/predict", {**about, "data": plain, "event_data": {"act": "x", "more": next(shapes)}})]
    if name := dependency.get("api_name"):
        found += [(f"run/{name}", {"data": full[1]}), (f"call/{name}", {"data": full[2]})]
        found += [(f"call/v2/{name}", {"id": next(shapes)})]
    return found


def test_no_field_of_any_event_takes_a_file_from_elsewhere(visitor):
    before = visitor.secret.stat()
    shapes = itertools.cycle(_shapes(visitor.secret))  # 5, and no number of routes that 5 divides: each meets each
    for dependency in visitor.config["dependencies"]:
        for route, body in _requests(dependency, shapes):
            answer = visitor.client.post(f"/gradio_api/{route}", json=body)
            assert answer.status_code == 422, (route, dependency["id"], answer.text)
            assert "not uploaded in this session" in answer.json()["error"]
            assert visitor.secret.name not in answer.text
    assert not _copies(visitor) and rundir.list_runs(visitor.studio.data) == []
    assert visitor.secret.stat().st_mtime == before.st_mtime


def test_gradios_own_check_refuses_them_too(visitor, monkeypatch):
    monkeypatch.setattr(calls.Calls, "_own", lambda self, value, owner, depth: value)
    kinds = {component["id"]: component["type"] for component in visitor.config["components"]}
    for dependency in visitor.config["dependencies"]:
        body = {"data": [file_object(visitor.secret)] * len(dependency["inputs"]), "fn_index": dependency["id"]}
        answer = visitor.client.post("/gradio_api/run/predict", json={**body, "session_hash": "t"})
        looked_at = any(kinds[component] != "state" for component in dependency["inputs"])  # states are the server's
        assert answer.status_code == 500 or not looked_at, (dependency["id"], answer.text)
    assert not _copies(visitor)


def test_a_plain_path_or_address_is_no_upload(visitor):
    for given in (str(visitor.secret), "http://127.0.0.1:9/x.png", 3, None, {"url": "http://127.0.0.1:9/x.png"}):
        answer = visitor.call("start", [given], "Rex", "dog", {})
        assert answer.status_code == 500 and "upload" in answer.json()["error"], answer.text
    assert not _copies(visitor) and rundir.list_runs(visitor.studio.data) == []


def test_another_sessions_upload_is_none_of_ones_own(visitor, picture):
    (path,), other = visitor.upload(picture), visitor.another()
    assert visitor.client.get(f"/gradio_api/file={path}").status_code == 200
    assert other.client.get(f"/gradio_api/file={path}").status_code == 404
    assert other.call("start", [file_object(path)], "Rex", "dog", {}).status_code == 422
    assert visitor.client.get(f"/gradio_api/file={visitor.secret}").status_code == 404
    bare = visitor.another()
    bare.client.cookies.clear()
    assert bare.call("start", [file_object(path)], "Rex", "dog", {}).status_code == 422


def test_a_file_as_a_setting_is_refused_and_not_repeated(visitor, picture):
    for name in ("steps", "token", "base"):
        (path, second) = visitor.upload(picture)[0], visitor.upload(picture)[0]
        answer = visitor.call("start", [file_object(path)], "Rex", "dog", {name: file_object(second)})
        assert answer.json()["error"] == f"{name} takes a text, a number, true or false, or a list of those."
        answer = visitor.call("generate", "a dog", "", {"seed": [{"deep": True}]})
        assert answer.json()["error"].startswith("seed takes")
    assert visitor.call("generate", "a dog", "", {"seed": file_object(visitor.secret)}).status_code == 422


def test_equal_uploads_are_two_files_and_start_twice(visitor, picture):
    (first,), (second,) = visitor.upload(picture), visitor.upload(picture)
    assert first != second
    for path in (first, second):
        answer = visitor.call("start", [file_object(path)], "Rex", "dog", {"effort": "quick"})
        assert answer.status_code == 200, answer.text
        assert not os.path.exists(path)
    assert visitor.call("start", [file_object(first)], "Rex", "dog", {}).status_code == 422  # used


def test_links_pipes_and_changed_files_are_no_uploads(visitor, picture):
    def linked(path):
        os.symlink(picture, path)  # of the same size

    for instead in (linked, os.mkfifo, os.mkdir, lambda path: colourful((64, 64), seed=5).save(path)):
        (path,) = visitor.upload(picture)
        os.unlink(path)
        instead(path)
        answers = []
        asking = threading.Thread(  # a pipe that were opened would never answer
            target=lambda path=path, answers=answers: answers.append(
                visitor.call("start", [file_object(path)], "Rex", "dog", {}).status_code
            )
        )
        asking.start()
        asking.join(30)
        assert answers == [422]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/proc/self/environ", "/etc", "~", "", "\0", "a" * 5000])
def test_no_device_or_odd_path_is_opened(visitor, path):
    assert visitor.call("start", [file_object(path)], "Rex", "dog", {}).status_code == 422
    assert visitor.client.get(f"/gradio_api/file={path or 'x'}".replace("\0", "%00")).status_code in (404, 307)


@pytest.mark.parametrize(
    "route",
    [
        "proxy=http://127.0.0.1:9/x", "stream/a/b/c/playlist.m3u8", "file/etc/hostname", "deep_link", "vibe-code",
        "custom_component/a/client/b/c", "run-history/buckets", "token", "mcp/sse", "dev/reload", "runs", "monitoring",
    ],
)  # fmt: skip
def test_what_gradio_brings_beside_is_shut(visitor, route):
    assert visitor.client.get(f"/gradio_api/{route}", follow_redirects=False).status_code == 404
    for shut in ("component_server", "process_recording", "vibe-edit", "stream/x", "../monitoring"):
        assert visitor.client.post(f"/gradio_api/{shut}", json={}).status_code == 404


def test_a_call_is_json_of_a_sane_size_and_depth(visitor):
    def told(**how):
        answer = visitor.client.post("/gradio_api/run/status", **how)
        assert answer.status_code == 422, answer.text
        return answer.json()["error"]

    json_type = {"Content-Type": "application/json"}
    assert "application/json" in told(content='{"data": ["x"]}', headers={"Content-Type": "text/plain"})
    assert "is JSON" in told(content="{", headers=json_type)
    assert "is JSON" in told(content="[" * 100_000, headers=json_type)
    assert "nested" in told(content="[" * 60 + "]" * 60, headers=json_type)
    assert "4 MB" in told(json={"data": ["x" * (5 << 20)]})


def test_wrong_types_are_said_in_words(visitor):
    for name, values, words in (
        ("status", [{}], "id is not a text"),
        ("status", [], "1 values are needed"),
        ("stop", [["x"]], "id is not a text"),
        ("download", [None], "id is not a text"),
        ("generate", [3, "", {}], "prompt is not a text"),
        ("generate", ["a dog", 3, {}], "run is not a text"),
        ("generate", ["a dog", "", []], "settings is not settings by their names"),
        ("generate", ["a dog", "", {"steps": "many"}], "steps"),
        ("start", ["x", "Rex", "dog", {}], "pictures is not a list"),
        ("start", [[], 1, "dog", {}], "name is not a text"),
        ("start", [[], "Rex", "dog", {"colour": "red"}], "colour"),
    ):
        answer = visitor.call(name, *values)
        assert words.lower() in (answer.json()["error"] or "").lower(), (name, values, answer.text)
    assert "no action" in visitor.call("nonsense").json()["error"]
    for dependency in visitor.config["dependencies"]:  # and every other event says something at least
        body = {"data": [{"odd": 1}] * len(dependency["inputs"]), "fn_index": dependency["id"], "session_hash": "u"}
        answer = visitor.client.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 200 or answer.json()["error"], (dependency["id"], answer.text)


# What waits to be used


def test_uploads_are_counted_for_a_session_and_in_all(visitor, picture, monkeypatch):
    size = picture.stat().st_size
    monkeypatch.setattr(uploads, "MOST_MB_SESSION", 2.5 * size / 1e6)
    own = visitor.another()
    own.upload(picture)
    refused = own.client.post("/gradio_api/upload", files=[("files", ("x.png", picture.read_bytes() * 2))])
    assert refused.status_code == 413 and "wait to be used" in refused.text
    visitor.another().upload(picture)
    monkeypatch.setattr(uploads, "MOST_MB", 0.5 * size / 1e6)
    refused = visitor.another().client.post("/gradio_api/upload", files=[("files", ("x.png", picture.read_bytes()))])
    assert refused.status_code == 413 and "of all who use this app" in refused.text


def test_what_is_no_upload_or_breaks_off_leaves_nothing(visitor):
    before = {path for path in visitor.studio.uploads.folder.rglob("*")}
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    cut = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"x" * 5000
    for content in (b"", b"nonsense", cut, b"--b--\r\n"):
        for query in ("", "?upload_id=u"):
            answer = visitor.client.post(f"/gradio_api/upload{query}", content=content, headers=form)
            assert answer.status_code == 400 and "multipart/form-data" in answer.text, (content[:20], answer.text)
    assert {path for path in visitor.studio.uploads.folder.rglob("*")} == before


def test_a_folder_of_thousands_of_files_is_told_to_come_as_a_zip(visitor):
    files = [("files", (f"{i}.txt", b"a caption")) for i in range(1001)]
    answer = visitor.client.post("/gradio_api/upload", files=files)
    assert answer.status_code == 413 and "zip" in answer.text


def test_a_name_from_a_browser_never_leads_out(visitor, picture):
    for name in ("../../x.png", "/etc/x.png", "..", ".", "a/../../x.png", "\x1b[31m.png", "n" * 400 + ".png"):
        answer = visitor.client.post("/gradio_api/upload", files=[("files", (name, picture.read_bytes()))])
        if answer.status_code == 200:
            (path,) = answer.json()
            assert os.path.realpath(path).startswith(str(visitor.studio.uploads.folder) + os.sep)


def test_old_used_and_orphaned_uploads_are_swept(tmp_path, monkeypatch):
    alive, owner = Uploads(tmp_path), ("", "s")
    mine = alive.begin(owner)
    (mine.folder / "a.png").write_bytes(b"abc")
    alive.done(mine, [str(mine.folder / "a.png")])
    (tmp_path / "uploads" / DEAD).mkdir()
    (tmp_path / "uploads" / DEAD / "x.png").write_bytes(b"x")
    (tmp_path / "uploads" / DEAD / ".lock").touch()
    os.utime(tmp_path / "uploads" / DEAD, (1, 1))
    os.utime(alive.folder, (1, 1))
    other = Uploads(tmp_path)  # at its start
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [alive.folder.name]
    assert alive.find(owner, str(mine.folder / "a.png")) and not other.find(owner, str(mine.folder / "a.png"))
    monkeypatch.setattr(uploads, "KEPT_SECONDS", -1)
    monkeypatch.setattr(uploads, "SWEPT_SECONDS", 0)
    alive.sweep()
    assert not mine.folder.exists() and alive.find(owner, str(mine.folder / "a.png")) is None
    alive.close()
    assert not alive.folder.exists()


def _foreign(folder):
    """A person's own files in a folder, two days old; returns what there is."""
    sums = (f"{'c' * 64}.txt", f"{'f' * 64}/a.txt")  # as long as what Gradio names by its content
    for name in ("holiday/a.jpg", "letter.txt", f"{'a' * 15}g/a.txt", f"{'b' * 16}/no-lock.txt", *sums):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (folder / ("d" * 16)).write_text("a file by the name of an app")
    (folder / ("e" * 16)).symlink_to(folder / "holiday")
    (folder / ("1" * 16)).mkdir()
    (folder / ("1" * 16) / ".lock").symlink_to(folder / "letter.txt")
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 2 * 86400,) * 2, follow_symlinks=False)
    return _listing(folder)


def _listing(folder):
    return {str(p.relative_to(folder)): p.is_symlink() or (p.is_file() and p.read_text()) for p in folder.rglob("*")}


def test_only_what_apps_left_is_swept(tmp_path, monkeypatch):
    before = _foreign(tmp_path / "uploads")
    held = Uploads(tmp_path)
    monkeypatch.setattr(uploads, "SWEPT_SECONDS", 0)
    held.sweep()
    held.begin(("", "s"))
    held.close()
    assert _listing(tmp_path / "uploads") == before


@pytest.mark.parametrize("kind", ["a link", "a broken link", "a file"])
def test_what_lies_in_the_place_of_the_folder_is_put_aside_and_told(tmp_path, kind, caplog):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    left = elsewhere / DEAD / ".lock"  # even what looks as if an app had left it
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left.parent, (1, 1))
    if kind == "a file":
        (data / "uploads").write_text("mine")
    else:
        (data / "uploads").symlink_to(elsewhere if kind == "a link" else tmp_path / "nowhere")
    held = Uploads(data)
    (aside,) = data.iterdir()
    assert aside.name.startswith("uploads.damaged-") and str(aside) in caplog.text
    assert aside.is_symlink() or aside.read_text() == "mine"
    held.begin(("", "s"))
    assert held.folder.is_dir() and not (data / "uploads").is_symlink()
    (held.root).rename(tmp_path / "moved")
    held.root.symlink_to(elsewhere)  # and one that comes later is not followed either
    held._swept = 0.0
    held.sweep()
    assert left.is_file() and not (tmp_path / "nowhere").exists()


def test_an_upload_that_is_too_much_is_told_while_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_MB_SESSION", 1)
    held = Uploads(tmp_path)
    first = held.begin(("", "a"))
    held.count(first, 900_000)
    with pytest.raises(BadInput, match="1 MB"):
        held.count(first, 200_000)
    held.count(held.begin(("", "b")), 900_000)  # another session has room
    held.drop(first)
    held.count(held.begin(("", "a")), 900_000)
    held.close()


def test_what_gradio_makes_lies_in_the_apps_own_folder(visitor):
    from gradio.utils import get_upload_folder

    held = visitor.studio.uploads
    assert get_upload_folder() == str(held.folder) and (held.folder / ".lock").is_file()
