"""Pictures of a subject: what is wrong with them, and the cleaned square copies that training reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from training import atomic
from training.errors import BadInput, StudioError, from_os_error
from training.subject import pictures

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MOST_PICTURES = 100
BLURRED_BELOW = 14.0  # see sharpness(); focused ones measured 19 to 290, blurred by 2 pixels 4 to 14
SAME_BITS = 6  # of 64 bits of the perceptual hash: copies that were resized or saved again differ in 0 to 4
SAME_BACKGROUND = 0.8
ENDINGS = (  # what is read of a folder; those of HEIC too, which is told how to convert where it cannot be read
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"),
    *(".heic", ".heif", ".hif"),
)
NAMED = 5  # files that a note names


@dataclass(frozen=True)
class Verdict:
    """What one picture is good for, in words for a person. same_as: place in the list of a duplicate's first copy."""

    kind: Literal["good", "blurred", "small", "duplicate", "unreadable"]
    words: str
    same_as: int | None = None

    @property
    def usable(self) -> bool:
        """Whether the picture can be trained on at all."""
        return self.kind != "unreadable"


def inspect(path: Path, size_px: int = 512, position: float = 0.5) -> Verdict:
    """Judge one picture for a base model of `size_px`. Never raises for what is in the file."""
    return inspect_all([path], size_px, [position])[0]


def inspect_all(paths: Sequence[Path], size_px: int = 512, crops: Sequence[float] | None = None) -> list[Verdict]:
    """Judge pictures together, so that duplicates are found. crops: as in `prepare`."""
    crops = _positions(paths, crops)
    return judge([look(path, size_px, crop) for path, crop in zip(paths, crops, strict=True)], size_px)


@dataclass(frozen=True)
class Look:
    """What one picture alone shows. size_px: its width and height. notes: what was done to it, in words.

    problem: why it cannot be read; nothing else is known then.
    """

    size_px: tuple[int, int] = (0, 0)
    sharpness: float = 0.0
    hash: int = 0
    notes: tuple[str, ...] = ()
    problem: str = ""


def look(path: Path, size_px: int, crop: float = 0.5) -> Look:
    """Look at the square that will be used of a picture. Never raises for what is in the file."""
    try:
        picture = pictures.read(path)
    except BadInput as error:
        return Look(problem=str(error))
    image = pictures.square(picture.image, min(size_px, *picture.image.size), crop)
    return Look(picture.image.size, sharpness(image), perceptual_hash(image), picture.notes)


def judge(looks: Sequence[Look], size_px: int) -> list[Verdict]:
    """The verdicts on pictures that belong together."""
    return [_judge(looks, i, size_px) for i in range(len(looks))]


def prepare(paths: Sequence[Path], folder: Path, size_px: int, crops: Sequence[float] | None = None) -> list[Path]:
    """Write cleaned square copies (PNG, sRGB, upright, no metadata) and return their paths, in order.

    Args:
        folder: where they go, as 00.png, 01.png ...; it appears whole or not at all, and must not be there yet.
        size_px: edge of the copies.
        crops: for each picture where its square lies along the long side: 0 left or top, 0.5 the middle, 1 the end.

    Raises:
        BadInput: no pictures, too many, or one that cannot be used, naming it. RunFailed: a full disk.
    """
    if not paths:
        raise BadInput("No pictures were given.", "Give 4 to 8 pictures of your subject.", field="pictures")
    if len(paths) > MOST_PICTURES:
        raise BadInput(
            f"{len(paths)} pictures are too many.", f"Give at most {MOST_PICTURES}; 4 to 8 are usual.", "pictures"
        )
    try:
        with atomic.new_folder(folder) as new:
            for i, (path, position) in enumerate(zip(paths, _positions(paths, crops), strict=True)):
                pictures.square(pictures.read(path).image, size_px, position).save(new / f"{i:02d}.png")
    except OSError as error:
        raise from_os_error(error, folder) from error
    except StudioError as error:
        error.field = error.field or "pictures"
        raise
    return [folder / f"{i:02d}.png" for i in range(len(paths))]


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the pictures in them, by their endings, in order of name; see `left_out`.

    Raises BadInput for a folder without a picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside, others = _inside(path) if path.is_dir() else ([path], [])
        if not inside:
            words = f"{path} holds no pictures{f' ({_some(others)})' if others else ''}."
            raise BadInput(words, "Give 4 to 8 pictures of your subject.", field="pictures")
        found += inside
    return found


def left_out(paths: Sequence[Path]) -> list[str]:
    """What `expand` leaves out of folders, a sentence for each folder: movies, captions, settings of other programs."""
    others = {path: _inside(path)[1] for path in map(Path, paths) if path.is_dir()}
    return [f"Left out of {path}, being no pictures: {_some(names)}." for path, names in others.items() if names]


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder, and its other files; hidden ones are neither."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    read = [path for path in files if path.suffix.lower() in ENDINGS]
    return read, [path for path in files if path.suffix.lower() not in ENDINGS]


def _some(files: Sequence[Path]) -> str:
    """ "3 files: a.mov, b.aae, c.txt"; of many, the first."""
    names = ", ".join(file.name for file in files[:NAMED])
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"{len(files)} file{'s' * (len(files) != 1)}, {names}{more}"


def background_warning(paths: Sequence[Path]) -> str | None:
    """A warning where nearly all pictures show the same background, else None. Unreadable files are passed over."""
    rims = []
    for path in paths:
        try:
            rims.append(_rim_colours(pictures.square(pictures.read(path).image, 64)))
        except BadInput:
            continue
    pairs = [(i, j) for i in range(len(rims)) for j in range(i)]
    alike = sum(float((rims[i] * rims[j]).sum()) > SAME_BACKGROUND for i, j in pairs)
    if len(rims) < 3 or alike < 0.7 * len(pairs):
        return None
    return (
        "The pictures have nearly the same background, and the model may learn it as a part of your subject. "
        "Add pictures taken in other places."
    )


def sharpness(image: Image.Image) -> float:
    """How hard the hardest edges are: the 99th percentile of |Laplacian| of the grey picture, 0 to about 255.

    A percentile and not the usual variance, so that a sharp subject before a smooth background counts as sharp.
    """
    import numpy as np

    x = np.asarray(image.convert("L"), dtype=np.float32)
    if min(x.shape) < 3:
        return 0.0
    middle = x[1:-1, 1:-1]
    laplacian = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * middle
    return float(np.percentile(np.abs(laplacian), 99))


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that stay the same when a picture is resized, recompressed or slightly recoloured (a DCT hash)."""
    import numpy as np
    from PIL import Image

    n = 32
    x = np.asarray(image.convert("L").resize((n, n), Image.Resampling.LANCZOS), dtype=np.float64)
    k = np.arange(n)
    dct = np.cos(np.pi / n * (k[None] + 0.5) * k[:8, None])  # (8, n): the 8 lowest frequencies
    low = (dct @ x @ dct.T).ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def _judge(looks: Sequence[Look], i: int, size_px: int) -> Verdict:
    this = looks[i]
    if this.problem:
        return Verdict("unreadable", this.problem)
    for j, other in enumerate(looks[:i]):
        if not other.problem and (this.hash ^ other.hash).bit_count() <= SAME_BITS:
            return Verdict("duplicate", f"Same as no. {j + 1}. It adds nothing; leave one out.", j)
    did = f" ({', '.join(this.notes)})" if this.notes else ""
    if (short := min(this.size_px)) < size_px:
        return Verdict("small", f"Small: {short} pixels on its short side, {size_px} are wanted{did}.")
    if this.sharpness < BLURRED_BELOW:
        return Verdict("blurred", f"Blurred: a sharper picture teaches more{did}.")
    return Verdict("good", f"Good{did}.")


def _positions(paths: Sequence[Path], crops: Sequence[float] | None) -> list[float]:
    if crops is None:
        return [0.5] * len(paths)
    if len(crops) != len(paths):
        raise BadInput(f"{len(crops)} crops were given for {len(paths)} pictures.", "Give one for each.", "pictures")
    return [0.5 if position is None else float(position) for position in crops]


def _rim_colours(image: Image.Image) -> np.ndarray:
    """Unit vector: how often each of 8 x 8 x 8 colours, softened, occurs in the outer eighth of the picture."""
    import numpy as np

    x = np.asarray(image, dtype=np.int64)
    edge = image.width // 8
    rim = np.ones(x.shape[:2], dtype=bool)
    rim[edge:-edge, edge:-edge] = False
    histogram = np.zeros((10, 10, 10))
    np.add.at(histogram, tuple(x[rim].T // 32 + 1), 1.0)
    for axis in range(3):  # neighbours share, so that a colour near a bin's border does not jump
        histogram = histogram + 0.5 * (np.roll(histogram, 1, axis) + np.roll(histogram, -1, axis))
    return histogram / np.linalg.norm(histogram)
