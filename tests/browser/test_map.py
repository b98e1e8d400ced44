"""The canvas on Generate: what is painted is what arrives, by pointer, finger and keyboard; and what a file says."""

import handmade
import mapfiles
import numpy as np
import pytest
import tinycontrol
import tinypipeline
import tinysegmentors
import walks
from appprocess import App
from PIL import Image
from playwright.sync_api import expect

from app.computer.remove import remove_run
from app.orders import agreeing, drawings, segmenting
from app.web.reading import heldout
from training.base import catalog, controlnet
from training.maps import classes, reading, writing

EDGE = tinypipeline.SIZE_PX
SKY, GRASS, BUILDING, TREE, PERSON, SEA, CAR = (
    next(one.index for one in classes.CLASSES if one.name == name)
    for name in ("sky", "grass", "building", "tree", "person", "sea", "car")
)


@pytest.fixture(scope="module")
def app(tmp_path_factory, tiny_base):
    """One app for all of these, with a ControlNet and a segmentor for the tiny base model."""
    data = tmp_path_factory.mktemp("maps") / "data"
    tinycontrol.build(catalog.home(data, controlnet.DOWNLOADED), tiny_base.unet)
    tinysegmentors.build("segformer", catalog.home(data, "segmentor"))
    started = App(data)
    yield started
    started.close()


@pytest.fixture
def sheet(app, page, tiny_folder):
    """The page with an empty canvas of the tiny model's size."""
    page.goto(f"{app.url}/generate")
    return Sheet(page, tiny_folder)


class Sheet:
    """The canvas as a person has it: pixels of the map are pressed, not of the screen."""

    def __init__(self, page, base):
        self.page = page
        expect(page.locator("#ds-prompt textarea")).not_to_have_value("")  # the form is filled
        page.get_by_label("Follow a map").check()
        box = page.locator("#ds-base input")
        box.fill(str(base))
        box.press("Enter")
        self.canvas = page.locator("ds-canvas canvas")
        expect(self.canvas).to_have_attribute("aria-label", f"Map, {EDGE} by {EDGE} pixels")
        self.canvas.scroll_into_view_if_needed()

    def at(self, x, y):
        box = self.canvas.bounding_box()
        scale = box["width"] / EDGE
        return {"x": box["x"] + (x + 0.5) * scale, "y": box["y"] + (y + 0.5) * scale}

    def take(self, tool):
        self.page.get_by_role("group", name="Tools").get_by_role("button", name=tool).click()

    def choose(self, words):
        search = self.page.get_by_role("combobox", name="Class")
        search.fill(words)
        search.press("Enter")
        search.fill("")

    def press(self, *pixels):
        for pixel in pixels:
            self.page.mouse.click(**self.at(*pixel))

    def drag(self, start, end):
        self.page.mouse.move(**self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(**self.at(*end), steps=3)
        self.page.mouse.up()

    def start_over(self, layer):
        self.page.get_by_label("Start over from").select_option(layer)
        self.page.get_by_role("button", name="Start over").click()

    def labels(self):
        """What is on it, straight from the page."""
        text = self.page.evaluate("[...dsMap.canvas.labels.values]")
        return np.array(text, dtype=np.uint8).reshape(EDGE, EDGE)


def test_what_is_painted_is_what_is_drawn_from_and_its_score_is_read(app, page, sheet):
    expected = np.full((EDGE, EDGE), SKY, dtype=np.uint8)
    expected[EDGE // 2 :] = GRASS
    sheet.start_over("ground")

    sheet.take("Rectangle")
    sheet.choose("edifice")  # a synonym
    sheet.drag((20, 4), (27, 19))
    expected[4:20, 20:28] = BUILDING
    page.get_by_label("Width").fill("3")
    sheet.take("Brush")
    sheet.choose("tree")
    sheet.drag((4, 22), (12, 22))
    expected[21:24, 3:14] = TREE
    sheet.take("Polygon")
    sheet.choose("person")
    sheet.press((2, 2), (10, 2), (2, 10))
    page.keyboard.press("Enter")
    x, y = np.meshgrid(np.arange(EDGE), np.arange(EDGE))
    expected[(x >= 2) & (y >= 2) & (x + y <= 12)] = PERSON
    sheet.take("Fill")
    sheet.choose("sea")
    sheet.press((0, EDGE - 1))
    expected[expected == GRASS] = SEA
    sheet.press((30, 1))  # the sky, by mistake
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+z")
    sheet.take("Eraser")
    sheet.press((30, 30))
    expected[29:32, 29:32] = 255
    np.testing.assert_array_equal(sheet.labels(), expected)

    page.mouse.move(**sheet.at(21, 5))
    expect(page.locator(".ds-under-pointer")).to_have_text("building at 21, 5")
    used = page.get_by_role("group", name="On the map").get_by_role("option")
    expect(used).to_have_count(5)
    expect(used.first).to_contain_text("sea")
    page.get_by_role("spinbutton", name="Pictures").fill("2")
    page.get_by_role("button", name="More ").click()
    page.locator("#ds-draw-steps input").fill("1")
    page.locator("#ds-prompt textarea").fill("a dog at the sea")
    page.get_by_role("button", name="Draw from this map").click()
    made = app.until(lambda: drawings.list_drawings(app.data))[0]
    np.testing.assert_array_equal(made.labels(), expected)
    request = made.request()
    assert (request.prompt, request.count, request.control) == ("a dog at the sea", 2, "controlnet-seg")

    app.until(lambda: made.state().ended)
    expect(page.get_by_text("The picture agrees with the map: mIoU")).to_be_visible()
    judged = agreeing.read(made)
    shown = page.locator("#ds-result")
    expect(shown).to_contain_text("All 2 pictures together")
    page.locator("ds-followed span").first.hover(position={"x": 5, "y": 100})
    sky = next(one for one in judged.pictures["base-00.png"].classes if one.index == SKY)
    expect(page.locator("ds-followed p")).to_contain_text("sky, seen as ")
    iou = page.evaluate(f"dsMap.percent({sky.iou})")
    expect(page.locator("ds-followed p")).to_contain_text(f"; IoU of sky {iou}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Map as labels").click()
    found = reading.read(download.value.path())
    assert found.ours and not found.problems
    np.testing.assert_array_equal(found.labels, expected)
    assert walks.serious(page) == [] and page.errors == [] and walks.foreign(page) == []

    page.reload()  # nothing of it is lost
    page.get_by_label("Follow a map").check()
    expect(page.get_by_role("group", name="On the map").get_by_role("option")).to_have_count(5)
    np.testing.assert_array_equal(sheet.labels(), expected)
    sheet.start_over("none")
    page.get_by_role("button", name="Reuse these settings").click()
    expect(page.get_by_role("group", name="On the map").get_by_role("option")).to_have_count(5)
    np.testing.assert_array_equal(sheet.labels(), expected)


def test_the_keyboard_alone_paints_and_the_search_finds_what_the_program_finds(page, sheet):
    for words in ("", "sea", "build", "  Car ", "light", "person", "wat"):
        script = "async (words) => dsMap.search(await dsMap.classes(), words).map((one) => one.index)"
        assert page.evaluate(script, words) == [one.index for one in classes.search(words)], words
    sheet.start_over("ground")
    sheet.choose("car")
    sheet.canvas.focus()
    page.keyboard.press("b")
    for _ in range(3):
        page.keyboard.press("[")  # from 9 to 3
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.down("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Space")
    expected = np.full((EDGE, EDGE), SKY, dtype=np.uint8)
    expected[EDGE // 2 :] = GRASS
    middle = EDGE // 2
    expected[middle : middle + 3, middle - 9 : middle - 2] = CAR
    np.testing.assert_array_equal(sheet.labels(), expected)
    expect(page.locator("ds-canvas [role=status]")).to_have_text(f"car at {middle - 4}, {middle + 1}")
    page.keyboard.press("r")
    page.keyboard.press("Space")
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Space")
    expected[middle - 2 : middle + 2, middle - 4 : middle - 2] = CAR
    np.testing.assert_array_equal(sheet.labels(), expected)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert (sheet.labels() != CAR).all() and page.errors == []


def test_a_file_goes_onto_the_canvas_and_each_fault_is_told(page, sheet, tmp_path):
    scene = mapfiles.scene(48, 64)
    page.get_by_role("button", name="Begin with a map that is there").click()
    place, said = page.locator("#ds-map-file input[type=file]"), page.locator("#ds-map-said")
    Image.fromarray(np.where(scene == 255, 3, scene)).save(tmp_path / "two.png")
    place.set_input_files(tmp_path / "two.png")
    expect(said).to_contain_text("Its numbers could mean two things.")
    assert (sheet.labels() == 255).all()
    said.get_by_role("button", name="0-149").click()
    expect(said).to_contain_text("two.png is read as 0-149 index.")
    expect(said).to_contain_text("The middle square of its 64 x 48 pixels is on the canvas")
    expect(page.get_by_role("group", name="On the map").get_by_role("option")).to_have_count(5)

    street = np.full((EDGE, EDGE), 6, dtype=np.uint8)
    writing.write(street, tmp_path / "street.png", "palette")
    place.set_input_files(tmp_path / "street.png")
    expect(said).to_contain_text("Road and skyscraper have the same colour")
    said.get_by_role("button", name="It is skyscraper").click()
    expect(page.get_by_role("group", name="On the map")).to_contain_text("skyscraper")
    assert (sheet.labels() == classes.SKYSCRAPER).all()

    mapfiles.picture().save(tmp_path / "photo.png")
    (tmp_path / "words.png").write_text("no picture")
    Image.fromarray(scene).save(tmp_path / "a_gtFine_labelIds.png")
    for name, words in (
        ("words.png", "words.png is a text file"),
        ("a_gtFine_labelIds.png", "Cityscapes"),
        ("photo.png", "photo.png"),
    ):
        place.set_input_files(tmp_path / name)
        expect(said).to_contain_text(words)
        expect(said.get_by_role("alert").first).to_be_visible()
    assert (sheet.labels() == classes.SKYSCRAPER).all() and page.errors == []


def test_the_map_of_a_picture_and_one_of_a_runs_go_onto_the_canvas(app, page, tiny_folder, tmp_path):
    run = handmade.finished(app.data)
    (run.path / heldout.FOLDER).mkdir()
    writing.write(mapfiles.scene(EDGE, EDGE), run.path / heldout.FOLDER / "0000.map.png", "index")
    page.goto(f"{app.url}/generate")
    expect(page.locator("#ds-prompt textarea")).to_have_value("a sks dog in the snow")
    page.locator("#ds-run input").click()
    page.get_by_role("option", name="The base model alone").click()
    sheet = Sheet(page, tiny_folder)
    page.get_by_role("button", name="Begin with a map that is there").click()
    page.locator("#ds-held-run input").click()
    page.get_by_role("option", name=run.name).click()
    page.locator("#ds-held-map input").click()
    page.get_by_role("option", name="0000").click()
    expect(page.get_by_role("group", name="On the map").get_by_role("option")).to_have_count(4)
    np.testing.assert_array_equal(sheet.labels(), mapfiles.scene(EDGE, EDGE))
    mapfiles.picture((EDGE, EDGE)).save(tmp_path / "toys.png")
    page.locator("#ds-photo input[type=file]").set_input_files(tmp_path / "toys.png")
    (order,) = app.until(lambda: segmenting.Segmentation.all(app.data))
    app.until(lambda: order.state().ended)
    expect(page.get_by_text("What the segmentor saw in toys.png is on the canvas.")).to_be_visible()
    page.wait_for_function("dsMap.canvas.labels.values.join() === " + repr(",".join(map(str, order.labels().ravel()))))
    assert walks.serious(page) == [] and page.errors == []
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(sheet.labels(), mapfiles.scene(EDGE, EDGE))
    remove_run(app.data, run)


def test_on_a_phone_in_the_dark_a_finger_paints_and_nothing_is_cut_off(app, browser, tiny_folder):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{app.url}/generate?__theme=dark")
    sheet = Sheet(page, tiny_folder)
    sheet.take("Fill")
    sheet.choose("sky")
    sheet.canvas.scroll_into_view_if_needed()
    page.touchscreen.tap(**sheet.at(3, 3))
    assert (sheet.labels() == SKY).all()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390 and walks.serious(page) == []
    context.close()
