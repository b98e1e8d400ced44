"""Pictures that follow a map: the order keeps it, the drawing process draws it and says how well it was followed."""

import json

import mapfiles
import numpy as np
import pytest
import tinycontrol
import tinypipeline
import tinysegmentors
from PIL import Image
from workshop import Workshop, until

from app import control
from app.orders import agreeing, book, drawings, following
from app.orders.drawer import Drawer
from app.orders.drawings import parse_request
from training.base import catalog, controlnet
from training.errors import BadInput, MissingModel
from training.maps import geometry, reading
from training.maps.steering import drawing as maps
from training.maps.steering.protocols import FrozenControlNet

SIZE = tinypipeline.SIZE_PX
SQUARE = geometry.cut_labels(mapfiles.scene(48, 64), geometry.frame((64, 48), SIZE))


@pytest.fixture
def data(tmp_path, tiny_base):
    """A data folder with a ControlNet for the tiny base where the downloaded one lies."""
    tinycontrol.build(catalog.home(tmp_path, controlnet.DOWNLOADED), tiny_base.unet)
    return tmp_path


@pytest.fixture
def ask(data, tiny_folder):
    """An order for two pictures of a map, to be spoilt one thing at a time."""

    def create(labels=mapfiles.scene(48, 64), **changes):
        values = {"prompt": "a photo of the dog", "base": str(tiny_folder), "count": 2, "steps": 2, **changes}
        return drawings.create(data, parse_request(values), labels)

    return create


def test_an_order_keeps_the_maps_middle_square_at_the_pictures_size(ask, data):
    made = ask()
    request = made.request()
    assert (request.control, request.control_scale) == ("controlnet-seg", 1.0)
    np.testing.assert_array_equal(made.labels(), SQUARE)
    np.testing.assert_array_equal(np.asarray(Image.open(made.path / following.MAP)), SQUARE)
    palette = reading.read(made.path / following.PALETTE)
    assert palette.way == "ADE20K palette" and not palette.problems
    np.testing.assert_array_equal(palette.labels, SQUARE)
    assert ask(size=16).labels().shape == (16, 16)
    other = mapfiles.scene(48, 64)
    other[20, 20] = 3
    assert ask(other).request().map != request.map == ask().request().map
    assert ask(None).request().map is None is ask(None, control="nothing").request().control


def test_what_no_picture_can_follow_is_said_before_anything_is_ordered(ask, data, tiny_folder):
    empty = np.full((32, 32), 255, dtype=np.uint8)
    strip = np.full((32, 96), 255, dtype=np.uint8)
    strip[:, :8] = 2  # outside of the middle square
    for labels in (empty, strip):
        with pytest.raises(BadInput, match="no pixel of it has a class") as told:
            ask(labels)
        assert told.value.field == "map"
    with pytest.raises(BadInput, match="did not come") as told:
        ask(None, map="0" * 16)
    with pytest.raises(MissingModel, match="There is no ControlNet 'nothing'") as told:
        ask(control="nothing")
    assert told.value.field == "control"
    with pytest.raises(BadInput, match="control_scale"):
        ask(control_scale=3)
    (catalog.home(data, controlnet.DOWNLOADED) / "config.json").unlink()
    with pytest.raises(BadInput, match=r"config\.json"):
        ask()
    assert drawings.list_drawings(data) == []


def test_the_pictures_are_those_of_the_controlnet_and_their_agreement_is_counted(ask, data, tiny_base):
    tinysegmentors.build("segformer", catalog.home(data, "segmentor"))
    made, plain = ask(seed=7, control_scale=0.5), ask(None, seed=7)
    drawer = Drawer(data)
    with drawer._held:  # the device, at the end
        for order in (made, plain, again := ask(seed=7, control_scale=1.5)):
            drawer._do(book.at(data, order.id))
            assert order.state().name == "done", order.state()
    steering = FrozenControlNet(controlnet.load("controlnet-seg", tiny_base, data).module, 0.5)
    wishes = [maps.Wish(SQUARE, "a photo of the dog", seed) for seed in (7, 8)]
    expected = maps.draw(tiny_base, steering, wishes, steps=2)
    for path, image in zip(made.pictures(), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(image))
    facts = json.loads(Image.open(made.pictures()[1]).text["delora"])
    assert (facts["map"], facts["control_scale"], facts["seed"]) == (made.request().map, 0.5, 8)
    for other in (plain, again):  # another scale steers otherwise, and without a map nothing does
        assert (np.asarray(Image.open(other.pictures()[0])) != np.asarray(expected[0])).any()
    assert agreeing.read(plain) is None and not (plain.path / following.MAP).exists()

    judged, known = agreeing.read(made), SQUARE != 255
    right = []
    for path in made.pictures():
        seen = reading.labels_of(agreeing.seen(made, path))
        right.append((seen == SQUARE)[known].mean())
        scores = judged.pictures[path.name]
        assert scores.pixel_accuracy == pytest.approx(right[-1])
        for one in scores.classes:
            both = ((seen == one.index) & (SQUARE == one.index)).sum()
            either = (((seen == one.index) | (SQUARE == one.index)) & known).sum()
            assert one.iou == pytest.approx(both / either) and one.pixels == (SQUARE == one.index).sum()
    assert judged.together.pixel_accuracy == pytest.approx(np.mean(right))
    assert judged.judge["kind"] == "SegformerForSemanticSegmentation"


def test_without_a_segmentor_the_pictures_are_done_all_the_same(data, tiny_folder):
    workshop = Workshop(data)
    try:
        workshop.start_worker("studio")
        values = {"prompt": "a dog", "base": str(tiny_folder), "count": 1, "steps": 1}
        made = control.draw(data, parse_request(values), workshop.engine, mapfiles.scene(40, 40))
        until(lambda: made.state().ended, workshop.said)
        assert made.state().name == "done" and len(made.pictures()) == 1 and agreeing.read(made) is None
    finally:
        workshop.close()
