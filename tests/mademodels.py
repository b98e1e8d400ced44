"""Small base models as people have them, one a kind, made by code of `tinymodels.sd15`; and what must come of each."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def edit(path: Path, **changes) -> None:
    """Settings of a JSON file, changed; None takes one out."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def unet(**changes) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        edit(folder / "unet" / "config.json", **changes)
        return folder

    return change


def index(**changes) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        edit(folder / "model_index.json", **changes)
        return folder

    return change


def without(name: str) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        (folder / name).unlink()
        return folder

    return change


def bare(folder: Path) -> Path:
    """One checkpoint with the text encoder's keys as NovelAI's first model has them."""
    return checkpoint(folder, lambda key: key.replace("transformer.text_model.", "transformer."))


def checkpoint(folder: Path, spell: Callable[[str], str] = str, drop: str = "-") -> Path:
    """The folder's model as one checkpoint beside it, its keys respelt, without those that hold `drop`."""
    from safetensors.torch import load_file, save_file

    from training.base import models, singlefile

    base = models.load_base(str(folder), data=folder.parent)
    path = folder.parent / f"{folder.name}.safetensors"
    singlefile.write(path, unet=base.unet, vae=base.vae, text_encoder=base.text_encoder, dtype="float32")
    save_file({spell(key): tensor for key, tensor in load_file(path).items() if drop not in key}, path)
    return path


@dataclass(frozen=True)
class Made:
    """One kind of model.

    about: whose it is. change: makes it of a copy of the tiny model, and returns its path. size_px: of its pictures.
    refused: words of why it is not added.
    """

    about: str
    change: Callable[[Path], Path]
    size_px: int = 64
    refused: str = ""

    def write(self, plain: Path, folder: Path) -> Path:
        shutil.copytree(plain, folder)
        return self.change(folder)


TABLE = {
    "plain": Made("today's diffusers", lambda folder: folder),
    "diffusers-0.6": Made(
        "Stable Diffusion 1.4 as first published", unet(sample_size=32, _diffusers_version="0.6.0"), size_px=512
    ),
    "diffusers-0.9": Made("a small model, later", unet(sample_size=32, _diffusers_version="0.9.0"), size_px=256),
    "novelai": Made("NovelAI and merges of it, one file", bare),
    # refused, in the right words
    "unclip": Made("Stable unCLIP", unet(class_embed_type="projection"), refused="as unCLIP's (class_embed_type)"),
    "unclip-index": Made(
        "Stable unCLIP", index(_class_name="StableUnCLIPImg2ImgPipeline"), refused="is a Stable unCLIP model"
    ),
    "lcm": Made("Latent consistency", unet(time_cond_proj_dim=256), refused="as LCM's (time_cond_proj_dim)"),
    "gligen": Made("GLIGEN", unet(attention_type="gated"), refused="as GLIGEN's (attention_type)"),
    "classes": Made("of numbered classes", unet(num_class_embeds=10), refused="a class (num_class_embeds)"),
    "sizes": Made("as Stable Diffusion XL", unet(addition_embed_type="text_time"), refused="(addition_embed_type)"),
    "no-merges": Made("a half copy", without("tokenizer/merges.txt"), refused="has no merges.txt or tokenizer.json"),
    "no-vocabulary": Made("a half copy", without("tokenizer/vocab.json"), refused="has no vocab.json or"),
    "pixart": Made("PixArt", index(_class_name="PixArtAlphaPipeline"), refused="is a PixArt model"),
}
