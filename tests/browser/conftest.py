"""The app as a process of its own, and a real Chromium that looks at it."""

import os

import chromium
import pytest
from appprocess import App

REQUIRED = "DELORA_REQUIRE_BROWSER"  # set: without a Chromium the tests fail; otherwise they are skipped
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
    """A Chromium of this computer."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = chromium.launch(playwright, args=FLAGS)
        if started is None and os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, and {chromium.NONE}", pytrace=False)
        if started is None:
            pytest.skip(chromium.NONE)
        yield started
        started.close()


def pytest_terminal_summary(terminalreporter):
    """One line for all that were skipped for want of a browser, with any options."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if chromium.NONE in report.longrepr[-1]]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} browser tests skipped: {chromium.NONE}", yellow=True)


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
