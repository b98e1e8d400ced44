"""The app answers to its own names and its own pages alone, and every answer keeps a browser to that."""

import pytest
from visitors import HERE

from app.web.door.front import clean_root_path
from app.web.door.names import Names
from training.errors import BadInput

READS = ("/", "/runs", "/config", "/studio/status", "/gradio_api/info", "/assets/x.js", "/studio/draft/00.png", "/gone")
CHANGES = ("/gradio_api/upload", "/gradio_api/run/status", "/gradio_api/queue/join", "/gradio_api/call/status",
           "/gradio_api/cancel", "/studio/worker")  # fmt: skip


def _asked(visitor, method: str, path: str, **headers: str):
    return visitor.client.request(method, path, headers=headers, follow_redirects=False)


def _all():
    return [("GET", path) for path in READS] + [("POST", path) for path in CHANGES] + [("OPTIONS", CHANGES[1])]


# Names


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1", "127.0.0.1:65535", "localhost."])
def test_this_computers_own_names_are_answered(visitor, host):
    assert _asked(visitor, "GET", "/runs", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.nip.example", "0.0.0.0", "192.168.1.5",
     "[::2]", "127.0.0.2", "", "localhost:evil", "local host", "localhost@evil.example", "localhost/x",
     b"\xa0localhost"],
)  # fmt: skip
def test_no_other_name_is_answered(visitor, host):
    for method, path in _all():
        answer = _asked(visitor, method, path, Host=host)
        assert answer.status_code == 403 and "--allow-host" in answer.text, (method, path)
        assert "set-cookie" not in answer.headers or "delora_session" in answer.headers["set-cookie"]
    assert _asked(visitor, "GET", "/runs", **{"X-Forwarded-Host": host or "x.example"}).status_code == 403


def test_of_two_origins_each_must_be_the_apps_own(visitor):
    two = [("origin", "http://localhost:7860"), ("origin", "http://evil.example")]
    for origins in (two, two[::-1]):
        assert visitor.client.get("/runs", headers=[*visitor.headers.items(), *origins]).status_code == 403


def test_names_that_were_given_are_answered():
    names = Names("studio.lan", ["proxy.example", "other.example:8443", "fe80::1" and "[fe80::1]"])
    for host in ("studio.lan:7860", "proxy.example", "PROXY.example:1", "other.example", "[fe80::1]:80", "localhost"):
        assert names.answers(host), host
    assert not names.answers("evil.example") and not names.answers("proxy.example.evil.example")
    everywhere = Names("0.0.0.0")
    assert everywhere.answers("192.168.1.5:7860", "192.168.1.5") and everywhere.answers("localhost", "127.0.0.1")
    assert not everywhere.answers("192.168.1.6:7860", "192.168.1.5") and not everywhere.answers("evil.example", "::1")
    for wrong in ("https://proxy.example", "a/b", "", "*", "a b", "name:port"):
        with pytest.raises(BadInput, match="--allow-host"):
            Names(allowed=[wrong])


# Origins


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://localhost:9999", "http://127.0.0.1:7860", "http://localhost", "null", "",
     "https://localhost", "https://localhost:7860", "file://",
     "http://localhost:7860.evil.example", "http://localhost:78600", "http://[", "x"],
)  # fmt: skip
def test_a_page_of_another_origin_reads_and_changes_nothing(visitor, origin):
    for method, path in _all():
        answer = _asked(visitor, method, path, Origin=origin)
        assert answer.status_code == 403 and "not this app" in answer.text, (method, path)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_a_browser_calls_foreign_is_refused_but_a_link_is_followed(visitor, site):
    for method, path in _all():
        assert _asked(visitor, method, path, **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    visit = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert _asked(visitor, "GET", "/runs", **visit).status_code == 200
    assert _asked(visitor, "GET", "/runs", **{**visit, "Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert _asked(visitor, "POST", "/studio/worker", **visit).status_code == 403


def test_own_pages_and_programs_are_answered(visitor):
    own = {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    for headers in (own, {}, {"Sec-Fetch-Site": "none"}):
        answer = visitor.client.post("/gradio_api/run/status", json={"data": ["x"]}, headers=headers)
        assert "There is no run" in answer.json()["error"]


def test_behind_a_proxy_the_outer_name_is_ones_own_page():
    names = Names("127.0.0.1", ["proxy.example", "other.example:8443"])
    for origin, hosts in (
        ("https://proxy.example", ["127.0.0.1:7860"]),
        ("http://proxy.example", ["proxy.example"]),
        ("https://other.example:8443", ["127.0.0.1:7860"]),
        ("http://localhost:9000", ["localhost:9000"]),  # a tunnel
    ):
        assert names.own_page(origin, hosts), origin
    forwarded = ["127.0.0.1:7860", "proxy.example:444"]
    assert names.own_page("https://proxy.example:444", forwarded, "https")
    assert not names.own_page("https://proxy.example:444", forwarded)
    assert not names.own_page("http://proxy.example:444", forwarded, "https")
    for origin in ("https://proxy.example:1", "https://other.example", "https://x.proxy.example", "http://localhost"):
        assert not names.own_page(origin, ["127.0.0.1:7860"]), origin


# Answers


@pytest.mark.parametrize("path", [*READS, "/studio/picture/a/step-000001/00.png", "/gradio_api/file=x", "/favicon.ico"])
def test_every_answer_carries_the_headers(visitor, path):
    answers = [_asked(visitor, "GET", path), _asked(visitor, "GET", path, Host="evil.example")]
    answers.append(visitor.client.get(path, headers={"Authorization": "Basic eDp5"}, follow_redirects=False))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy and "default-src" in policy
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "same-origin"
    page = answers[0].headers.get("content-type", "").startswith("text/html")
    assert ("sandbox" in answers[0].headers["content-security-policy"]) != page


@pytest.mark.parametrize("visitor", ["login"], indirect=True)
def test_without_the_login_nothing_is_answered_and_the_headers_are_there(visitor):
    for method, path in _all()[:-1]:
        answer = _asked(visitor, method, path, Authorization="Basic bm9ib2R5OnNlY3JldA==")
        assert answer.status_code == (404 if path == "/gone" else 401), path
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_session_has_one_cookie_that_scripts_and_other_sites_cannot_use(visitor):
    fresh = visitor.another()
    fresh.client.cookies.clear()
    first = fresh.client.get("/runs").headers["set-cookie"]
    assert "HttpOnly" in first and "SameSite=Lax" in first and "Secure" not in first
    assert "set-cookie" not in fresh.client.get("/runs").headers
    fresh.client.cookies.clear()
    answer = fresh.client.get("/runs", headers={"Cookie": "delora_session=short", "X-Forwarded-Proto": "https"})
    assert "Secure" in answer.headers["set-cookie"]


def test_a_root_path_is_a_path():
    assert [clean_root_path(path) for path in ("", "/", "/delora", "delora/", "/a/b/")] == [
        "", "", "/delora", "/delora", "/a/b"
    ]  # fmt: skip
    for wrong in ("https://x/delora", "/a b", "/../x?", "/..", "/.", "/a/../b", "/a/..", "/a//b", "/%2e"):
        with pytest.raises(BadInput, match="--root-path"):
            clean_root_path(wrong)
