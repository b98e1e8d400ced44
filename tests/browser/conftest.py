"""The app as a process of its own, and a real Chromium that looks at it."""

import os
import shutil

import pytest
from appprocess import App

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
PATIENCE_MS = 60_000  # the machine may be busy; nothing waits nearly this long when it works


@pytest.fixture
def app(tmp_path):
    """A fresh app."""
    started = App(tmp_path / "data")
    yield started
    started.close()


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    if not CHROMIUM:
        pytest.fail("There is no chromium. On Debian: apt-get install chromium.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page whose browser notes every request and every error of a console, of its other tabs too."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    asked, errors = [], []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened = context.new_page()
    opened.asked, opened.errors = asked, errors
    yield opened
    context.close()
