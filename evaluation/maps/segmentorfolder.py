"""What a segmentor's folder says about itself, before anything is loaded: its kind, its classes, its preprocessing.

Preprocessing is taken from the folder's own config and done here, the same on every computer: transformers' processors
come in two backends that differ, and scale to a fixed height and width, which squashes what is not square. Here the
short side is scaled to that edge (as the models were trained and tested), and nothing is squashed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from training import jsonfile
from training.errors import BadInput
from training.maps.classes import CLASSES

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

KINDS = ("SegformerForSemanticSegmentation", "UperNetForSemanticSegmentation", "Mask2FormerForUniversalSegmentation")
WANTED = "Give a SegFormer, UperNet or Mask2Former folder with ADE20K's 150 classes and safetensors weights."
ENOUGH_NAMES = 120  # of 150: folders spell some names in their own way
BILINEAR, IMAGENET_MEAN, IMAGENET_STD = 2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


Edge = Annotated[int, Field(ge=1, le=16384)]
Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class _Config(BaseModel):
    architectures: list[str] | None = None
    id2label: dict[str, str] = {}


class _Preprocessor(BaseModel):
    size: Edge | dict[str, Edge | None] = 512
    max_size: Edge | None = None
    size_divisor: Annotated[int, Field(ge=0, le=1024)] | None = None
    resample: Annotated[int, Field(ge=0, le=5)] = BILINEAR
    do_resize: bool | None = True
    do_rescale: bool | None = True
    rescale_factor: float = 1 / 255
    do_normalize: bool | None = True
    image_mean: Three | None = None
    image_std: Three | None = None
    image_processor_type: str | None = None


@dataclass(frozen=True)
class Preprocessing:
    """A picture's way into a model. short, longest: edges in pixels, longest None for no limit; divisor: both edges are
    rounded up to a multiple of it; resample: Pillow's number; scale, mean, std: of the values."""

    short: int | None
    longest: int | None
    divisor: int
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) that a picture of that size is scaled to."""
        if self.short is None:
            factor = 1.0
        else:
            factor = self.short / min(width, height)
            if self.longest and factor * max(width, height) > self.longest:
                factor = self.longest / max(width, height)
        edges = (max(round(edge * factor), 1) for edge in (width, height))
        return tuple(math.ceil(edge / self.divisor) * self.divisor for edge in edges)

    def pixels(self, image: Image.Image) -> Tensor:
        """What the model sees of a picture: (1, 3, h, w) float32."""
        import numpy as np
        import torch

        image = image.convert("RGB").resize(self.size(*image.size), self.resample)
        values = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() * self.scale  # (3, h, w)
        mean, std = (torch.tensor(given).view(3, 1, 1) for given in (self.mean, self.std))
        return ((values - mean) / std)[None]

    @property
    def words(self) -> str:
        """In words, to be kept with scores."""
        scaled = f"short edge {self.short}" if self.short else "not scaled"
        limit = f", at most {self.longest}" if self.longest else ""
        return f"{scaled}{limit}, multiples of {self.divisor}, Pillow resampling {self.resample}"


@dataclass(frozen=True)
class SegmentorFolder:
    """A checked folder. kind: its class in transformers. weights: its safetensors files."""

    path: Path
    kind: str
    preprocessing: Preprocessing
    weights: tuple[Path, ...]


def inspect(path: Path) -> SegmentorFolder:
    """Check a segmentor's folder. Raises BadInput, naming folder or file, and what to do."""
    config = _read(path / "config.json", _Config)
    kinds = config.get("architectures") or [None]
    if kinds[0] not in KINDS:
        raise BadInput(f"{path} is a {kinds[0] or 'model of an unnamed kind'}, no segmentor.", WANTED, "segmentor")
    _check_classes(path, config.get("id2label") or {})
    weights = tuple(sorted(path.glob("model*.safetensors")))
    if not weights:
        pickles = sorted(file.name for file in path.glob("*.bin"))
        held = (
            f"its weights only as {pickles[0]}, a pickle, which can run code when it is opened" if pickles else "none"
        )
        words = f"{path} has {held}." if pickles else f"{path} holds no weights (model.safetensors)."
        raise BadInput(words, WANTED, "segmentor")
    shown = preprocessing(_read(path / "preprocessor_config.json", _Preprocessor))
    return SegmentorFolder(path, kinds[0], shown, weights)


def preprocessing(config: dict) -> Preprocessing:
    """Read a preprocessor_config.json, old or new: "size" is a number, a height and width, or a shortest edge."""
    size = config.get("size", 512)
    if isinstance(size, dict):
        sides = [size[key] for key in ("height", "width", "shortest_edge") if size.get(key)]
        short, longest = min(sides, default=512), size.get("longest_edge")
    else:
        short, longest = int(size), None
    masks = "size_divisor" in config or "Mask2Former" in str(config.get("image_processor_type"))
    normalized = config.get("do_normalize", True)
    return Preprocessing(
        short=short if config.get("do_resize", True) else None,
        longest=longest or config.get("max_size"),
        divisor=int(config.get("size_divisor") or (32 if masks else 1)),
        resample=int(config.get("resample", BILINEAR)),
        scale=float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0,
        mean=tuple(config.get("image_mean") or IMAGENET_MEAN) if normalized else (0.0, 0.0, 0.0),
        std=tuple(config.get("image_std") or IMAGENET_STD) if normalized else (1.0, 1.0, 1.0),
    )


def _check_classes(path: Path, labels: dict[str, str]) -> None:
    """Whether the classes are ADE20K's, in their order: a folder whose first class is a background has 151."""
    if len(labels) != len(CLASSES):
        raise BadInput(f"{path} tells {len(labels)} classes apart, not 150.", WANTED, "segmentor")
    given = {int(i): {part.strip().lower() for part in str(name).split(",")} for i, name in labels.items()}
    if all(given.get(i) == {f"label_{i}"} for i in range(len(CLASSES))):
        return  # transformers' own names, where nobody gave any
    known = [{scene.name, *scene.synonyms} for scene in CLASSES]
    right = sum(bool(given.get(i, set()) & names) for i, names in enumerate(known))
    if right < ENOUGH_NAMES:
        raise BadInput(
            f"{path} has 150 classes, and only {right} of their names are ADE20K's in its order "
            f"(the first is {labels.get('0', labels.get(0))!r}).",
            WANTED,
            "segmentor",
        )


def _read(path: Path, kind: type[BaseModel]) -> dict:
    """What a config states of a kind's fields."""
    try:
        return jsonfile.load(path, kind, "Copy or download it again.", follow=True).model_dump(exclude_unset=True)
    except BadInput as error:
        error.field = "segmentor"
        raise
