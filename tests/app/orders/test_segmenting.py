"""Maps of pictures: ordered with a cleaned copy, made by the drawing process, and read back."""

import mapfiles
import numpy as np
import pytest
import tinysegmentors
from PIL import Image

from app.orders import book, segmenting
from app.orders.drawer import Drawer
from evaluation.maps import segmentor
from training.base import catalog, modelref
from training.errors import BadInput, MissingModel
from training.maps import reading


@pytest.fixture
def photo(tmp_path):
    mapfiles.picture((64, 48)).save(tmp_path / "street.png")
    return tmp_path / "street.png"


def test_the_map_is_what_the_segmentor_sees_in_the_middle_square(tmp_path, photo):
    folder = tinysegmentors.build("segformer", catalog.home(tmp_path, "segmentor"))
    order = segmenting.create(tmp_path, photo, "segmentor")
    square = np.asarray(Image.open(photo))[:, 8:56]
    np.testing.assert_array_equal(np.asarray(Image.open(order.path / segmenting.PHOTO)), square)
    photo.unlink()
    drawer = Drawer(tmp_path)
    with drawer._held:  # the device, at the end
        drawer._do(book.at(tmp_path, order.id))
    assert order.state().name == "done", order.state()
    (expected,) = segmentor.load(str(folder)).segment([Image.fromarray(square)])
    np.testing.assert_array_equal(order.labels(), expected)
    assert reading.read(order.path / "map.png").ours
    assert segmenting.find(tmp_path, order.id).id == order.id
    assert segmenting.find(tmp_path, "segmentation-../x") is None is segmenting.find(tmp_path, "")


def test_what_cannot_become_a_map_is_said_before_anything_is_ordered(tmp_path, photo):
    with pytest.raises(MissingModel, match="not downloaded") as told:
        segmenting.create(tmp_path, photo, "segmentor")
    assert "This computer" in told.value.on_page
    folder = tinysegmentors.build("segformer", tmp_path / "own")
    photo.write_text("no picture")
    with pytest.raises(BadInput, match=r"street\.png is a text file"):
        segmenting.create(tmp_path, photo, str(folder))
    mapfiles.picture().save(photo)
    with modelref.confined(tmp_path, [tmp_path / "models"]):
        for path in (folder, tmp_path / "gone"):  # the same words for what is there and what is not
            with pytest.raises(MissingModel, match="There is no segmentor of that name, and by its path"):
                segmenting.create(tmp_path, photo, str(path))
    assert segmenting.Segmentation.all(tmp_path) == []
    assert segmenting.create(tmp_path, photo, str(folder)).state().name == "queued"
