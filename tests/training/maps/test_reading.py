"""Every way a map says its classes is read right and named; what cannot be told is asked, what is foreign refused."""

import itertools

import mapfiles
import numpy as np
import pytest
from PIL import Image

from training.errors import BadInput
from training.maps import classes, colours, geometry, reading, writing
from training.maps.reading import Answers

# A few of the palette's rows as ControlNet, mmseg and MIT print them, so that neither order nor channels can slip.
PRINTED = {0: (120, 120, 120), 2: (6, 230, 230), 4: (4, 200, 3), 9: (4, 250, 7), 12: (150, 5, 61), 149: (92, 0, 255)}


@pytest.fixture
def save(tmp_path):
    """Save an array or picture as a file of that name, and return its path."""

    def write(content, name="map.png", **options):
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def kinds(found):
    return [problem.kind for problem in found.problems]


def only_road(labels):
    """What a palette can say: skyscraper becomes road."""
    return np.where(labels == classes.SKYSCRAPER, classes.ROAD, labels)


# Classes and colours


def test_names_and_colours_are_the_benchmarks():
    assert len(classes.CLASSES) == 150 == len(set(classes.NAMES))
    assert [classes.NAMES[i] for i in (0, 6, 12, 48, 149)] == ["wall", "road", "person", "skyscraper", "flag"]
    for index, colour in PRINTED.items():
        assert classes.CLASSES[index].colour == colour
    twice = [(a.index, b.index) for a, b in itertools.combinations(classes.CLASSES, 2) if a.colour == b.colour]
    assert twice == [(6, 48)]
    assert (0, 0, 0) not in {scene.colour for scene in classes.CLASSES}


def test_a_class_is_found_by_name_beginning_and_synonym():
    assert classes.search("Sky")[0].name == "sky"
    assert classes.search("sofa")[0].name == "sofa" == classes.search("couch")[0].name
    assert classes.search(" window ")[0].name == "windowpane"
    assert classes.search("zeppelin") == []


def test_the_controlnets_picture_is_a_float_tensor_of_the_maps_size():
    labels = mapfiles.every_class()
    made = colours.control(np.stack([labels, labels[::-1]]))
    assert made.dtype.is_floating_point and tuple(made.shape) == (2, 3, *labels.shape)
    for index, colour in PRINTED.items():
        y, x = np.argwhere(labels == index)[0]
        assert (made[0, :, y, x] * 255).round().int().tolist() == list(colour)
    assert made[0][:, labels == 255].abs().max() == 0


# Ways


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_0_150_numbers_are_read_in_every_mode(save, mode):
    labels = mapfiles.every_class()
    numbers = np.where(labels == 255, 0, labels + 1).astype(np.uint8)
    image = Image.fromarray(numbers.astype(np.uint16)) if mode == "I;16" else Image.fromarray(numbers)
    if mode == "P":
        image.putpalette([value for i in range(256) for value in (i, i, i)])
        assert image.mode == "P"
    elif mode.startswith("RGB"):
        image = image.convert(mode)
    found = reading.read(save(image))
    assert (found.way, kinds(found)) == ("0-150 index", [])
    np.testing.assert_array_equal(found.labels, labels)


def test_255_in_0_150_numbers_is_ignored_and_not_class_254(save):
    found = reading.read(save(np.array([[0, 1, 150, 255]], dtype=np.uint8)))
    assert found.labels.tolist() == [[255, 0, 149, 255]]


def test_labels_with_255_are_read_as_they_are(save):
    labels = mapfiles.every_class()
    found = reading.read(save(labels))
    assert (found.way, kinds(found)) == ("0-149 index", [])
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_the_palette_is_read_with_black_as_ignored(save, mode):
    labels = mapfiles.every_class()
    image = Image.fromarray(colours.paint(labels))
    found = reading.read(save(image.quantize(256) if mode == "P" else image.convert(mode)))
    assert found.way == "ADE20K palette"
    np.testing.assert_array_equal(found.labels, only_road(labels))
    assert kinds(found) == ["road or skyscraper"] and found.usable


def test_the_colour_of_road_and_skyscraper_means_what_was_answered(save):
    path = save(colours.paint(np.array([[6, 2]], dtype=np.uint8)))
    assert reading.labels_of(path).tolist() == [[6, 2]]
    for word, index in (("road", 6), ("skyscraper", 48)):
        found = reading.read(path, Answers(shared=word))
        assert found.labels.tolist() == [[index, 2]] and kinds(found) == []


def test_a_palette_png_in_ade20ks_own_order_tells_road_from_skyscraper(save):
    labels = mapfiles.every_class(ignored=False)
    image = Image.fromarray(labels).convert("P")
    image.putpalette(colours.PALETTE.ravel().tolist())
    found = reading.read(save(image), Answers(grey="0-149"))
    np.testing.assert_array_equal(found.labels, labels)


def test_a_palette_of_some_tools_own_colours_leaves_the_numbers_to_be_read(save):
    numbers = np.array([[0, 1], [3, 150]], dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    image = Image.fromarray(numbers).convert("P")
    image.putpalette([value for i in range(256) for value in (0, 64 * (i % 4), (37 * i) % 256)])  # red 0: as if full
    found = reading.read(save(image))
    assert (found.way, kinds(found)) == ("0-150 index", [])
    assert np.unique(found.labels).tolist() == [0, 2, 149, 255]
    cityscapes = Image.fromarray(numbers % 150).convert("P")
    cityscapes.putpalette(colours.OTHERS["Cityscapes"].ravel().tolist())
    assert reading.read(save(cityscapes)).way == "Cityscapes"


def test_the_full_encoding_is_read_without_overflow(save):
    # Numbers of mapFromADE: wall 2978, sky 2420, tree 2855, double door 783 (door's second); snow, 2454, is no class.
    numbers = {0: 2978, 2: 2420, 4: 2855, 14: 783, 200: 2454}
    labels = np.array([[0, 2, 4], [14, 200, 255]], dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    found = reading.read(save(mapfiles.full(labels, numbers)))
    assert (found.way, kinds(found)) == ("full ADE20K encoding", [])
    np.testing.assert_array_equal(found.labels, np.where(labels == 200, 255, labels))


# Asked


def test_a_grey_map_that_could_be_two_things_is_asked_with_both_readings(save):
    path = save(np.array([[1, 3], [5, 3]], dtype=np.uint8))
    found = reading.read(path)
    assert kinds(found) == ["which numbers"] and not found.usable and found.labels is None
    words = str(found.problems[0])
    assert "As 0-150" in words and "wall, sky, tree" in words and "building, floor, ceiling" in words
    with pytest.raises(BadInput, match="map.png.*0-150 or 0-149"):
        reading.labels_of(path)
    assert reading.labels_of(path, Answers(grey="0-150")).tolist() == [[0, 2], [4, 2]]
    assert reading.labels_of(path, Answers(grey="0-149")).tolist() == [[1, 3], [5, 3]]


def test_the_others_of_its_folder_answer_for_it(save, tmp_path):
    open_ = save(np.array([[1, 3]], dtype=np.uint8), "a.png")
    telling = save(np.array([[1, 150]], dtype=np.uint8), "b.png")
    assert [found.way for found in reading.read_all([open_, telling])] == ["0-150 index", "0-150 index"]
    contrary = save(np.array([[1, 255]], dtype=np.uint8), "c.png")
    assert reading.read_all([open_, telling, contrary])[0].way == reading.EITHER


def test_the_programs_own_index_png_is_never_asked_about(tmp_path):
    labels = np.array([[1, 3], [5, 3]], dtype=np.uint8)
    writing.write(labels, tmp_path / "own.png", "index")
    assert reading.labels_of(tmp_path / "own.png").tolist() == labels.tolist()


def test_unknown_colours_are_told_with_the_share_that_the_nearest_would_change(save):
    painted = colours.paint(mapfiles.scene())
    painted[10, :8] = (7, 231, 229)  # nearly sky
    path = save(painted)
    found = reading.read(path)
    assert kinds(found) == ["unknown colours"] and not found.usable
    words = f"1 colour in {100 * 8 / painted[..., 0].size:.2g} % of its pixels is no class's, most often (7, 231, 229)"
    assert words in str(found.problems[0])
    np.testing.assert_array_equal(reading.labels_of(path, Answers(nearest=True)), mapfiles.scene())


# Damaged


@pytest.mark.parametrize("name, options", [("map.jpg", {"quality": 95}), ("map.webp", {"quality": 80})])
def test_jpeg_and_webp_are_warned_about_with_the_count_of_damaged_classes(save, name, options):
    labels = np.kron(mapfiles.scene(), np.ones((4, 4), dtype=np.uint8))
    path = save(Image.fromarray(colours.paint(labels)), name, **options)
    found = reading.read(path)
    assert {"lossy", "unknown colours"} <= set(kinds(found)) and found.way == "ADE20K palette"
    nearest = reading.read(path, Answers(nearest=True))
    specks = sum(share < 0.001 for share in nearest.shares().values())
    assert specks and f"{specks} of the {len(nearest.shares())} classes" in " ".join(map(str, found.problems))
    assert nearest.usable and (nearest.labels == labels).mean() > 0.85


def test_a_lossless_webp_is_as_good_as_a_png(save):
    labels = mapfiles.scene()
    found = reading.read(save(Image.fromarray(colours.paint(labels)), "map.webp", lossless=True))
    assert kinds(found) == []
    np.testing.assert_array_equal(found.labels, labels)


# Refused


@pytest.mark.parametrize("name", ["Cityscapes", "COCO"])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_other_data_sets_are_refused_by_name(save, name, ending):
    shades = colours.OTHERS[name][:20].reshape(4, 5, 3).repeat(16, 0).repeat(16, 1)
    found = reading.read(save(shades, f"map.{ending}"))
    assert found.way == name and name in str(found.problems[0]) and not found.usable


def test_colours_that_both_have_are_said_to_be_either(save):
    road = np.full((8, 8, 3), (128, 64, 128), dtype=np.uint8)
    assert reading.read(save(road)).way == "Cityscapes or COCO"


def test_cityscapes_numbers_are_known_by_their_name(save):
    found = reading.read(save(np.full((4, 4), 7, dtype=np.uint8), "bonn_000001_000019_gtFine_labelIds.png"))
    assert found.way == "Cityscapes" and not found.usable


def test_red_and_blue_swapped_is_caught(save):
    found = reading.read(save(np.ascontiguousarray(colours.paint(mapfiles.every_class())[..., ::-1])))
    assert kinds(found) == ["swapped"] and "red and blue are swapped" in str(found.problems[0])


def test_a_photograph_a_mask_and_a_grey_picture_are_no_maps(save):
    grey = mapfiles.picture().convert("L")
    for content, words in (
        (mapfiles.picture(), "no map: it has"),
        (grey, "grey values go up to"),
        (np.array([[0, 255]], dtype=np.uint8), "a mask of one thing"),
        (Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1"), "black and white only"),
    ):
        found = reading.read(save(content))
        assert words in str(found.problems[0]) and not found.usable


def test_files_that_are_no_pictures_are_problems_of_theirs(tmp_path):
    (tmp_path / "notes.png").write_text("Dear diary")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (("notes.png", "text file"), ("empty.png", "empty"), ("gone.png", "not there")):
        found = reading.read(tmp_path / name)
        assert words in str(found.problems[0]) and found.shares() == {} and found.ignored is None


# Round trips


def test_all_150_classes_go_through_files_exactly_but_for_road_and_skyscraper(tmp_path):
    labels = mapfiles.every_class()
    for kind, expected in (("index", labels), ("palette", only_road(labels))):
        writing.write(labels, tmp_path / f"{kind}.png", kind)
        np.testing.assert_array_equal(reading.labels_of(tmp_path / f"{kind}.png"), expected)


def test_transparent_pixels_are_ignored(save):
    image = Image.fromarray(colours.paint(mapfiles.scene())).convert("RGBA")
    alpha = np.full((48, 64), 255, dtype=np.uint8)
    alpha[40:] = 0
    image.putalpha(Image.fromarray(alpha))
    labels = reading.labels_of(save(image))
    assert (labels[40:] == 255).all() and (labels[:40] == mapfiles.scene()[:40]).all()


# The real files


def test_the_full_sets_map_becomes_the_benchmarks_exactly():
    folder = mapfiles.ade20k()
    raw = reading.read(folder / "ADE_train_00000970_raw.png")
    assert raw.way == "full ADE20K encoding"
    truth = np.asarray(Image.open(folder / "ADE_train_00000970_challenge.png"))  # 0 is other
    where = geometry.frame(raw.size, 512)
    numbers = geometry.scale_labels(raw.labels, where.scaled).astype(np.uint8) + np.uint8(1)  # 255 + 1 is 0 in uint8
    np.testing.assert_array_equal(numbers, truth)


def test_the_validation_maps_read_right():
    folder = mapfiles.ade20k()
    # What is in the picture: ADE_val_00000001 is a street with grass before houses, 2 a scene under the sky.
    for name, largest in (("ADE_val_00000001", "sky"), ("ADE_val_00000002", "sky")):
        found = reading.read(folder / f"{name}.annotation.png")
        numbers = np.asarray(Image.open(folder / f"{name}.annotation.png")).astype(int)
        assert (found.way, kinds(found)) == ("0-150 index", [])
        assert classes.NAMES[next(iter(found.shares()))] == largest
        np.testing.assert_array_equal(np.where(found.labels == 255, 0, found.labels.astype(int) + 1), numbers)


@pytest.mark.parametrize("name", ["map.jpg", "map.webp", "map.avif"])
@pytest.mark.parametrize("numbers", [None, "0-150", "0-149"])
def test_numbers_saved_as_the_greys_of_a_lossy_picture_are_read_and_told(save, name, numbers):
    """As many programs export: a grey map turned into colours, then compressed."""
    labels = np.repeat(np.arange(2, 10, dtype=np.uint8), 16).reshape(8, 16).repeat(8, 0)
    found = reading.read(save(np.stack([labels] * 3, axis=-1), name, quality=100), Answers(grey=numbers))
    if numbers is None:
        assert kinds(found) == ["which numbers"]
    else:
        assert kinds(found) == ["lossy"] and found.labels.shape == labels.shape
