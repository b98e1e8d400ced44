"""Diffusers model folders: check what one holds before anything is loaded, and write one that every tool opens."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from training import jsonfile
from training.base import configshape
from training.errors import BadInput

# component -> (its class, the stem of its weights' file name)
PARTS = {
    "unet": ("UNet2DConditionModel", "diffusion_pytorch_model"),
    "vae": ("AutoencoderKL", "diffusion_pytorch_model"),
    "text_encoder": ("CLIPTextModel", "model"),
}
# What a config may leave out, since it is its class's default.
DEFAULTS = {
    "unet": {"in_channels": 4, "cross_attention_dim": 1280, "layers_per_block": 2},
    "vae": {"latent_channels": 4},
    "text_encoder": {"hidden_size": 512, "max_position_embeddings": 77},
}
OTHER_FAMILIES = {
    "StableDiffusionXL": "Stable Diffusion XL",
    "StableDiffusion3": "Stable Diffusion 3",
    "Flux": "Flux",
    "StableUnCLIP": "Stable unCLIP",
    "UnCLIP": "unCLIP",
    "StableCascade": "Stable Cascade",
    "PixArt": "PixArt",
    "Kandinsky": "Kandinsky",
}
ASKED = {  # settings of a UNet that make it ask for more than latents, a time and a text
    "class_embed_type": "a picture or a class, as unCLIP's",
    "num_class_embeds": "a class",
    "addition_embed_type": "sizes or pictures beside the text",
    "encoder_hid_dim_type": "another kind of text or picture",
    "time_cond_proj_dim": "the guidance as an input, as LCM's",
    "attention_type": "places of things, as GLIGEN's",
}
SUPPORTED = "This program finetunes Stable Diffusion 1.x and 2.x (and its own built-in model)."


@dataclass(frozen=True)
class ModelFolder:
    """A checked diffusers folder.

    configs: JSON of unet, vae, text_encoder, tokenizer and scheduler, by component.
    variants: by component with weights, the variant to load ("fp16", "non_ema") or None for the plain file.
    """

    path: Path
    configs: dict[str, dict]
    variants: dict[str, str | None]

    def weights(self) -> list[Path]:
        """The weight files that will be loaded, in a fixed order."""
        found = []
        for part, variant in self.variants.items():
            stem = PARTS[part][1]
            infix = f".{variant}" if variant else ""
            plain = self.path / part / f"{stem}{infix}.safetensors"
            # A large model lies in numbered pieces: model-00001-of-00002.fp16.safetensors.
            pieces = sorted((self.path / part).glob(f"{stem}{infix}-*-of-*.safetensors")) or sorted(
                (self.path / part).glob(f"{stem}-*-of-*{infix}.safetensors")
            )
            found += [plain] if plain.is_file() else pieces
        return found


def inspect(path: Path) -> ModelFolder:
    """Check that `path` is a Stable Diffusion 1.x or 2.x pipeline with safetensors weights. Reads no tensor.

    Raises:
        BadInput: names the folder or file, what is wrong with it, and what to do.
    """
    index = _model_index(path)
    family = str(index.get("_class_name", ""))
    for prefix, name in OTHER_FAMILIES.items():
        if family.startswith(prefix):
            raise BadInput(f"{path} is a {name} model.", SUPPORTED, field="base")
    missing = [part for part in (*PARTS, "tokenizer", "scheduler") if not (path / part).is_dir()]
    if missing:
        raise BadInput(
            f"{path} lacks {_and(missing)}.",
            "Copy the whole folder, as `save_pretrained` or the hub has it.",
            field="base",
        )
    for part, (kind, _) in PARTS.items():
        named = index.get(part)
        found = named[1] if isinstance(named, list) and len(named) == 2 else None
        if found != kind:
            raise BadInput(f"{path} has a {part} of the kind {found}, not {kind}.", SUPPORTED, field="base")
    configs = configs_of(path)
    configshape.check(path, configs)
    _check_fit(path, configs)
    return ModelFolder(path, configs, {part: variant_of(path / part, stem) for part, (_, stem) in PARTS.items()})


def configs_of(path: Path) -> dict[str, dict]:
    """The JSON of unet, vae, text_encoder, scheduler and tokenizer in a folder, by component."""
    configs = {part: DEFAULTS[part] | read_config(path / part / "config.json") for part in PARTS}
    configs["scheduler"] = read_config(_first(path / "scheduler", "scheduler_config.json", "config.json"))
    configs["tokenizer"] = read_config(path / "tokenizer" / "tokenizer_config.json")
    if _first(path / "tokenizer", "vocab.json", "tokenizer.json").name == "vocab.json":
        _first(path / "tokenizer", "merges.txt", "tokenizer.json")  # vocab.json says nothing without it
    return configs


def write(path: Path, *, unet, vae, text_encoder, tokenizer, scheduler_config: dict, dtype: str = "float32") -> Path:
    """Write a stock pipeline folder that diffusers opens without further arguments, and older tools too.

    fp16 tensors lie under the plain names beside a text encoder config that says float32, or a plain
    `from_pretrained` would mix Half and Float. Text keys get the `text_model.` prefix and the tokenizer its
    vocab.json and merges.txt, which transformers 5 no longer writes but other tools read.

    Args:
        path: an empty or new folder; the caller makes it appear whole (beside, then rename).
        dtype: "float32", "float16" or "bfloat16" of the tensors on disk.
    """
    import diffusers
    import torch

    from delora.files import write_safetensors

    for part, module in (("unet", unet), ("vae", vae), ("text_encoder", text_encoder)):
        (path / part).mkdir(parents=True, exist_ok=True)
        state = {name: tensor.detach().to("cpu", getattr(torch, dtype)) for name, tensor in module.state_dict().items()}
        if part == "text_encoder":
            config = module.config.to_dict() | {"dtype": "float32", "architectures": ["CLIPTextModel"]}
            state = {prefixed(name): tensor for name, tensor in state.items()}
        else:
            config = {"_class_name": PARTS[part][0], "_diffusers_version": diffusers.__version__, **module.config}
            config.pop("_name_or_path", None)
        _write_json(path / part / "config.json", config)
        state = {name: tensor.contiguous() for name, tensor in state.items()}
        write_safetensors(state, path / part / f"{PARTS[part][1]}.safetensors", {"format": "pt"})
    _write_tokenizer(tokenizer, path / "tokenizer")
    (path / "scheduler").mkdir(exist_ok=True)
    _write_json(path / "scheduler" / "scheduler_config.json", scheduler_config)
    _write_json(
        path / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": diffusers.__version__,
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", scheduler_config.get("_class_name", "DDIMScheduler")],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return path


def prefixed(key: str) -> str:
    """A text encoder's key as Stable Diffusion 1.x files spell it; transformers 5 dropped the prefix."""
    return key if key.startswith("text_model.") else f"text_model.{key}"


def _write_tokenizer(tokenizer, folder: Path) -> None:
    tokenizer.save_pretrained(str(folder))
    if not (folder / "vocab.json").is_file():
        model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        _write_json(folder / "vocab.json", model["vocab"], indent=None)
        pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", "utf-8")


def _model_index(path: Path) -> dict:
    if (path / "model_index.json").is_file():
        return read_config(path / "model_index.json")
    checkpoints = sorted(path.glob("*.safetensors"))
    remedy = "Give the folder that holds model_index.json, unet, vae, text_encoder, tokenizer and scheduler."
    if len(checkpoints) == 1:
        remedy = f"If you mean the checkpoint in it, give {checkpoints[0]}."
    raise BadInput(f"{path} is no diffusers pipeline: it has no model_index.json.", remedy, field="base")


def _check_fit(path: Path, configs: dict[str, dict]) -> None:
    """Whether the parts belong together, and to a text-to-image Stable Diffusion."""
    unet, vae, text = configs["unet"], configs["vae"], configs["text_encoder"]
    if asked := [f"{what} ({key})" for key, what in ASKED.items() if unet.get(key) not in (None, "default")]:
        raise BadInput(
            f"{path}: its UNet asks for {_and(asked)}, which a plain Stable Diffusion does not give.",
            SUPPORTED,
            field="base",
        )
    if unet.get("in_channels") != vae.get("latent_channels"):
        raise BadInput(
            f"{path}: its UNet takes {unet.get('in_channels')} channels and its autoencoder makes "
            f"{vae.get('latent_channels')}; it is an inpainting or editing model.",
            "Take the plain text-to-image version of it.",
            field="base",
        )
    if unet.get("cross_attention_dim") != text.get("hidden_size"):
        raise BadInput(
            f"{path}: its UNet reads text of width {unet.get('cross_attention_dim')}, its text encoder writes "
            f"{text.get('hidden_size')}.",
            "The parts come from different models; download it again.",
            field="base",
        )


def variant_of(folder: Path, stem: str) -> str | None:
    """Which weights to load: None for the plain ones if they are there, or else "fp16", and other variants last.

    Raises BadInput where there are none, or only pickles.
    """
    try:
        names = set(os.listdir(folder))
    except OSError as error:
        told = f"{folder} cannot be read ({error.strerror or error})."
        raise BadInput(told, "Check its permissions.", field="base") from error
    if {f"{stem}.safetensors", f"{stem}.safetensors.index.json"} & names:
        return None
    for variant in ("fp16", "bf16", "non_ema"):
        if {f"{stem}.{variant}.safetensors", f"{stem}.safetensors.index.{variant}.json"} & names:
            return variant
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".ckpt", ".pth")))
    if pickles:
        raise BadInput(
            f"{folder} has its weights only as {pickles[0]}, a pickle, which can run code when it is opened.",
            "Take a version of this model with .safetensors weights.",
            field="base",
        )
    raise BadInput(
        f"{folder} holds no weights ({stem}.safetensors).", "Copy or download the folder again.", field="base"
    )


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise BadInput(f"{folder} has no {' or '.join(names)}.", "Copy or download the folder again.", field="base")


def read_config(path: Path) -> dict:
    """The JSON object in a file of a model folder. Raises BadInput, naming it, where it is missing or damaged."""
    remedy = "Copy or download the folder again."
    try:
        # not `jsonfile.read`: tokenizers say 1e30 for no limit
        value = json.loads(jsonfile.read_text(path, remedy, follow=True))
    except BadInput as error:
        error.field = "base"
        raise
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read ({error}).", remedy, field="base") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} holds no settings.", remedy, field="base")
    return value


def _write_json(path: Path, value: dict, indent: int | None = 2) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False, default=list) + "\n", "utf-8")


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
