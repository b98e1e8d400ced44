"""What a person does on the pages, step by step, for the tests."""

import re

from playwright.sync_api import Locator, Page, expect

import assets
from app.drafts.problem import anchor

SAMPLE = [str(path) for path in sorted(assets.path("subjects", "jeep").glob("*.png"))[:4]]
SMALL = {  # a whole run in seconds
    "steps": "12",
    "save_every": "6",
    "batch_size": "2",
    "class_pictures": "4",
    "class_steps": "4",
    "sample.prompts": "a {subject} in the snow",
    "sample.seeds": "0, 1",
    "sample.steps": "6",
}


def fill_in(page: Page, url: str, name: str = "Jeep", files: list[str] = SAMPLE, **settings: str) -> None:
    """The page New with pictures, name, kind and small settings, by their names in RunSpec."""
    page.goto(url)
    ready(page)
    page.locator("#ds-field-pictures input[type=file]").set_input_files(files)
    expect(page.locator(".ds-shelf-item")).to_have_count(len(files))
    field(page, "name").fill(name)
    field(page, "class_word").fill("car")
    page.get_by_role("button", name="All settings").click()
    for setting, text in {**SMALL, **settings}.items():
        field(page, setting).fill(text)
    page.keyboard.press("Tab")


def ready(page: Page) -> None:
    """Wait until the page New shows the draft."""
    expect(page.locator("#ds-summary")).to_contain_text("steps")


def field(page: Page, name: str) -> Locator:
    """Where a field is typed, by its name in a draft."""
    return page.locator(f"#{anchor(name)}").locator("input, textarea").first


def press_start(page: Page) -> str:
    """Press Start and return the run's id."""
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/run?id=*")
    return re.search(r"id=([^&]+)", page.url).group(1)


def start(page: Page, url: str, name: str = "Jeep", **settings: str) -> str:
    """From nothing to a started run; returns its id."""
    fill_in(page, url, name, **settings)
    return press_start(page)


def until_state(page: Page, word: str) -> None:
    """Wait until the run's page says a state."""
    expect(page.locator(".ds-state h2")).to_have_text(word, timeout=300_000)


def foreign(page: Page) -> list[str]:
    """Requests that left this computer."""
    ours = ("http://localhost:", "http://127.0.0.1:", "data:", "blob:")
    return [address for address in page.asked if not address.startswith(ours)]


def loaded(page: Page, selector: str) -> list[bool]:
    """Whether each picture was really loaded."""
    look = "async (i) => { i.loading = 'eager'; await i.decode(); return i.naturalWidth > 0; }"
    script = f"(all) => Promise.all(all.map({look}))"
    return page.locator(selector).evaluate_all(script)


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical on our pages, as sentences."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
