"""Every page: no error in the console, no request that leaves the computer, no serious fault that axe-core finds."""

import badpictures
import pytest
import walks
from appprocess import App
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app import draft


@pytest.fixture(scope="module")
def one_app(tmp_path_factory):
    """One app for all of these: they start no run."""
    started = App(tmp_path_factory.mktemp("pages") / "data")
    yield started
    started.close()


@pytest.fixture
def app(one_app):
    """The app with an empty draft."""
    draft.clear(draft.load(one_app.data))
    return one_app


PAGES = ("/", "/runs", "/generate", "/computer")


def serious(page) -> list[str]:
    """What axe-core calls serious or critical on our pages, as sentences."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_page_has_a_serious_fault(app, page, mode):
    for address in PAGES:
        page.goto(f"{app.url}{address}?__theme={mode}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("#ds-strip")).to_contain_text("Nothing is")
        assert serious(page) == [], address
    assert page.errors == [] and walks.foreign(page) == []


def test_each_bad_picture_gets_its_message_and_the_good_one_stays(app, page, tmp_path):
    expected = badpictures.write_bad(tmp_path)
    page.goto(app.url)
    walks.ready(page)
    files = [*(str(tmp_path / name) for name in expected), walks.SAMPLE[0]]
    page.locator("#ds-field-pictures input[type=file]").set_input_files(files)
    expect(page.locator(".ds-shelf-item")).to_have_count(1)
    told = page.locator(".ds-refused li").all_inner_texts()
    for name, words in expected.items():
        assert any(line.startswith(name) and words in line for line in told), (name, told)
    assert page.errors == []


def test_a_reload_loses_nothing_of_the_draft(app, page):
    walks.fill_in(page, app.url, "Half typed", **{"adapter.rank": "7"})
    app.until(lambda: draft.load(app.data).settings.get("adapter.rank") == "7")
    page.reload()
    expect(walks.field(page, "name")).to_have_value("Half typed")
    page.get_by_role("button", name="All settings").click()
    expect(walks.field(page, "adapter.rank")).to_have_value("7")
    expect(page.locator(".ds-shelf-item")).to_have_count(4)


def test_gaps_are_listed_with_links_and_said_beside_their_fields(app, page):
    walks.fill_in(page, app.url, " ", **{"adapter.rank": "100000"})
    page.get_by_role("button", name="Start training").click()
    problems = page.get_by_role("alert").filter(has_text="things are missing")
    expect(problems.get_by_role("link", name="Name")).to_be_visible()
    expect(problems.get_by_role("link", name="Rank (r)")).to_be_visible()
    expect(page.locator("#ds-field-adapter-rank")).to_contain_text("✗")
    assert app.runs() == []


def test_a_base_model_of_ones_own_is_looked_at_as_soon_as_its_path_is_there(app, page, sd15_folder, tmp_path):
    page.goto(app.url)
    walks.ready(page)
    base = walks.field(page, "base")
    base.fill(str(tmp_path / "nowhere"))
    base.press("Enter")
    expect(page.get_by_text("no such folder or file")).to_be_visible()
    base.fill(str(sd15_folder))
    base.press("Enter")
    expect(page.locator("#ds-summary")).to_contain_text(f"on {sd15_folder.name}: 800 steps")
    expect(page.get_by_text("no such folder or file")).to_be_hidden()
