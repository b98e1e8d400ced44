"""A comparison, from the form to the exported page: started, reloaded in the middle, looked at, taken away."""

import re

import walks
from playwright.sync_api import expect

from app.comparisons import comparison

SMALL = {**walks.SMALL, "sample.seeds": "0", "class_pictures": "2", "class_steps": "2", "batch_size": "1"}


def test_a_comparison_is_started_followed_and_taken_away(app, page, tmp_path):
    small = {key: value for key, value in SMALL.items() if key not in ("steps", "save_every")}
    walks.fill_in(page, app.url, **small)
    page.get_by_role("link", name="Compare", exact=True).click()
    page.wait_for_url("**/compare")
    expect(page.get_by_role("combobox", name="Subject")).to_have_value(re.compile("On the page New: Jeep"))
    page.locator("#ds-compare-saves textarea, #ds-compare-saves input").fill("2, 4")
    page.locator("#ds-compare-name textarea, #ds-compare-name input").fill("Which one?")
    expect(page.locator("#ds-compare-summary")).to_contain_text("2 columns: DeLoRA; LoRA")
    expect(page.locator("#ds-compare-summary")).to_contain_text("4 steps")
    page.get_by_role("button", name="Start the comparison").click()
    page.wait_for_url("**/compare?id=*")
    expect(page.get_by_role("heading", name="Which one?", level=1)).to_be_visible()
    (made,) = comparison.every(app.data)
    app.until(lambda: made.states()[0].name not in ("queued", "starting"))

    page.reload()  # in the middle
    expect(page.get_by_role("heading", name="Which one?", level=1)).to_be_visible()
    expect(page.locator(".ds-state h2")).to_have_text("Done", timeout=300_000)
    assert [state.name for state in made.states()] == ["done", "done"], made.states()
    grid = page.locator(".ds-grid").first
    expect(grid.locator("img")).to_have_count(2 * 3)  # the base model and two saves, of each method
    assert all(walks.loaded(page, ".ds-grid img"))
    expect(page.locator(".ds-plots svg")).to_have_count(4)
    expect(page.locator(".ds-heat svg")).to_have_count(2)
    expect(page.locator("#ds-found")).to_contain_text("clean pictures")

    assert walks.serious(page) == []
    beside(page, "DeLoRA, step 4", "LoRA, step 4", "LoRA, step 2")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("Download jeep.safetensors of LoRA")).click()
    exported = made.runs()[1].path / "adapter" / "jeep.safetensors"
    assert download.value.path().read_bytes() == exported.read_bytes()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as HTML").click()
    download.value.save_as(tmp_path / "comparison.html")

    other = page.context.browser.new_context(offline=True)
    errors, alone = [], other.new_page()
    other.on("console", lambda message: errors.append(message.text))
    alone.goto((tmp_path / "comparison.html").as_uri())
    expect(alone.get_by_role("heading", name="Which one?")).to_be_visible()
    assert all(walks.loaded(alone, ".ds-grid img")) and alone.locator(".ds-grid img").count() == 6
    beside(alone, "DeLoRA, step 4", "LoRA, step 4", "LoRA, step 2")
    assert errors == [] and page.errors == [] and walks.foreign(page) == []
    other.close()

    page.goto(f"{app.url}/runs")
    expect(page.get_by_role("link", name="Which one?")).to_be_visible()


def beside(page, pressed: str, opposite: str, chosen: str) -> None:
    """Press a picture: it opens beside the same save of the other method, and beside any other one."""
    page.locator(f'a[data-cell="{pressed}"]').first.click()
    box = page.get_by_role("dialog", name="Two pictures beside one another")
    expect(box).to_be_visible()
    left, right = box.locator(".ds-over img"), box.locator(".ds-pair > img")
    expect(left).to_have_attribute("alt", pressed)
    expect(right).to_have_attribute("alt", opposite)
    box.get_by_label("Right", exact=True).select_option(chosen)
    expect(right).to_have_attribute("alt", chosen)
    assert all(walks.loaded(page, "dialog .ds-pair img"))
    assert walks.serious(page) == []
    at = "box => getComputedStyle(box).getPropertyValue('--cut')"
    box.get_by_label("How much of the left picture is shown").fill("20")
    assert box.locator(".ds-compared").evaluate(at) == "20%"
    box.get_by_role("button", name="Close").click()
    expect(box).to_be_hidden()
