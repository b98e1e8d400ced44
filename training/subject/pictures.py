"""Reading a person's picture file: real decoding, the right way up, in sRGB, with nothing but its pixels left.

Everything that can be read faithfully is read, with a note where something was changed; everything else is refused in
one sentence that names the file and says what to do.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training import jsonfile
from training.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

LARGEST_FILE_MB = 100
MOST_MEGAPIXELS = 120
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")  # no format that runs another program
READABLE = "JPEG, PNG, WebP, TIFF, BMP or AVIF"
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
SHARED_FRAMES = ("MPO",)  # phones put a second view or a depth map beside the picture
EXIF_ORIENTATION, TURNED = 0x0112, range(2, 9)  # 1 is upright; 0, 9 and above mean nothing
PNG = b"\x89PNG\r\n\x1a\n"
PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")
DARKEST_WHITE = 16.0  # a picture of fractions whose brightest point is below is none of 0 to 255
LARGEST_PROFILE_BYTES = 16 * 2**20  # unpacked; printers' profiles have a few megabytes
# Pillow's words to programmers, of odd files; what matters of them is said in ours.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True)
class Picture:
    """A decoded picture: RGB, upright, without metadata; and what was done to it, in words."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def read(path: Path) -> Picture:
    """Decode a picture. Raises as `decoded`, and for print colours without a profile."""
    with decoded(path) as image:
        try:
            return _upright_rgb(image, Path(path))
        except BadInput:
            raise
        except Exception as error:  # damaged metadata, or pixels that do not fit what they say they are
            raise _cut_off(Path(path)) from error


@contextlib.contextmanager
def decoded(path: Path) -> Iterator[Image.Image]:
    """A picture file, checked and decoded, in its own mode.

    Raises BadInput, naming the file, where it is missing, empty, too large, no picture, cut off, animated, or in a
    format this computer has no reader for.
    """
    from PIL import Image

    path = Path(path)
    _check_file(path)
    formats = _formats()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below, and stated
            image = Image.open(source(path), formats=formats)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error, EOFError, ...
        raise _unreadable(path) from error
    with image:
        if image.width * image.height > MOST_MEGAPIXELS * 1e6:
            raise _too_many_pixels(path, image.size)
        frames = _frames(image, path)
        if frames > 1 and image.format not in SHARED_FRAMES:
            raise BadInput(
                f"{path.name} is animated or has several pages ({frames}).", "Save one of them as PNG or JPEG."
            )
        try:
            image.load()
        except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, struct.error, EOFError, ...
            raise _cut_off(path) from error
        yield image


def square(image: Image.Image, size_px: int, position: float = 0.5) -> Image.Image:
    """The square of the picture's short side, `size_px` wide. position: 0 is left or top, 1 right or bottom."""
    from PIL import Image

    side = min(image.size)
    left, top = (round((length - side) * min(max(position, 0.0), 1.0)) for length in image.size)
    return image.resize((size_px, size_px), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise BadInput(f"{path} is not there.", "Check the path.", field="pictures")
    size = path.stat().st_size
    if size == 0:
        raise BadInput(f"{path.name} is empty.", "Copy or download it again.")
    if size > LARGEST_FILE_MB * 1e6:
        raise BadInput(
            f"{path.name} is {size / 1e6:.0f} MB; pictures up to {LARGEST_FILE_MB} MB are read.", "Save it smaller."
        )


def source(path: Path) -> Path | io.BytesIO:
    """What Pillow should open: the file, or a PNG without its text, which it refuses above a size (1 MiB).

    Its limit for colour profiles, which is the same number, is raised: a profile says what the colours are.
    """
    from PIL import PngImagePlugin

    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, LARGEST_PROFILE_BYTES)
    with jsonfile.open_regular(path, follow=True) as file:
        if file.read(len(PNG)) != PNG:
            return path
        content = memoryview(PNG + file.read())
    kept, at = [content[: len(PNG)]], len(PNG)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length  # length, kind, body, checksum
        kept += [] if kind in PNG_TEXT else [content[at:end]]
        if kind == b"IEND" or not kind.isalpha():  # the picture's end, or nothing of one; what follows may be endless
            break
        at = end
    return io.BytesIO(b"".join(kept))


def _frames(image: Image.Image, path: Path) -> int:
    """How many pictures a file holds; some formats have to be read through for that."""
    try:
        return getattr(image, "n_frames", 1)
    except Exception as error:
        raise _cut_off(path) from error


def _cut_off(path: Path) -> BadInput:
    told = f"{path.name} is cut off or damaged: it ends in the middle of the picture."
    return BadInput(told, "Copy or download it again.")


def _too_many_pixels(path: Path, size: tuple[int, int] | None = None) -> BadInput:
    given = f"{size[0]:,} x {size[1]:,} pixels" if size else "far too many pixels"
    return BadInput(
        f"{path.name} has {given}; pictures up to {MOST_MEGAPIXELS} million are read.",
        "Save it smaller; 2,000 pixels are plenty.",
    )


def _unreadable(path: Path) -> BadInput:
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return BadInput(
            f"{path.name} is an iPhone format this computer cannot read;",
            "export it as JPEG, or install pillow-heif.",
        )
    if b"\0" not in head and _is_text(head):
        return BadInput(f"{path.name} is a text file, not a picture.", f"Give {READABLE} files.")
    return BadInput(f"{path.name} is not a picture that can be read here, or it is damaged.", f"Give {READABLE} files.")


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # the cut may fall inside a letter
    return True


def _formats() -> list[str]:
    """The formats this computer has readers for, HEIC among them where pillow-heif is installed."""
    from PIL import Image

    Image.init()
    try:
        import pillow_heif
    except ImportError:
        return [name for name in FORMATS if name in Image.OPEN]
    pillow_heif.register_heif_opener()
    return [name for name in (*FORMATS, "HEIF") if name in Image.OPEN]


def _upright_rgb(image: Image.Image, path: Path) -> Picture:
    from PIL import Image, ImageOps

    notes = []
    profile = image.info.get("icc_profile")
    if image.getexif().get(EXIF_ORIENTATION, 1) in TURNED:
        image = ImageOps.exif_transpose(image)
        notes.append("turned upright")
    if image.mode == "CMYK":
        image = _from_print_colours(image, profile, path)
        profile = None
        notes.append("print colours (CMYK) turned into screen colours")
    elif image.mode.startswith("I") or image.mode == "F":
        notes.append("reduced from fractions to 8 bits" if image.mode == "F" else "reduced from 16 bits to 8")
        image = _eight_bits(image, path)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        notes += ["transparent parts made white"] if rgba.getextrema()[3][0] < 255 else []
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba)
    image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    return Picture(Image.frombytes("RGB", image.size, image.tobytes()), tuple(notes))


def _from_print_colours(image: Image.Image, profile: bytes | None, path: Path) -> Image.Image:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise BadInput(
            f"{path.name} is in print colours (CMYK) without a profile that says what they look like.",
            "Export it as RGB (sRGB) JPEG or PNG.",
        ) from error


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    most = values.max()
    if image.mode == "F" and most <= 1:  # as renderers and scientific tools write brightness
        values, most = 255 * values, 255
    measured = image.mode == "F" and most < DARKEST_WHITE
    if not np.isfinite(values).all() or values.min() < 0 or most > 65535 or measured:
        raise BadInput(f"{path.name} holds measurements, not 8- or 16-bit colours.", "Export it as an 8-bit PNG.")
    scale = 257 if most > 255 else 1  # 65535 / 255
    return Image.fromarray(np.round(values / scale).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):
        return image  # a damaged or grey profile: the pixels are as good as they are
