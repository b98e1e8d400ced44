"""ControlNets: what a folder is, whether it fits a base model, and its module, loaded offline from safetensors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel as Shape
from pydantic import Field

import assets
from training import jsonfile
from training.base import catalog, guard, modelfolder, modelref
from training.base.models import fingerprint
from training.errors import BadInput, MissingModel

if TYPE_CHECKING:
    from diffusers import ControlNetModel

    from training.base.models import BaseModel

EMBEDDED, DOWNLOADED, FIELD = "embedded", "controlnet-seg", "control"
STEM = "diffusion_pytorch_model"
DEFAULTS = {  # diffusers' own, where a config leaves one out
    "in_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 1280,
    "conditioning_channels": 3,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
}
SAME = {  # what must be as in the UNet, whose blocks it adds to: setting -> in words
    "in_channels": "latents of {} channels",
    "cross_attention_dim": "text of width {}",
    "block_out_channels": "blocks of widths {}",
    "layers_per_block": "{} layers a block",
}


Widths = Annotated[list[int], Field(min_length=1, max_length=8)]


class _Shape(Shape):
    in_channels: int
    block_out_channels: Widths
    layers_per_block: int | list[int]
    cross_attention_dim: int | list[int]
    conditioning_channels: int
    conditioning_embedding_out_channels: Widths


@dataclass(frozen=True)
class ControlFolder:
    """A checked ControlNet folder. config: its JSON. variant: the weights to load, None for the plain ones."""

    path: Path
    name: str
    config: dict
    variant: str | None

    @property
    def factor(self) -> int:
        """Pixels of the control picture per latent cell along one edge: its picture encoder halves n - 1 times."""
        return 2 ** (len(self.config["conditioning_embedding_out_channels"]) - 1)

    @property
    def weights(self) -> list[Path]:
        """The weight files that will be loaded."""
        infix = f".{self.variant}" if self.variant else ""
        return sorted(self.path.glob(f"{STEM}{infix}.safetensors")) or sorted(
            self.path.glob(f"{STEM}*{infix}*.safetensors")
        )


class Control:
    """A frozen ControlNet in evaluation mode. module: diffusers' own. name: what to call it."""

    def __init__(self, folder: ControlFolder, module: ControlNetModel):
        self.folder, self.module, self.name = folder, module, folder.name

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name its weights, the same on every computer and in every folder."""
        return fingerprint(self.folder.weights)


def usual(embedded: bool) -> str:
    """The ControlNet that belongs to a base model: the built-in one's, or Stable Diffusion's."""
    return EMBEDDED if embedded else DOWNLOADED


def inspect(ref: str, unet: Mapping, vae_factor: int, data: Path) -> ControlFolder:
    """Find a ControlNet and check that it fits a base model. Reads no tensor.

    Args:
        ref: a folder, "controlnet-seg" (downloaded), or "embedded".
        unet: the base UNet's config. vae_factor: pixels per latent cell of the base model.
        data: the data folder.

    Raises:
        MissingModel: it is not on this computer. BadInput: it is no ControlNet, or not one for this base model.
    """
    path, name = _find(ref, data)
    try:
        config = DEFAULTS | modelfolder.read_config(path / "config.json")
        jsonfile.check(path / "config.json", config, _Shape)
        kind = config.get("_class_name")
        if kind != "ControlNetModel":
            raise BadInput(f"{path} is a {kind or 'model of an unnamed kind'}, no ControlNet.", "Give another folder.")
        folder = ControlFolder(path, name, config, modelfolder.variant_of(path, STEM))
        _check_fit(folder, unet, vae_factor)
    except BadInput as error:
        error.field = FIELD
        raise
    return folder


def load(ref: str, base: BaseModel, data: Path) -> Control:
    """Load a ControlNet onto the base UNet's device, in its precision. Raises as `inspect`, and for damaged weights."""
    folder = inspect(ref, base.unet.config, base.capabilities.vae_factor, data)
    guard.prepare()
    from diffusers import ControlNetModel

    try:
        module, report = ControlNetModel.from_pretrained(
            str(folder.path),
            variant=folder.variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            torch_dtype=base.unet.dtype,
        )
    except Exception as error:  # safetensors, OSError, ValueError, RuntimeError: damaged or foreign weights
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"{folder.path} cannot be loaded ({reason}).", "Copy or download it again.", FIELD) from error
    if lacking := sorted(report["missing_keys"]):
        words = f"{folder.path} lacks {len(lacking)} tensors ({lacking[0]} ...)."
        raise BadInput(words, "Copy or download it again.", FIELD)
    return Control(folder, module.requires_grad_(False).eval().to(base.unet.device))


def _check_fit(folder: ControlFolder, unet: Mapping, vae_factor: int) -> None:
    for setting, words in SAME.items():
        own, others = (_plain(config.get(setting, DEFAULTS[setting])) for config in (folder.config, unet))
        if own != others:
            raise BadInput(
                f"{folder.name} was made for {words.format(own)}, and the base model has {words.format(others)}.",
                "Take a ControlNet made for this base model.",
            )
    if folder.config["conditioning_channels"] != 3:
        count = folder.config["conditioning_channels"]
        raise BadInput(f"{folder.name} takes pictures of {count} channels, and colours are 3.", "Take another one.")
    if folder.factor != vae_factor:
        raise BadInput(
            f"{folder.name} shrinks its picture {folder.factor} times, and the base model's latents are {vae_factor} "
            "times smaller than pictures.",
            "Take a ControlNet made for this base model.",
        )


def _plain(value):
    """A setting in one spelling: [2, 2, 2] for every level is 2, and tuples are lists."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(set(value)) == 1 else list(value)


def _find(ref: str, data: Path) -> tuple[Path, str]:
    known = catalog.CATALOG[DOWNLOADED]
    if ref == EMBEDDED:
        path = assets.path("embedded", "controlnet")
        if not (path / "config.json").is_file():
            raise MissingModel("The built-in ControlNet is not in this installation.", "Install it again.", FIELD)
        return path, "the built-in ControlNet"
    if ref in (known.name, known.repo):
        path = catalog.home(data, known.name)
        if not path.is_dir():
            raise MissingModel(
                f"{known.title} is not downloaded.",
                f"Run `delora models get {known.name}` once.",
                FIELD,
                f"Download it at This computer (about {known.size_mb / 1000:.1f} GB).",
            )
        return path, known.title
    modelref.check_reach(Path(ref), data, "ControlNet", FIELD)
    if path := modelref.folder_at(ref):
        return path.absolute(), path.name
    raise MissingModel(
        f"There is no ControlNet {ref!r}.", f"Give a folder, or {known.name} after `delora models get`.", FIELD
    )
