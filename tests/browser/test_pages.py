"""Every page: no error in the console, no request that leaves the computer, no serious fault that axe-core finds."""

import signal

import badpictures
import handmade
import pytest
import walks
from appprocess import App
from PIL import Image
from playwright.sync_api import expect

from app.adapters import imported
from app.computer import damaged
from app.computer.remove import remove_run
from app.drafts import draft
from app.orders import drawings
from app.orders.request import parse_request
from evaluation.pictures import write_picture
from training.atomic import remove_folder


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


PAGES = ("/", "/runs", "/compare", "/generate", "/computer")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_page_has_a_serious_fault(app, page, mode):
    for address in PAGES:
        page.goto(f"{app.url}{address}?__theme={mode}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("#ds-strip")).to_contain_text("Nothing is")
        assert walks.serious(page) == [], address
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


def test_what_is_wrong_is_listed_and_kept_up_to_date_until_nothing_is(app, page):
    walks.fill_in(page, app.url, " ", **{"adapter.rank": "100000"})
    rank, name = page.locator("#ds-field-adapter-rank"), walks.field(page, "name")
    page.get_by_role("button", name="All settings").focus()
    expect(rank).to_contain_text("✗")
    expect(page.locator("#ds-summary")).to_contain_text("when this is right: Rank (r).")
    page.get_by_role("button", name="Start training").click()
    box = page.get_by_role("group", name="2 things to see to before training can start:")
    expect(box).to_be_focused()
    expect(box).to_be_in_viewport()
    box.get_by_role("link", name="Name").press("Enter")
    expect(walks.field(page, "name")).to_be_focused()
    expect(page.get_by_text("✗ It has no name yet.")).to_be_visible()
    walks.field(page, "adapter.rank").fill("8")
    page.keyboard.press("Tab")
    expect(rank).not_to_contain_text("✗")
    expect(page.get_by_text("✗ It has no name yet.")).to_be_visible()
    expect(page.get_by_text("One thing to see to")).to_be_visible()
    name.press_sequentially("Jeep")
    expect(page.locator(".ds-problems")).to_have_count(0)
    expect(page.get_by_text("It has no name yet.")).to_be_hidden()
    assert app.runs() == [] and page.errors == []


def test_a_base_model_of_ones_own_is_looked_at_as_soon_as_its_path_is_there(app, page, sd15_folder, tmp_path):
    page.goto(app.url)
    walks.ready(page)
    base = walks.field(page, "base")
    walks.field(page, "class_word").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#ds-kinds summary")).to_be_focused()
    page.keyboard.press("Tab")
    expect(base).to_be_focused()
    page.get_by_role("heading", level=1).click()
    base.click()
    page.keyboard.type(str(tmp_path / "nowhere"))  # in the place of what stands there
    expect(base).to_have_value(str(tmp_path / "nowhere"))
    page.keyboard.press("Tab")
    expect(page.get_by_text("no such folder or file")).to_be_visible()
    expect(page.locator("#ds-field-base .options")).to_be_hidden()
    base.fill(str(sd15_folder))
    base.press("Enter")
    expect(page.locator("#ds-summary")).to_contain_text(f"on {sd15_folder.name}: 800 steps")
    expect(page.get_by_text("no such folder or file")).to_be_hidden()


def test_a_damaged_run_is_shown_and_deleted_only_after_a_question(app, page):
    run = handmade.finished(app.data)
    adapter = damaged.adapter_file(run, 8)
    adapter.write_bytes(b"adapter")
    (run.path / "spec.json").unlink()
    page.goto(f"{app.url}/runs")
    card = page.locator(f".ds-run-card[data-run='{run.id}']")
    expect(card).to_contain_text("spec.json is missing.")
    assert walks.serious(page) == []
    card.get_by_role("link", name="What can be done").click()
    expect(page.locator(".ds-state h2")).to_have_text("Damaged")
    expect(page.get_by_text(str(run.path))).to_be_visible()
    assert walks.serious(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Adapter of step 8").click()
    assert download.value.path().read_bytes() == b"adapter"
    page.locator("#ds-actions").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#ds-sure")).to_be_hidden()
    assert adapter.is_file()
    page.locator("#ds-actions").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/runs")
    assert not run.path.exists() and page.errors == []


def test_the_keyboard_skips_the_menu_passes_a_list_and_finds_folds_as_it_left_them(app, page):
    run = handmade.finished(app.data)
    page.goto(f"{app.url}/runs")
    page.get_by_label("Filter").focus()
    page.keyboard.press("Tab")
    options = page.locator("#ds-filter-state .options")
    expect(options).to_be_visible()
    page.keyboard.press("Tab")
    expect(options).to_be_hidden()
    page.goto(f"{app.url}/run?id={run.id}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.locator(".ds-skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ds-main")).to_be_focused()
    assert page.url.endswith(run.id)
    page.locator("#ds-pace summary").press("Enter")
    handmade.events(run, handmade.step(17))  # the part is shown anew
    expect(page.locator("#ds-pace")).to_contain_text("0.05882")
    assert page.locator("#ds-pace").evaluate("fold => fold.open") and page.errors == []
    remove_run(app.data, run)


def test_a_run_is_renamed_and_deleted_on_runs_and_what_was_ticked_with_it_stays(app, page):
    kept, gone = (handmade.finished(app.data, name) for name in ("Jeep", "Rex"))
    page.goto(f"{app.url}/runs")
    for run in (kept, gone):
        page.get_by_label(f"Compare {run.name}").check()
    expect(page.get_by_text("2 runs are ticked.")).to_be_visible()
    page.get_by_role("button", name="Rename Jeep").click()
    expect(page.get_by_label("New name for Jeep")).to_be_focused()
    page.get_by_label("New name").fill("  My   jeep ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="My jeep", exact=True)).to_be_visible()  # on top may stand that it is done
    expect(page.get_by_role("button", name="Rename My jeep")).to_be_focused()
    page.get_by_role("button", name="Delete Rex").click()
    expect(page.get_by_text("Delete Rex (")).to_be_visible()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("1 run is ticked")).to_be_visible()
    assert not gone.path.exists() and kept.name == "My jeep" and page.errors == []
    remove_run(app.data, kept)


def test_an_imported_lora_is_renamed_and_deleted_and_what_was_typed_stays(app, page):
    for name in ("Cat style", "Owl"):
        handmade.imported(app.data, name)
    page.goto(f"{app.url}/generate?adapter=cat-style")
    chosen, prompt = page.locator("#ds-run input"), page.locator("#ds-prompt textarea")
    expect(chosen).to_have_value("Cat style (imported)")
    expect(prompt).to_have_value("a zwx cat")
    expect(page.locator("#ds-other-base input")).to_have_value("The one it was made for: Toy model (built in)")
    prompt.fill("a zwx cat on Mars")
    page.get_by_role("button", name="LoRA files from elsewhere").click()
    expect(page.get_by_role("link", name="Draw with Owl")).to_be_visible()
    page.get_by_role("button", name="Rename Cat style").click()
    page.get_by_label("New name").fill("owl")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_text("There is already an imported adapter Owl.")).to_be_visible()
    page.get_by_label("New name").fill("Drawn cats")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(chosen).to_have_value("Drawn cats (imported)")
    page.get_by_role("button", name="Delete Drawn cats").click()
    assert walks.serious(page) == []
    page.get_by_role("button", name="Delete it").click()
    expect(chosen).to_have_value("The base model alone")
    expect(page.locator("#ds-other-base")).to_be_hidden()
    expect(prompt).to_have_value("a zwx cat on Mars")
    expect(page.get_by_role("button", name="Delete Owl")).to_be_visible()
    assert [a.slug for a in imported.list_imported(app.data)] == ["owl"] and page.errors == []
    imported.remove(app.data, "owl")


def test_the_line_between_two_pictures_is_dragged_and_one_alone_is_shown_by_a_button(app, page):
    run = handmade.finished(app.data)
    drawing = drawings.create(app.data, parse_request({"prompt": "Fluffy", "run": run.id, "count": 1}))
    drawing.set_state("stopped")  # before the worker can take it
    for kind in ("adapter", "base"):
        Image.new("RGB", (96, 96)).save(drawing.path / f"{kind}-00.png")
    page.goto(f"{app.url}/generate")
    pair, slider, line = page.locator(".ds-pair"), page.locator("[data-slide]"), page.locator(".ds-cut")
    box = pair.bounding_box()

    def go(share: float) -> None:
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 50)

    go(0.5)
    page.mouse.down()
    go(0.25)
    expect(slider).to_have_value("25")
    x = line.bounding_box()
    assert abs(x["x"] + x["width"] / 2 - box["x"] - box["width"] / 4) < 1
    page.mouse.up()
    go(0.8)
    assert slider.input_value() == "25"  # let go
    base, adapter = (page.get_by_role("button", name=name) for name in ("Only the base model", "Only the adapter"))
    base.click()
    expect(base).to_have_attribute("aria-pressed", "true")
    expect(line).to_be_hidden()
    adapter.click()
    expect(base).to_have_attribute("aria-pressed", "false")
    expect(slider).to_have_value("0")
    slider.press("ArrowRight")
    expect(slider).to_have_value("1")
    expect(line).to_be_visible()
    expect(adapter).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("String(getSelection())") == "" and walks.serious(page) == [] and page.errors == []
    remove_run(app.data, run)
    remove_folder(drawing.path)


def test_a_run_brings_its_settings_and_what_was_changed_by_hand_stays_with_another_save(app, page):
    run = handmade.finished(app.data, sample={"guidance": 6.5, "steps": 11})
    page.goto(f"{app.url}/generate?run={run.id}")
    page.get_by_role("button", name="More ").click()
    guidance, steps = page.locator("#ds-guidance input"), page.locator("#ds-draw-steps input")
    expect(page.locator("#ds-step input")).to_have_value("Step 8 (recommended)")
    expect(guidance).to_have_value("6.5")
    expect(steps).to_have_value("11")
    guidance.fill("9")
    page.locator("#ds-step input").click()
    page.get_by_role("option", name="Step 16").click()
    page.locator("#ds-prompt textarea").fill("Fluffy at the Eiffel tower")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_text("The prompt does not hold “sks dog”, so the subject may not appear.")).to_be_visible()
    request = drawings.list_drawings(app.data)[0].request()
    assert (request.step, request.guidance, request.steps) == (16, 9, 11)
    page.locator("#ds-draw-said").get_by_role("button", name="sks dog").click()
    expect(page.locator("#ds-prompt textarea")).to_have_value("Fluffy at the Eiffel tower sks dog")
    expect(page.get_by_text("so the subject may not appear")).to_be_hidden()
    page.locator("#ds-run input").click()
    page.get_by_role("option", name="The base model alone").click()
    expect(page.locator("#ds-base input")).to_have_value("Toy model (built in)")
    expect(guidance).to_have_value("3")
    assert walks.serious(page) == [] and page.errors == []
    app.until(lambda: drawings.list_drawings(app.data)[0].state().ended)
    remove_run(app.data, run)


def test_of_two_quick_ticks_none_is_lost(app, page):
    runs = [handmade.finished(app.data, name) for name in ("Jeep", "Rex")]
    page.goto(f"{app.url}/runs")
    ticks = page.locator("[data-act=tick]")
    expect(ticks).to_have_count(2)
    app.process.send_signal(signal.SIGSTOP)  # a server so busy that both come before the first is answered
    ticks.evaluate_all("boxes => boxes.forEach(box => box.click())")
    page.wait_for_timeout(500)
    app.process.send_signal(signal.SIGCONT)
    expect(page.get_by_text("2 runs are ticked.")).to_be_visible()
    assert page.errors == []
    for run in runs:
        remove_run(app.data, run)


def test_a_picture_that_was_drawn_here_fills_the_form_of_generate(app, page, tmp_path):
    run = handmade.finished(app.data)
    facts = {"prompt": "a sks dog on Mars", "seed": 41, "steps": 7, "sampler": "euler", "strength": 1.25, "step": 12}
    for name, run_id in (("here", run.id), ("gone", "20260101-000000-gone-0000")):
        write_picture(Image.new("RGB", (96, 96)), tmp_path / f"{name}.png", {**facts, "run": run_id})
    Image.new("RGB", (96, 96)).save(tmp_path / "other.png")
    page.goto(f"{app.url}/generate")
    page.get_by_role("button", name="Reuse the settings of a picture").click()
    place, prompt = page.locator("#ds-reuse input[type=file]"), page.locator("#ds-prompt textarea")
    expect(prompt).to_have_value("a sks dog in the snow")
    place.set_input_files(tmp_path / "other.png")
    expect(page.get_by_text("other.png carries no settings of this program.")).to_be_visible()
    expect(prompt).to_have_value("a sks dog in the snow")
    place.set_input_files(tmp_path / "gone.png")
    expect(page.get_by_text("there is no run '20260101-000000-gone-0000'")).to_be_visible()
    place.set_input_files(tmp_path / "here.png")
    expect(page.get_by_text("Its settings are in the form, for one picture with seed 41.")).to_be_visible()
    expect(prompt).to_have_value("a sks dog on Mars")
    expect(page.locator("#ds-step input")).to_have_value("Step 12")
    expect(page.locator("#ds-strength input[type=number]")).to_have_value("1.25")
    assert not list((app.data / "uploads").rglob("*.png")) and page.errors == []
    remove_run(app.data, run)
