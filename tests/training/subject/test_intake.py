"""A person's pictures: every bad one gets its own sentence, every good one is cleaned faithfully."""

import numpy as np
import pytest
import tinypipeline
from badpictures import colourful, png_header, write_bad, write_phone
from PIL import Image, ImageCms, ImageFilter
from PIL.PngImagePlugin import PngInfo

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


OTHERS = ("IMG_0001.AAE", "IMG_0002.MOV", "a.npz", "a.caption", "b.txt", "b.json", "c.xmp", "Thumbs.db")


def test_what_is_no_picture_in_a_folder_is_left_out_and_named(tmp_path):
    names = ["a.jpg", "b.JPEG", "c.png", "d.TIF", "e.webp", "f.bmp"]
    for name in names:
        colourful().save(tmp_path / name)
    for name in (*OTHERS, "._a.jpg", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert [path.name for path in intake.expand([tmp_path])] == names
    (said,) = intake.left_out([tmp_path, tmp_path / "a.jpg"])
    assert (
        f"{tmp_path}" in said and "8 files, IMG_0001.AAE, IMG_0002.MOV, Thumbs.db, a.caption, a.npz and 3 more" in said
    )
    assert intake.left_out([tmp_path / "a.jpg"]) == []
    assert intake.expand([tmp_path / "a.npz"]) == [tmp_path / "a.npz"]  # one that is named is meant


def test_a_damaged_picture_in_a_folder_is_an_error_as_before(tmp_path):
    colourful().save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:300])
    with pytest.raises(BadInput, match="b.jpg is not a picture that can be read here, or it is damaged"):
        intake.prepare(intake.expand([tmp_path]), tmp_path / "cleaned", 32)


def test_a_folder_of_nothing_but_other_files_says_what_they_are(tmp_path):
    (tmp_path / "a.mov").write_bytes(b"x")
    with pytest.raises(BadInput, match="holds no pictures .1 file, a.mov"):
        intake.expand([tmp_path])


@pytest.mark.parametrize("kind", ["iTXt", "zTXt", "tEXt"])
def test_text_of_any_size_in_a_png_does_no_harm(kind, tmp_path):
    """As ComfyUI's pictures carry their workflow."""
    words, info = "workflow " * 300_000, PngInfo()
    info.add_itxt("w", words, zip=True) if kind == "iTXt" else info.add_text("w", words, zip=kind == "zTXt")
    colourful().save(tmp_path / "a.png", pnginfo=info)
    assert kind.encode() in (tmp_path / "a.png").read_bytes()
    picture = pictures.read(tmp_path / "a.png")
    assert np.array_equal(picture.image, colourful()) and picture.notes == ()
    from evaluation.pictures import read_facts, read_pictures

    assert read_facts(tmp_path / "a.png") == {}
    assert np.array_equal(read_pictures([tmp_path / "a.png"])[0], colourful())


def test_a_large_colour_profile_in_a_png_is_read_and_used(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")  # its red is green
    Image.new("RGB", (8, 8), (200, 20, 20)).save(tmp_path / "a.png", icc_profile=swapped + b"\0" * 3_000_000)
    found = pictures.read(tmp_path / "a.png").image.getpixel((0, 0))
    assert np.abs(np.subtract(found, (20, 200, 20))).max() <= 2


@pytest.mark.parametrize("orientation, noted", [(0, False), (1, False), (6, True), (8, True), (9, False)])
def test_only_a_picture_that_is_turned_is_said_to_be(orientation, noted, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    colourful().save(tmp_path / "a.png", exif=exif)
    picture = pictures.read(tmp_path / "a.png")
    assert (picture.notes == ("turned upright",)) == noted
    assert (picture.image.size == (48, 64)) == noted


def test_brightness_from_0_to_1_keeps_its_greys(tmp_path):
    greys = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(greys).save(tmp_path / "a.tiff")
    picture = pictures.read(tmp_path / "a.tiff")
    assert picture.notes == ("reduced from fractions to 8 bits",)
    assert np.array_equal(np.asarray(picture.image)[..., 0], np.round(255.0 * greys.astype(np.float64)))
    Image.fromarray(greys * 3).save(tmp_path / "a.tiff")
    with pytest.raises(BadInput, match="holds measurements"):
        pictures.read(tmp_path / "a.tiff")


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
