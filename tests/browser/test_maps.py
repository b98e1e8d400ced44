"""Pictures from maps in a real browser: pairs dropped, every faulty map told, trained and watched."""

import mapfiles
import pytest
import tinymaps
import walks
from appprocess import App
from playwright.sync_api import expect

from app.drafts import draft
from training.maps import writing
from training.runs.run import Run


@pytest.fixture(scope="module")
def one_app(tmp_path_factory):
    """One app for all of these."""
    started = App(tmp_path_factory.mktemp("maps") / "data")
    yield started
    started.close()


@pytest.fixture
def app(one_app):
    """The app with an empty draft of a subject."""
    draft.save(draft.clear(draft.load(one_app.data)), task="dreambooth")
    return one_app


def drop(page, url, files):
    """The page New with these files dropped as pairs."""
    page.goto(url)
    walks.ready(page)
    page.get_by_label("Pictures from maps").check()
    page.locator("#ds-field-pairs input[type=file]").set_input_files([str(path) for path in files])


def write_pairs(folder, count=4):
    for i in range(count):
        mapfiles.picture((96, 80), seed=i).save(folder / f"beach {i}.jpg")
        writing.write(mapfiles.scene(80, 96), folder / f"beach {i}.png", "palette")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("mode, width", [("light", 1280), ("dark", 390)])
def test_pairs_that_were_dropped_are_shown_with_their_maps_and_survive_a_reload(app, page, tmp_path, mode, width):
    page.set_viewport_size({"width": width, "height": 900})
    drop(page, f"{app.url}/?__theme={mode}", write_pairs(tmp_path))
    items = page.locator(".ds-pair-item")
    expect(items).to_have_count(4)
    expect(items.first).to_contain_text("Read as ADE20K palette.")
    expect(items.first.locator(".ds-classes li")).to_have_text(
        ["grass 45 %", "sky 43 %", "person 6 %", "tree 3 %", "no class 2 %"]
    )
    expect(page.locator("#ds-pairs [role=status]")).to_contain_text("3 pairs to train with, 1 held out to judge by.")
    assert all(walks.loaded(page, ".ds-pair-item img"))
    items.nth(1).get_by_label("Caption").fill("a beach at noon")
    page.keyboard.press("Tab")
    app.until(lambda: "a beach at noon" in [pair.caption for _, pair in draft.load(app.data).seen.all])
    walks.field(page, "held_out").fill("2")
    page.keyboard.press("Tab")
    expect(page.locator("#ds-pairs [role=status]")).to_contain_text("2 pairs to train with, 2 held out")
    page.reload()
    expect(items.nth(1).get_by_label("Caption")).to_have_value("a beach at noon")
    expect(page.locator("#ds-summary")).to_contain_text("Protocol: frozen ControlNet")
    items.first.get_by_role("button", name="Remove pair no. 1").click()
    expect(items).to_have_count(3)
    assert walks.serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the page"
    assert page.errors == [] and walks.foreign(page) == []


def test_each_faulty_map_gets_its_message_and_what_is_open_is_asked_once(app, page, tmp_path):
    expected = mapfiles.write_faulty(tmp_path)
    drop(page, app.url, sorted(tmp_path.iterdir()))
    expect(page.locator(".ds-pair-item")).to_have_count(8)
    told = page.locator(".ds-faults li").all_inner_texts()
    for name, words in expected.items():
        assert any(line.startswith(name) and words in line for line in told), (name, told)
    unknown = [line for line in told if "no class's" in line]
    assert len(told) == len(expected) + 2 and len(unknown) == 3, "what JPEG and WebP damage has no class's colour"
    assert walks.serious(page) == []

    road = page.get_by_role("group", name="Road or skyscraper?")
    expect(road).to_contain_text("which is in 1 map, first in road.png")
    road.get_by_role("button", name="It is skyscraper").click()
    expect(page.locator(".ds-classes", has_text="skyscraper 45 %")).to_be_visible()
    expect(road).to_be_hidden()

    off = page.get_by_role("group", name="3 maps hold colours of no class")
    expect(off).to_contain_text("off.png: Taking the nearest class's colour would change 4.2 % of its pixels.")
    off.get_by_role("button", name="Take the nearest colours").click()
    expect(off).to_be_hidden()
    expect(page.locator(".ds-faults li", has_text="off.png")).to_have_count(0)

    grey = page.get_by_role("group", name="What do the numbers of 1 grey map mean?")
    expect(grey).to_contain_text("As 0-150 (ADEChallengeData2016, 0 is other)")
    assert all(walks.loaded(page, ".ds-asked img"))
    walks.field(page, "name").fill("Beaches")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator(".ds-problems")).to_contain_text("Say what the numbers of 1 grey map mean.")
    grey.get_by_role("button", name="They are 0-149, 255 is ignored").click()
    expect(page.get_by_text("Grey maps that could be two things are read as 0-149.")).to_be_visible()
    expect(page.locator(".ds-pair-item", has_text="grey.png")).to_contain_text("Read as 0-149 index.")
    page.get_by_role("button", name="Ask again").first.click()
    expect(grey).to_be_visible()
    assert page.errors == []


@pytest.mark.slow
def test_pairs_are_trained_on_and_watched(app, page, tmp_path, tiny_base, tiny_folder):
    models = tinymaps.models(tmp_path, tiny_base)
    (tmp_path / "files").mkdir()
    drop(page, app.url, write_pairs(tmp_path / "files"))
    expect(page.locator(".ds-pair-item")).to_have_count(4)
    walks.field(page, "name").fill("Beaches")
    base = walks.field(page, "base")
    base.fill(str(tiny_folder))
    base.press("Enter")
    expect(page.locator("#ds-summary")).to_contain_text(f"on {tiny_folder.name}")
    page.get_by_role("button", name="All settings").click()
    expect(walks.field(page, "class_word")).to_be_hidden()
    expect(walks.field(page, "token")).to_be_hidden()
    expect(walks.field(page, "class_pictures")).to_be_hidden()
    small = {"steps": "4", "save_every": "2", "batch_size": "2", "sample.steps": "2", "adapter.rank": "4", **models}
    for setting, text in small.items():
        walks.field(page, setting).fill(text)
    page.keyboard.press("Tab")
    run_id = walks.press_start(page)
    run = Run(app.data / "runs" / run_id)
    assert (run.spec.task, run.spec.held_out, run.spec.controlnet) == ("maps", 1, models["controlnet"])
    walks.until_state(page, "Done")
    film = page.locator(".ds-film").first
    columns = [name.split("\n")[0] for name in film.locator("thead th[scope=col]").all_inner_texts()]
    assert columns == ["Map", "Real picture", "No adapter", "Step 2", "Step 4"]
    assert all(walks.loaded(page, ".ds-film img")) and film.locator("img").count() == 5
    for title in ("mIoU, classes present", "Pixel accuracy", "Distance from the base model"):
        expect(page.locator("svg", has_text=title).first).to_be_visible()
    expect(page.get_by_text("real pictures (ceiling)").first).to_be_visible()
    expect(page.locator(".ds-facts")).to_contain_text("protocol: frozen ControlNet")
    expect(page.locator("#ds-scores")).to_be_visible()
    assert walks.serious(page) == []
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{app.url}/runs")
    expect(page.locator(".ds-run-card")).to_contain_text("Pictures from maps, frozen ControlNet.")
    page.get_by_role("button", name="Delete Beaches").wait_for()
    assert walks.serious(page) == [] and page.errors == [] and walks.foreign(page) == []


def test_the_sample_set_asks_before_it_replaces_what_is_there(app, page, tmp_path):
    drop(page, app.url, write_pairs(tmp_path, 1))
    expect(page.locator(".ds-pair-item")).to_have_count(1)
    page.get_by_role("button", name="Try the sample set").click()
    page.get_by_role("button", name="Replace it").click()
    expect(page.locator("#ds-pairs [role=status]")).to_contain_text("64 pairs to train with, 64 held out to judge by.")
    expect(walks.field(page, "name")).to_have_value("Scenes")
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.locator("#ds-pairs")).to_contain_text("Page 2 of 11")
    page.get_by_label("A subject").check()
    expect(page.locator("#ds-field-pictures")).to_be_visible()
    expect(page.locator(".ds-pair-item")).to_have_count(0)
    assert page.errors == []
