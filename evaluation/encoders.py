"""The two judges of a picture: DINO (what does it look like) and CLIP (does it fit the words).

The paper scores with `facebook/dino-vits16` and `openai/clip-vit-base-patch32`; the toy world is scored with two small
models of the same layouts that ship with the project and are the default. A score means little without the model and
the preprocessing that made it, so every encoder describes itself and that description is stored with its scores.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import assets
from training.errors import BadInput, MissingModel

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDED = "embedded"
PAPER = {"dino": "facebook/dino-vits16", "clip": "openai/clip-vit-base-patch32"}
BATCH = 32


@dataclass(frozen=True)
class Seen:
    """What a judge sees in n pictures, float32 on the CPU.

    Attributes:
        vectors: (n, d), unit rows: what cosines are taken of.
        layers: (n, 3, 2, w), class token and mean of the patch tokens after a third, two thirds and all of its blocks:
            what is lost on the way to `vectors`, such as grain and sharpness.
    """

    vectors: Tensor
    layers: Tensor


class Encoder:
    """One frozen judge: pictures (and, for CLIP, texts) in, unit vectors out.

    Attributes:
        kind: `dino` or `clip`.
        ref: what `load` was asked for, and can be asked for again.
        name: what a table calls it, e.g. `embedded` or `openai/clip-vit-base-patch32`.
        preprocessing: how a picture becomes its input, in words.
        fingerprint: the first 12 hex digits of the SHA-256 of its weight file.
    """

    def __init__(self, kind: str, ref: str, name: str, folder: Path, device: str = "cpu"):
        from training.base import guard

        guard.prepare()
        from PIL import Image
        from transformers import AutoTokenizer, CLIPModel, ViTModel
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

        self.kind, self.ref, self.name, self.device = kind, ref, name, device
        self.fingerprint = _fingerprint(folder)
        # Two backends and several filters give different scores for the same picture: always Pillow, always bicubic.
        processor = CLIPImageProcessorPil if kind == "clip" else ViTImageProcessorPil
        self._processor = processor.from_pretrained(folder, resample=Image.Resampling.BICUBIC, local_files_only=True)
        options = {"local_files_only": True, "use_safetensors": True, "dtype": "float32"}
        if kind == "clip":
            self._model = CLIPModel.from_pretrained(folder, **options)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        else:
            self._model = ViTModel.from_pretrained(folder, add_pooling_layer=False, **options)
        self._model.to(device).eval().requires_grad_(False)

    @property
    def preprocessing(self) -> str:
        """The picture's way into the model, e.g. `resize 224x224 bicubic, PIL backend, transformers 5.24.0`."""
        import transformers

        settings = self._processor.to_dict()
        steps = [f"resize {_size_words(settings['size'])} bicubic"]
        if settings.get("do_center_crop"):
            steps.append(f"centre crop {_size_words(settings['crop_size'])}")
        return ", ".join([*steps, "PIL backend", f"transformers {transformers.__version__}"])

    def describe(self) -> dict[str, str]:
        """What is stored beside every score: reference, name, preprocessing, hash of the weights."""
        return {
            "ref": self.ref,
            "name": self.name,
            "preprocessing": self.preprocessing,
            "sha256": self.fingerprint,
        }

    def embed_images(self, images: list) -> Tensor:
        """Unit vectors of pictures: list of n PIL images -> (n, d) float32 on the CPU."""
        return self.see(images).vectors

    def see(self, images: list) -> Seen:
        """Vectors and layers of a list of n PIL images."""
        import torch

        if not images:
            raise BadInput("There are no pictures to score.", "Give at least one picture.", field="images")
        vectors, layers = [], []
        tower = self._model.vision_model if self.kind == "clip" else self._model
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                batch = [image.convert("RGB") for image in images[start : start + BATCH]]
                pixels = self._processor(images=batch, return_tensors="pt")["pixel_values"].to(self.device)
                out = tower(pixels, output_hidden_states=True)
                if self.kind == "clip":
                    vectors.append(self._model.visual_projection(out.pooler_output))
                else:
                    vectors.append(out.last_hidden_state[:, 0])  # (b, d): the class token, after its norm
                layers.append(_thirds(out.hidden_states))
        unit = torch.nn.functional.normalize(torch.cat(vectors).float(), dim=-1)
        return Seen(unit.cpu(), torch.cat(layers).float().cpu())

    def embed_texts(self, texts: list[str]):
        """Unit vectors of texts, CLIP only: list of n strings -> (n, d) float32 on the CPU."""
        import torch

        if self.kind != "clip":
            raise ValueError("DINO reads no text: use the CLIP encoder for texts.")
        tokens = self._tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        with torch.inference_mode():
            pooled = self._model.text_model(tokens["input_ids"].to(self.device)).pooler_output
            return torch.nn.functional.normalize(self._model.text_projection(pooled).float(), dim=-1).cpu()


def load(kind: str, ref: str = EMBEDDED, data: Path | None = None, device: str = "cpu") -> Encoder:
    """The judge `kind` (`dino` or `clip`).

    Args:
        ref: `embedded`, a model folder, or a hub id that `delora models get dino` (or `clip`) brought into `data`.
        data: the data folder; only needed for a hub id.

    Raises:
        MissingModel: no such folder, or the hub id was not downloaded yet.
        BadInput: the folder is no DINO or CLIP model with safetensors weights.
    """
    if kind not in PAPER:
        raise ValueError(f"kind: there is no judge called '{kind}'. Choose dino or clip.")
    folder, name = _find(kind, ref, data)
    return _cached(kind, ref, name, folder, device)


def check(kind: str, ref: str, data: Path | None = None) -> None:
    """Raises what `load` would for a judge that is not on this computer, without loading it."""
    _find(kind, ref, data)


@functools.lru_cache(maxsize=4)
def _cached(kind: str, ref: str, name: str, folder: Path, device: str) -> Encoder:
    try:
        return Encoder(kind, ref, name, folder, device)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{folder} cannot be opened as a {kind.upper()} model: {error}",
            "Give a folder with config.json, model.safetensors and preprocessor_config.json.",
            field=kind,
        ) from error


def _find(kind: str, ref: str, data: Path | None) -> tuple[Path, str]:
    """The folder of `ref` and the name that tables use for it."""
    if ref == EMBEDDED:
        folder = Path(assets.path("embedded", "scorers", kind))
        if not (folder / "config.json").is_file():
            raise MissingModel(f"The built-in {kind.upper()} judge is not in this installation.", "Install it again.")
        return folder, EMBEDDED
    if Path(ref).is_dir():
        return Path(ref).resolve(), Path(ref).name
    if ref in (kind, PAPER[kind]):
        from training.base import catalog

        if data is not None and (folder := catalog.home(data, kind)).is_dir():
            return folder, PAPER[kind]
        raise MissingModel(f"{PAPER[kind]} is not downloaded.", f"Run `delora models get {kind}` once.", field=kind)
    raise MissingModel(
        f"There is no {kind.upper()} judge called '{ref}'.",
        f"Use 'embedded', a model folder, or {PAPER[kind]} after `delora models get {kind}`.",
        field=kind,
    )


def _fingerprint(folder: Path) -> str:
    """The first 12 hex digits of the SHA-256 of the folder's weights."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise OSError("it has no model.safetensors")
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _thirds(states: tuple[Tensor, ...]) -> Tensor:
    """Class token and mean patch token after a third, two thirds and all blocks: (b, 3, 2, w).

    states: the embeddings and each block's output, (b, 1 + patches, w); of 12 blocks those after 4, 8 and 12.
    """
    import torch

    blocks = len(states) - 1
    kept = [states[max(1, blocks * third // 3)] for third in (1, 2, 3)]
    return torch.stack([torch.stack([state[:, 0], state[:, 1:].mean(dim=1)], dim=1) for state in kept], dim=1)


def _size_words(size: dict) -> str:
    return f"{size['height']}x{size['width']}" if "height" in size else f"shortest edge {size['shortest_edge']}"
