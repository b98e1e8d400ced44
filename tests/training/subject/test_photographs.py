"""Photographs are told from drawings: on the sample subjects in both styles, and on real photographs."""

from pathlib import Path
from statistics import median

import matplotlib
import pytest
from PIL import Image, ImageDraw

import assets
from training.subject import photographs, pictures


def votes(folder):
    return [photographs.is_photograph(pictures.read(path).image) for path in folder.iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize(("group", "photo"), [("subjects", False), ("subjects_photo", True)])
def test_every_sample_subject_is_told_by_the_greater_part_of_its_pictures(group, photo):
    folders = [path for path in assets.path(group).iterdir() if path.is_dir()]
    assert len(folders) >= 8
    for folder in folders:
        assert median(votes(folder)) == photo, folder.name


def test_a_real_photograph_is_one_and_a_drawing_is_none():
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    assert photographs.is_photograph(pictures.read(photo).image)
    drawing = Image.new("RGB", (900, 600), "skyblue")
    ImageDraw.Draw(drawing).ellipse((200, 100, 600, 500), fill="orange", outline="brown", width=12)
    assert not photographs.is_photograph(drawing)
