"""`delora generate --map`: pictures follow a map, with the base model alone or with an adapter."""

import json

import mapfiles
import numpy as np
import pytest
import tinycontrol
import tinypipeline
from PIL import Image
from typer.testing import CliRunner

from app.cli import cli
from training.base import controlnet
from training.maps import geometry, writing
from training.maps.steering import drawing
from training.maps.steering.protocols import FrozenControlNet


@pytest.fixture
def generate(tmp_path, tiny_folder, tiny_base):
    """`delora generate` with a map and a ControlNet that fits, to be spoilt one thing at a time."""
    net = tinycontrol.build(tmp_path / "net", tiny_base.unet)
    writing.write(mapfiles.scene(48, 64), tmp_path / "map.png", "index")

    def run(*more, file=tmp_path / "map.png", control=net):
        fixed = ["--base", tiny_folder, "--count", 2, "--steps", 2, "--out", tmp_path / "out", "--data", tmp_path]
        arguments = ["generate", "a photo of the dog", "--map", file, "--control", control, *fixed, *more]
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return run


def test_the_pictures_are_those_of_the_maps_middle_square(generate, tiny_base, tmp_path):
    done = generate("--json", "--control-scale", "0.5")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["map"], told["control"], told["control_scale"]) == ("map.png", "net", 0.5)
    assert "64 x 48 pixels; its middle square" in done.stderr
    size = tinypipeline.SIZE_PX
    square = geometry.cut_labels(mapfiles.scene(48, 64), geometry.frame((64, 48), size))
    steering = FrozenControlNet(controlnet.load(str(tmp_path / "net"), tiny_base, tmp_path).module, 0.5)
    expected = drawing.draw(
        tiny_base, steering, [drawing.Wish(square, "a photo of the dog", seed) for seed in (0, 1)], steps=2
    )
    for path, image in zip(told["pictures"], expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(image))
        assert json.loads(Image.open(path).text["delora"])["control_fingerprint"] == told["control_fingerprint"]


def test_what_cannot_be_used_is_said_before_anything_is_drawn(generate, tmp_path):
    Image.fromarray(np.full((8, 8), 3, dtype=np.uint8)).save(tmp_path / "two.png")
    for done, words in (
        (generate(file=tmp_path / "two.png"), "Option: --numbers"),
        (generate(file=tmp_path / "gone.png"), "gone.png is not there"),
        (generate(control=tmp_path / "nothing"), "There is no ControlNet"),
    ):
        assert done.exit_code in (2, 3) and words in done.stderr and not (tmp_path / "out").exists()
