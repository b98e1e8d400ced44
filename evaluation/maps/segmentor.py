"""Segmentors: a picture in, its map of ADE20K's 150 classes out.

Scores are comparable only between pictures that one segmentor looked at; `Segmentor.describe` is stored with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import assets
from evaluation.maps import segmentorfolder
from evaluation.maps.segmentorfolder import SegmentorFolder
from training.base import catalog, guard, modelref
from training.base.models import fingerprint
from training.errors import BadInput, MissingModel

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

EMBEDDED, DOWNLOADED = "embedded", "segmentor"
BATCH = 8
CLASSES_AT_ONCE = 15  # scaled up to the picture's size together


class Segmentor:
    """A frozen segmentor. name: what a table calls it."""

    def __init__(self, folder: SegmentorFolder, name: str, device: str = "cpu"):
        guard.prepare()
        import transformers

        transformers.utils.logging.disable_progress_bar()
        self.name, self.folder, self.device = name, folder, device
        model, report = getattr(transformers, folder.kind).from_pretrained(
            str(folder.path), local_files_only=True, use_safetensors=True, dtype="float32", output_loading_info=True
        )
        if lacking := sorted(report["missing_keys"]):
            raise OSError(f"it lacks {len(lacking)} tensors, {lacking[0]} first")
        self._model = model.to(device).eval().requires_grad_(False)

    def describe(self) -> dict[str, str]:
        """What is stored beside scores: name, kind, preprocessing, and 16 hex digits that name its weights."""
        return {
            "name": self.name,
            "kind": self.folder.kind,
            "preprocessing": self.folder.preprocessing.words,
            "fingerprint": fingerprint(list(self.folder.weights)),
        }

    def segment(self, images: Sequence[Image.Image]) -> list[np.ndarray]:
        """The map of each picture, at its own size: (H, W) uint8 labels 0-149. A model knows no "ignored"."""
        import torch

        maps: list[np.ndarray] = []
        with torch.inference_mode():
            for group in _groups(images):
                pixels = torch.cat([self.folder.preprocessing.pixels(image) for image in group])
                width, height = group[0].size
                decided = best_class(self._scores(pixels.to(self.device)), (height, width))
                maps += [*decided.to(torch.uint8).cpu().numpy()]
        return maps

    def _scores(self, pixels: Tensor) -> Tensor:
        """A score for each class, (n, 150, h, w) at some size, of pixels (n, 3, H, W)."""
        if self.folder.kind == segmentorfolder.KINDS[2]:
            made = self._model(pixel_values=pixels)
            return class_scores(made.class_queries_logits, made.masks_queries_logits, tuple(pixels.shape[-2:]))
        return self._model(pixel_values=pixels).logits


def _groups(images: Sequence[Image.Image]) -> Iterator[list[Image.Image]]:
    """The pictures in their order, in groups of one size that a model can look at together."""
    for _, alike in itertools.groupby(images, key=lambda image: image.size):
        alike = list(alike)
        yield from (alike[start : start + BATCH] for start in range(0, len(alike), BATCH))


def class_scores(classes: Tensor, masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask2Former's semantic scores (n, 150, *size) from its queries' classes (n, q, 151) and masks (n, q, h, w).

    Masks are scaled to the picture's own shape; transformers' post-processing takes 384 x 384 for every picture.
    """
    import torch

    masks = torch.nn.functional.interpolate(masks, size=size, mode="bilinear", align_corners=False).sigmoid()
    return torch.einsum("nqc,nqhw->nchw", classes.softmax(-1)[..., :-1], masks)


def best_class(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (n, c, h, w) scaled to `size` by bilinear weights and then decided: (n, *size) int64.

    A few classes at a time: 150 of a 12-megapixel photograph would be 7 GB.
    """
    import torch

    best = place = None
    for start in range(0, scores.shape[1], CLASSES_AT_ONCE):
        part = torch.nn.functional.interpolate(
            scores[:, start : start + CLASSES_AT_ONCE].float(), size=size, mode="bilinear", align_corners=False
        )
        value, index = part.max(1)
        if best is None:
            best, place = value, index
        else:
            better = value > best
            best, place = torch.where(better, value, best), torch.where(better, index + start, place)
    return place


def usual(embedded: bool) -> str:
    """The segmentor that knows a base model's pictures: the built-in one's, or photographs'."""
    return EMBEDDED if embedded else DOWNLOADED


def check(ref: str, data: Path | None = None) -> SegmentorFolder:
    """A segmentor's folder, looked at without loading anything. Arguments and errors as `load`."""
    return segmentorfolder.inspect(_find(ref, data)[0])


def load(ref: str, data: Path | None = None, device: str = "cpu") -> Segmentor:
    """Open a segmentor, offline.

    Args:
        ref: a folder, "segmentor" (downloaded with `delora models get segmentor`), or "embedded".
        data: the data folder; only needed for the downloaded one.

    Raises:
        MissingModel: it is not on this computer. BadInput: the folder is no segmentor of ADE20K's 150 classes.
    """
    path, name = _find(ref, data)
    folder = segmentorfolder.inspect(path)
    try:
        return Segmentor(folder, name, device)
    except Exception as error:  # safetensors, OSError, ValueError, RuntimeError: damaged or foreign weights
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(
            f"{path} cannot be opened as a segmentor ({reason}).", segmentorfolder.WANTED, "segmentor"
        ) from error


def _find(ref: str, data: Path | None) -> tuple[Path, str]:
    known = catalog.CATALOG[DOWNLOADED]
    if ref == EMBEDDED:
        path = assets.path("embedded", "segmentor")
        if not (path / "config.json").is_file():
            raise MissingModel(
                "The built-in segmentor is not in this installation.",
                f"Name another one: a folder, or {known.name} after `delora models get {known.name}`.",
                "segmentor",
            )
        return path, EMBEDDED
    if ref in (known.name, known.repo):
        if data is not None and (folder := catalog.home(data, known.name)).is_dir():
            return folder, known.repo
        raise MissingModel(
            f"{known.title} is not downloaded.",
            f"Run `delora models get {known.name}` once.",
            "segmentor",
            f"Download it at This computer (about {known.size_mb / 1000:.1f} GB).",
        )
    if data is not None:
        modelref.check_reach(Path(ref), data, "segmentor", "segmentor")
    if path := modelref.folder_at(ref):
        return path.resolve(), path.name
    raise MissingModel(
        f"There is no segmentor {ref!r}.", f"Use a folder, or {known.name} after `delora models get`.", "segmentor"
    )
