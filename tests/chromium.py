"""Any Chromium that this computer has, for the tests that look at pages."""

import os
import re
import shutil

from playwright.sync_api import Browser, Error, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge")
CHANNELS = ("chrome", "msedge", None)  # where their installers put them, on any system; None is Playwright's own
ABSENT = re.compile("is not found at|executable doesn't exist", re.IGNORECASE)
NONE = (
    "there is no Chromium here. Get one with `playwright install --with-deps chromium`, "
    "or name one that is not found: CHROMIUM=PATH."
)


def named() -> str | None:
    """The program that the environment variable CHROMIUM names, or else the first of NAMES on the PATH."""
    if chosen := os.environ.get("CHROMIUM"):
        return shutil.which(chosen) or chosen
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright, **options) -> Browser | None:
    """A started Chromium, or None where there is none.

    Raises:
        Error: there is one and it does not start, or CHROMIUM names none.
    """
    if program := named():
        return playwright.chromium.launch(executable_path=program, **options)
    for channel in CHANNELS:
        try:
            return playwright.chromium.launch(channel=channel, **options)
        except Error as error:
            if not ABSENT.search(error.message):
                raise
    return None
