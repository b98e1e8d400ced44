"""The app behind a proxy, with and without a path and a login, in a real browser and for gradio_client."""

from urllib.parse import urlsplit

import handmade
import httpx
import pytest
import walks
from appprocess import App
from frontproxy import Proxy
from gradio_client import Client, handle_file
from playwright.sync_api import expect

PLACES = {
    "a path that the proxy takes off": ("/delora", {"strips": True}),
    "a path that the proxy leaves": ("/a/delora", {"strips": False, "keeps_host": False}),
    "no path": ("", {"keeps_host": False}),
    "a proxy that tells nothing": ("/delora", {"keeps_host": False, "silent": True}),
}
LOGIN = ("anna", "se:cret")


@pytest.fixture(params=[(place, False) for place in PLACES] + [(next(iter(PLACES)), True)], ids=str)
def behind(request, tmp_path):
    """The proxy, what to log in with, and the app behind it."""
    (path, how), login = PLACES[request.param[0]], LOGIN if request.param[1] else None
    proxy = Proxy("", path, **how)
    with proxy:
        named = proxy.url.removeprefix("http://").partition("/")[0]
        options = ["--allow-host", named, *(["--root-path", path] if path else [])]
        app = App(tmp_path / "data", options=(*options, *(["--auth", ":".join(login)] if login else [])))
        proxy.to = proxy._client.base_url = app.url
        try:
            yield proxy, login, app
        finally:
            app.close()


def test_every_page_works_behind_it(behind, page, browser):
    proxy, login, app = behind
    handmade.finished(app.data)
    if login:
        page = _logged_in(browser, login)
    lost = []
    page.context.on("response", lambda answer: lost.append(answer.url) if answer.status >= 400 else None)
    walks.fill_in(page, f"{proxy.url}/")  # typed and uploaded
    expect(page.locator(".ds-shelf-item img").first).to_be_visible()
    assert all(walks.loaded(page, ".ds-shelf-item img"))
    expect(page.locator("#ds-strip")).to_contain_text("Biscuit is done.")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name="Biscuit").first.click()
    expect(page.get_by_role("heading", name="Biscuit", level=1)).to_be_visible()
    assert all(walks.loaded(page, ".ds-film img"))
    for name in ("Generate", "This computer", "New"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(500)
    walks.ready(page)
    run_id = walks.press_start(page)
    expect(page.get_by_role("heading", name="Jeep", level=1)).to_be_visible()
    assert run_id in page.url and page.url.startswith(proxy.url)
    # Gradio names its manifest, which nothing here needs, by the path "/", and a browser looks there for an icon until
    # a page has named its own; nothing else asks beside the app's path.
    assert set(proxy.stray) <= {"/manifest.json", "/favicon.ico"}
    assert [address for address in lost if urlsplit(address).path not in proxy.stray] == []
    assert [error for error in page.errors if "status of 404" not in error] == []


def test_programs_work_behind_it(behind):
    proxy, login, app = behind
    headers = {"Authorization": httpx.BasicAuth(*login)._auth_header} if login else None
    client = Client(f"{proxy.url}/", verbose=False, analytics_enabled=False, headers=headers)
    pictures = [handle_file(path) for path in walks.SAMPLE[:2]]
    run_id = client.predict(pictures, "Jeep", "car", {"effort": "quick"}, api_name="/start")
    assert client.predict(run_id, api_name="/status")["name"] == "Jeep"
    assert client.predict(run_id, api_name="/stop")["id"] == run_id
    again = httpx.get(proxy.url, headers=headers)  # without the slash at the end
    assert again.status_code in (200, 307)


def _logged_in(browser, login):
    context = browser.new_context(http_credentials={"username": login[0], "password": login[1]})
    context.set_default_timeout(120_000)  # the machine may be busy
    opened, errors = context.new_page(), []
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.errors = errors
    return opened
