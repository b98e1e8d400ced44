"""Picture files as people have them: every bad one of the list, and a phone's."""

import struct
import zlib

import numpy as np
from PIL import Image


def colourful(size=(64, 48), seed=0):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.NEAREST)


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


def write_bad(folder):
    """name -> words that its message must hold."""
    colourful().save(folder / "whole.jpg", quality=95)
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.png").write_text("Dear diary, today I bought a dog.")
    (folder / "bomb.png").write_bytes(png_header(30_000, 30_000))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "rubbish.jpg").write_bytes(bytes(range(256)) * 8)
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)
    frames = [colourful(seed=i) for i in range(3)]
    frames[0].save(folder / "dance.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "dance.webp", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "dance.png", save_all=True, append_images=frames[1:])
    colourful().convert("CMYK").save(folder / "print.jpg")
    Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)).save(folder / "depth.tiff")
    return {
        "cut.jpg": "cut off or damaged",
        "notes.png": "is a text file, not a picture",
        "bomb.png": "pictures up to 120 million are read",
        "empty.jpg": "is empty",
        "rubbish.jpg": "is not a picture",
        "phone.heic": "is an iPhone format this computer cannot read; export it as JPEG, or install pillow-heif.",
        "dance.gif": "is animated",
        "dance.webp": "is animated",
        "dance.png": "is animated",
        "print.jpg": "is in print colours (CMYK)",
        "depth.tiff": "holds measurements",
    }


def write_phone(path, size=(40, 60)):
    """A phone's picture, red above and blue below, stored turned by a quarter, with the place where it was taken."""
    upright = Image.new("RGB", size, "red")
    upright.paste("blue", (0, size[1] // 2, *size))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by a quarter to the left
    exif.get_ifd(0x8825)[1] = "N"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
