"""The models that can be downloaded by name, where they lie in the data folder, and the folders a person added."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from training import jsonfile
from training.atomic import write_text
from training.errors import BadInput, from_os_error

ModelPath = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
ADD_AGAIN = "The models you added are not listed until then: put it back from a copy, or add one of them again."

OPENRAIL = "CreativeML Open RAIL-M (https://huggingface.co/spaces/CompVis/stable-diffusion-license)"


@dataclass(frozen=True)
class Known:
    """A model on the hub at a pinned commit.

    files: name on the hub -> name here. pickles: files that are converted to safetensors once, name on the hub ->
    name here. base: whether it can be finetuned. size_mb: of the download. purpose: what it is for and who needs it, in
    plain words; "" where nothing in this program uses it yet.
    """

    name: str
    title: str
    repo: str
    commit: str
    licence: str
    size_mb: int
    files: dict[str, str]
    pickles: dict[str, str]
    base: bool = False
    purpose: str = ""


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_MODELS = (
    Known(
        name="sd15",
        title="Stable Diffusion 1.5",
        repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
        commit="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        licence=OPENRAIL,
        size_mb=2134,
        # Half precision under the plain names: half the download, and a stock from_pretrained opens the folder.
        files={
            "unet/diffusion_pytorch_model.fp16.safetensors": "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.fp16.safetensors": "vae/diffusion_pytorch_model.safetensors",
            "text_encoder/model.fp16.safetensors": "text_encoder/model.safetensors",
            **_same(
                "model_index.json",
                "unet/config.json",
                "vae/config.json",
                "text_encoder/config.json",
                "scheduler/scheduler_config.json",
                "feature_extractor/preprocessor_config.json",
                "tokenizer/vocab.json",
                "tokenizer/merges.txt",
                "tokenizer/tokenizer_config.json",
                "tokenizer/special_tokens_map.json",
            ),
        },
        pickles={},
        base=True,
        purpose="Draws photographs, at 512 pixels; the base model for pictures of real things. Wants a graphics card.",
    ),
    Known(
        name="dino",
        title="DINO ViT-S/16, the paper's judge",
        repo="facebook/dino-vits16",
        commit="abe3b354cb6a9b6f146096b14a4a9d7eecbcb4bd",
        licence="Apache-2.0",
        size_mb=87,
        files=_same("config.json", "preprocessor_config.json"),
        pickles={"pytorch_model.bin": "model.safetensors"},
        purpose="Judges how much a run's pictures look like yours (likeness). Wanted, together with CLIP, for runs on "
        "photographs; the toy model has judges of its own.",
    ),
    Known(
        name="clip",
        title="CLIP ViT-B/32, the paper's judge",
        repo="openai/clip-vit-base-patch32",
        commit="b97b0100e55e367c057773c2a614676470b0d575",
        licence="MIT (https://github.com/openai/CLIP)",
        size_mb=607,
        files=_same(
            "model.safetensors",
            "config.json",
            "preprocessor_config.json",
            "vocab.json",
            "merges.txt",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ),
        pickles={},
        purpose="Judges whether a run's pictures follow the prompt. Wanted, together with DINO, for runs on "
        "photographs; the toy model has judges of its own.",
    ),
    Known(
        name="controlnet-seg",
        title="ControlNet 1.1 for segmentation maps",
        repo="lllyasviel/control_v11p_sd15_seg",
        commit="210682041b41097834006a910b8773f423343900",
        licence=OPENRAIL,
        size_mb=723,
        files={
            "config.json": "config.json",
            "diffusion_pytorch_model.fp16.safetensors": "diffusion_pytorch_model.safetensors",
        },
        pickles={},
        purpose="Makes pictures of Stable Diffusion 1.5 follow a semantic map.",
    ),
    Known(
        name="segmentor",
        title="UperNet (ConvNeXt-B), a segmentor for ADE20K",
        repo="openmmlab/upernet-convnext-base",  # the small one has its weights only as a pickle
        commit="13a9c410ff779f25236a8d24802d2742e4694e9c",
        licence="MIT",
        size_mb=489,
        files=_same("config.json", "preprocessor_config.json", "model.safetensors"),
        pickles={},
        purpose="Makes maps of photographs, and scores pictures drawn from maps.",
    ),
)
CATALOG = {model.name: model for model in _MODELS}


def find(ref: str) -> Known | None:
    """The named model that `ref` means, by its name here or its hub id."""
    return CATALOG.get(ref) or next((model for model in _MODELS if model.repo == ref), None)


def home(data: Path, name: str) -> Path:
    """Where a downloaded model lies once it is whole."""
    return data / "models" / name


def incoming(data: Path, name: str) -> Path:
    """Where its parts gather while it is downloaded."""
    return data / "models" / f".incoming-{name}"


def added(data: Path) -> dict[str, str]:
    """The folders and checkpoints a person added: name -> path; {} where the list is damaged, see `added_fault`."""
    path = added_file(data)
    try:
        return jsonfile.load(path, dict[str, ModelPath]) if os.path.exists(path) else {}
    except BadInput:
        return {}


def added_file(data: Path) -> Path:
    """Where the list of added models lies."""
    return data / "models" / "added.json"


def added_fault(data: Path) -> BadInput | None:
    """What is wrong with the list of added models, if anything is."""
    path = added_file(data)
    try:
        if os.path.exists(path):
            jsonfile.load(path, dict[str, ModelPath], ADD_AGAIN)
    except BadInput as error:
        error.remedy = ADD_AGAIN
        return error
    return None


def set_added(data: Path, models: dict[str, str]) -> None:
    """Write the list of added models, whole or not at all. A damaged list is not overwritten but put aside.

    Raises as `from_os_error`.
    """
    path = added_file(data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if added_fault(data):
            jsonfile.put_aside(path)
        write_text(path, json.dumps(models, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise from_os_error(error, path) from error


def delete(path: Path) -> None:
    """Remove a file or folder if it is there. Raises as `from_os_error`."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, path) from error
