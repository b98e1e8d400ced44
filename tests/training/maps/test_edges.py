"""Control pictures of edges are controlnet_aux's, at the picture's own size, and little of it is imported for them."""

import subprocess
import sys
from typing import get_args

import mapfiles
import numpy as np
import pytest
from PIL import Image

from training.errors import BadInput
from training.maps import PICTURE, SEGMENTATION, colours, controls, edges
from training.spec import MapsSpec


def disc(size=(96, 80), radius=20, at=(40, 36)):
    """A bright disc on dark ground, and how far each pixel is from its rim."""
    y, x = np.mgrid[: size[1], : size[0]]
    away = np.hypot(x - at[0], y - at[1]) - radius
    return Image.fromarray(np.where(away < 0, 220, 30).astype(np.uint8)).convert("RGB"), np.abs(away)


@pytest.mark.parametrize("size", [(96, 80), (64, 64), (128, 65)])
def test_edges_lie_where_they_are_in_the_picture_whatever_its_size(size):
    image, away = disc(size)
    found = edges.canny(image)
    assert found.shape == (size[1], size[0], 3) and set(np.unique(found)) == {0, 255}
    on = found[..., 0] > 0
    assert away[on].max() < 2 and on[away < 0.5].mean() > 0.5
    lines = edges.lineart(image)[..., 0].astype(float)
    assert lines.shape == on.shape and lines[away < 4].mean() > 5 * lines[away > 15].mean()


def test_they_are_what_opencv_finds():
    import cv2

    image = mapfiles.picture((64, 64)).resize((128, 128), Image.Resampling.BICUBIC)
    expected = cv2.Canny(np.asarray(image), 100, 200)
    assert np.array_equal(edges.canny(image)[..., 0], expected) and expected.any()


def test_a_picture_without_lines_is_black():
    flat = Image.new("RGB", (64, 64), (90, 90, 90))
    assert not edges.canny(flat).any() and not edges.lineart(flat).any()


def test_neither_torchvision_nor_the_other_annotators_are_imported():
    program = (
        "import sys\nfrom PIL import Image\nfrom training.maps import edges\n"
        "edges.canny(Image.new('RGB', (64, 64)))\nedges.lineart(Image.new('RGB', (64, 64)))\n"
        "wrong = {'torchvision', 'timm', 'controlnet_aux', 'controlnet_aux.hed'} & sys.modules.keys()\n"
        "assert not wrong, wrong"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(edges, "PACKAGE", "no_such_annotators")
    with pytest.raises(BadInput, match="no_such_annotators cannot be imported") as caught:
        edges.canny(Image.new("RGB", (64, 64)))
    assert "pip install" in caught.value.remedy


def test_a_control_picture_reaches_the_controlnet_as_it_is():
    image = mapfiles.picture((40, 30))
    square = controls.of_picture(PICTURE, image.resize((30, 30)), 30)
    shown = colours.control(square[None])  # (1, 3, 30, 30)
    assert shown.shape == (1, 3, 30, 30) and np.array_equal(shown[0].permute(1, 2, 0).numpy(), square / np.float32(255))
    assert controls.of_picture("canny", image, 64).shape == (64, 64, 3)


def test_every_kind_of_a_spec_is_a_map_or_has_its_annotator():
    assert get_args(MapsSpec.model_fields["control_kind"].annotation) == (SEGMENTATION, *edges.ANNOTATORS)
