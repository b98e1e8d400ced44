"""A person's pictures: every bad one gets its own sentence, every good one is cleaned faithfully."""

import numpy as np
import pytest
import tinypipeline
from badpictures import colourful, png_header, write_bad, write_phone
from PIL import Image, ImageCms, ImageFilter

from training.errors import BadInput, RunFailed
from training.subject import intake, pictures


def test_every_bad_picture_gets_one_message_that_names_it_and_leaves_nothing_behind(tmp_path):
    for name, words in write_bad(tmp_path).items():
        with pytest.raises(BadInput) as caught:
            intake.prepare([tmp_path / "whole.jpg", tmp_path / name], tmp_path / "cleaned", 32)
        assert name in str(caught.value) and words in str(caught.value), name
        assert caught.value.remedy and caught.value.field == "pictures"
        assert not (tmp_path / "cleaned").exists() and not list(tmp_path.glob(".*"))
        verdict = intake.inspect(tmp_path / name, 32)
        assert verdict.kind == "unreadable" and words in verdict.words


def test_a_bomb_is_refused_by_its_header_before_it_is_decoded(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(12_000, 11_000))  # Pillow alone would only warn
    with pytest.raises(BadInput, match="12,000 x 11,000 pixels"):
        pictures.read(tmp_path / "bomb.png")


def test_a_missing_picture_no_pictures_and_too_many_are_told(tmp_path):
    with pytest.raises(BadInput, match="nowhere.png is not there"):
        intake.prepare([tmp_path / "nowhere.png"], tmp_path / "cleaned", 32)
    with pytest.raises(BadInput, match="No pictures were given"):
        intake.prepare([], tmp_path / "cleaned", 32)
    with pytest.raises(BadInput, match="101 pictures are too many"):
        intake.prepare([tmp_path / "a.png"] * 101, tmp_path / "cleaned", 32)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="holds no pictures"):
        intake.expand([tmp_path / "folder"])


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    colourful().save(tmp_path / "a.png")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RunFailed, match="disk is full"):
        intake.prepare([tmp_path / "a.png"], tmp_path / "cleaned", 32)
    assert not (tmp_path / "cleaned").exists()


def test_a_phone_picture_is_turned_upright_and_loses_its_gps(tmp_path):
    write_phone(tmp_path / "phone.png")
    picture = pictures.read(tmp_path / "phone.png")
    assert picture.image.size == (40, 60) and picture.notes == ("turned upright",)
    assert picture.image.getpixel((20, 5)) == (255, 0, 0) and picture.image.getpixel((20, 55)) == (0, 0, 255)
    [copy] = intake.prepare([tmp_path / "phone.png"], tmp_path / "cleaned", 40)
    with Image.open(copy) as cleaned:
        assert not cleaned.getexif() and not cleaned.info and cleaned.mode == "RGB" and cleaned.size == (40, 40)
    assert b"eXIf" not in copy.read_bytes()


def test_transparent_parts_become_white(tmp_path):
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((200, 10, 10, 255), (10, 0, 20, 20))
    image.save(tmp_path / "cutout.png")
    picture = pictures.read(tmp_path / "cutout.png")
    assert picture.image.getpixel((2, 2)) == (255, 255, 255) and picture.image.getpixel((15, 2)) == (200, 10, 10)
    assert picture.notes == ("transparent parts made white",)
    opaque = Image.new("RGBA", (20, 20), (1, 2, 3, 255))
    opaque.save(tmp_path / "opaque.png")
    assert pictures.read(tmp_path / "opaque.png").notes == ()


def test_sixteen_bits_keep_their_brightness(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(1, 64).repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "scan.png")
    picture = pictures.read(tmp_path / "scan.png")
    assert picture.notes == ("reduced from 16 bits to 8",)
    grey = np.asarray(picture.image)[0, :, 0].astype(int)
    assert np.abs(grey - np.linspace(0, 255, 64)).max() <= 1


def test_colours_are_brought_to_srgb_through_the_embedded_profile(tmp_path):
    image = Image.new("RGB", (4, 4), (120, 130, 140))
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    for name in ("plain", "broken", "srgb"):
        got = pictures.read(tmp_path / f"{name}.png").image.getpixel((0, 0))
        assert np.abs(np.subtract(got, (120, 130, 140))).max() <= 1, name


def test_a_phones_second_view_does_not_make_a_picture_animated(tmp_path):
    colourful().save(tmp_path / "two.mpo", save_all=True, append_images=[colourful(seed=1)])
    (tmp_path / "two.mpo").rename(tmp_path / "two.jpg")
    assert pictures.read(tmp_path / "two.jpg").image.size == (64, 48)


def test_the_crop_follows_its_position():
    image = Image.new("RGB", (30, 10), "red")
    image.paste("green", (10, 0, 20, 10))
    image.paste("blue", (20, 0, 30, 10))
    colours = [pictures.square(image, 8, position).getpixel((4, 4)) for position in (0.0, 0.5, 1.0)]
    assert colours == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]


def test_crops_are_given_for_each_picture(tmp_path):
    paths = tinypipeline.photos(tmp_path, 2)
    with pytest.raises(BadInput, match="1 crops were given for 2 pictures"):
        intake.prepare(paths, tmp_path / "cleaned", 32, crops=[0.5])
    assert [p.name for p in intake.prepare(paths, tmp_path / "cleaned", 32, crops=[0, 1])] == ["00.png", "01.png"]


def test_verdicts_tell_sharp_blurred_small_and_same(tmp_path):
    sharp = colourful((256, 256), seed=3)
    sharp.save(tmp_path / "sharp.png")
    colourful((256, 256), seed=4).filter(ImageFilter.GaussianBlur(4)).save(tmp_path / "blurred.png")
    colourful((64, 64), seed=5).save(tmp_path / "small.png")
    sharp.resize((200, 200)).save(tmp_path / "again.jpg", quality=70)
    names = ("sharp.png", "blurred.png", "small.png", "again.jpg")
    verdicts = intake.inspect_all([tmp_path / name for name in names], 128)
    assert [v.kind for v in verdicts] == ["good", "blurred", "small", "duplicate"]
    assert verdicts[3].same_as == 0 and "no. 1" in verdicts[3].words
    assert "64 pixels on its short side, 128 are wanted" in verdicts[2].words


def test_the_samples_are_all_good_and_their_backgrounds_differ():
    import assets

    folders = sorted(assets.path("subjects").iterdir())[:4] + sorted(assets.path("subjects_photo").iterdir())[:2]
    for folder in folders:
        paths = intake.expand([folder])
        assert {v.kind for v in intake.inspect_all(paths, 128)} == {"good"}, folder.name
        assert intake.background_warning(paths) is None, folder.name


def test_near_equal_backgrounds_are_warned_of(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i in range(4):
        wall = Image.fromarray(np.clip(rng.normal((180, 160, 120), 4, (64, 64, 3)), 0, 255).astype(np.uint8))
        wall.paste(colourful((30, 30), seed=i), (17, 17))
        paths.append(tmp_path / f"{i}.png")
        wall.save(paths[-1])
    assert "nearly the same background" in intake.background_warning(paths)
    assert intake.background_warning(tinypipeline.photos(tmp_path / "other", 4)) is None
