"""Base models: where a name leads, what it can do, and its modules, loaded offline from safetensors only.

Everything is loaded from folders on this computer through named classes: no network, no pickle, no code from a model.
"""

import hashlib
import math
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import assets
from training.base import catalog, guard, modelfolder, singlefile
from training.base.capabilities import Capabilities, from_configs
from training.base.modelref import ModelRef, resolve
from training.errors import BadInput, MissingModel


def describe(ref: str, data: Path) -> Capabilities:
    """What a base model can do, from its configs alone (no weights are read). Raises as `load_base` does."""
    found = resolve(ref, data)
    try:
        return from_configs(configs(ref, data), found.world)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = f"{found.path}: the configs of its parts do not make sense together ({type(error).__name__}: {error})."
        raise BadInput(told, "Copy or download the folder again.", field="base") from error


def configs(ref: str, data: Path) -> dict[str, dict]:
    """The JSON of a base model's parts, by component. Raises as `describe`."""
    found = resolve(ref, data)
    if found.kind == "file":
        singlefile.check(found.path)
        return modelfolder.configs_of(assets.path("sd15-config"))
    return modelfolder.inspect(found.path).configs


def count_numbers(ref: str, data: Path) -> int:
    """How many numbers a base model's weights are, from its files' headers. Raises as `describe`."""
    from safetensors import SafetensorError, safe_open

    found, total = resolve(ref, data), 0
    for path in [found.path] if found.kind == "file" else modelfolder.inspect(found.path).weights():
        try:
            with safe_open(path, "np") as file:  # "pt" would import torch
                for key in file.keys():  # noqa: SIM118
                    if found.kind != "file" or key.startswith((singlefile.UNET, singlefile.VAE, singlefile.TEXT)):
                        total += math.prod(file.get_slice(key).get_shape())
        except (SafetensorError, OSError) as error:
            raise BadInput(f"{path} is damaged ({error}).", "Copy or download it again.", field="base") from error
    return total


class BaseModel:
    """A base model's frozen modules, in evaluation mode, on one device.

    ref, name: what was asked for and what to call it. unet, vae, text_encoder, tokenizer: diffusers' and
    transformers' own. scheduler_config: as stored with the model. capabilities: see `Capabilities`.
    """

    def __init__(self, found: ModelRef, parts: dict, capabilities: Capabilities, files: list[Path]):
        self.ref, self.name, self.path = found.ref, found.name, found.path
        self.unet, self.vae, self.text_encoder = parts["unet"], parts["vae"], parts["text_encoder"]
        self.tokenizer, self.scheduler_config = parts["tokenizer"], parts["scheduler_config"]
        self.capabilities = capabilities
        self._files = files

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name these weights, the same on every computer and in every folder."""
        return fingerprint(self._files)

    def to(self, device) -> "BaseModel":
        """Move the modules; returns self."""
        for module in (self.unet, self.vae, self.text_encoder):
            module.to(device)
        return self

    def scheduler(self):
        """A new scheduler of the model's own kind."""
        import diffusers

        kind = str(self.scheduler_config.get("_class_name", "DDIMScheduler"))
        scheduler = getattr(diffusers, kind, None) if kind.endswith("Scheduler") else None
        if scheduler is None:
            raise BadInput(f"{self.name} asks for the unknown scheduler {kind}.", "Update diffusers.", field="base")
        return scheduler.from_config(self.scheduler_config)

    def pipeline(self):
        """A `StableDiffusionPipeline` that shares these modules; without a safety checker or progress bar."""
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=self.scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe


def load_base(ref: str, *, data: Path, device="cpu", dtype: str = "float32", config: Path | None = None) -> BaseModel:
    """Load a base model, offline.

    Args:
        ref, data: see `resolve`.
        dtype: "float32", "float16" or "bfloat16", whatever the files hold.
        config: for a single checkpoint, the folder with its configs; None is Stable Diffusion 1.5's.

    Raises:
        MissingModel, BadInput: see `resolve`; BadInput also for a folder that is no pipeline, lacks a part, is of
            another family or holds pickles, naming the file and what to do.
    """
    found = resolve(ref, data)
    guard.prepare()
    if found.kind == "file":
        parts = singlefile.load(found.path, config, dtype)
        configs = modelfolder.configs_of(config or assets.path("sd15-config"))
        files = [found.path]
    else:
        folder = modelfolder.inspect(found.path)
        parts, configs, files = _load_folder(folder, dtype), folder.configs, folder.weights()
    for name in ("unet", "vae", "text_encoder"):
        parts[name].requires_grad_(False).eval().to(device)
    return BaseModel(found, parts, from_configs(configs, found.world), files)


def _load_folder(folder: modelfolder.ModelFolder, dtype: str) -> dict:
    import diffusers
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    classes = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}
    classes["text_encoder"] = transformers.CLIPTextModel
    parts = {"scheduler_config": dict(folder.configs["scheduler"])}
    for name, kind in classes.items():
        options = {"dtype" if name == "text_encoder" else "torch_dtype": getattr(torch, dtype)}
        try:
            parts[name], report = kind.from_pretrained(
                str(folder.path / name),
                variant=folder.variants[name],
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
        except Exception as error:  # safetensors, OSError, ValueError, RuntimeError: damaged or foreign weights
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadInput(
                f"{folder.path / name} cannot be loaded ({reason}).", "Copy or download it again.", field="base"
            ) from error
        if report["missing_keys"]:
            lacking = sorted(report["missing_keys"])
            raise BadInput(
                f"{folder.path / name} lacks {len(lacking)} tensors ({lacking[0]} ...).",
                "Copy or download it again.",
                field="base",
            )
    try:
        parts["tokenizer"] = transformers.CLIPTokenizer.from_pretrained(
            str(folder.path / "tokenizer"), local_files_only=True
        )
    except Exception as error:  # of the tokenizers library, and whatever its Python side meets in a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        told = f"{folder.path / 'tokenizer'} cannot be loaded ({reason})."
        raise BadInput(told, "Copy or download it again.", field="base") from error
    return parts


def save_merged(base: BaseModel, path: Path, *, layout: str = "folder", dtype: str = "float16") -> Path:
    """Write a base model whose UNet has had adapters merged into it.

    Args:
        path: a new folder, or a `.safetensors` file for `layout="file"`; it appears whole or not at all.
        layout: "folder" (diffusers) or "file" (one checkpoint for ComfyUI and AUTOMATIC1111, Stable Diffusion 1.x).
        dtype: of the tensors on disk.

    Raises:
        BadInput: `path` exists, or the model has no single-file layout.
    """
    if path.exists():
        raise BadInput(f"{path} exists already.", "Choose another name; nothing is overwritten.", field="path")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    parts = {"unet": base.unet, "vae": base.vae, "text_encoder": base.text_encoder}
    try:
        if layout == "file":
            singlefile.write(beside, **parts, dtype=dtype)
        else:
            modelfolder.write(
                beside, **parts, tokenizer=base.tokenizer, scheduler_config=base.scheduler_config, dtype=dtype
            )
        beside.rename(path)
    finally:
        catalog.delete(beside)
    return path


@dataclass(frozen=True)
class InstalledModel:
    """A model on this computer, for lists.

    name: what to give as `base` (or to `delora models remove`). base: whether it can be finetuned; scorers cannot.
    problem: None, or why it cannot be used. capabilities: None for scorers and models with a problem.
    """

    name: str
    title: str
    kind: str
    path: Path
    size_bytes: int
    licence: str
    base: bool
    problem: str | None = None
    capabilities: Capabilities | None = None

    @property
    def words(self) -> str:
        """One line for a person."""
        if self.problem:
            return self.problem
        return f"{self.title}, {self.sizes}"

    @property
    def sizes(self) -> str:
        """How large its pictures and its files are."""
        pictures = f"{self.capabilities.size_px} px pictures, " if self.capabilities else ""
        return f"{pictures}{self.size_bytes / 1e6:,.0f} MB."


def installed(data: Path) -> list[InstalledModel]:
    """The embedded model, the downloaded models and the added folders, in that order."""
    models = []
    path = assets.path("embedded", "pipeline")
    models.append(InstalledModel("embedded", "Toy model (built in)", "embedded", path, _size(path), "MIT", True))
    for known in catalog.CATALOG.values():
        path = catalog.home(data, known.name)
        if path.is_dir():
            size = _size(path)
            models.append(InstalledModel(known.name, known.title, "downloaded", path, size, known.licence, known.base))
    for name, target in catalog.added(data).items():
        path = Path(target)
        kind = "file" if path.is_file() else "folder"
        models.append(InstalledModel(name, name, kind, path, _size(path), "not known", True))
    if fault := catalog.added_fault(data):
        path = catalog.added_file(data)
        models.append(InstalledModel(path.name, "Added models", "file", path, 0, "", False, problem=str(fault)))
    return [_examined(model, data) if model.base else model for model in models]


def _examined(model: InstalledModel, data: Path) -> InstalledModel:
    try:
        return replace(model, capabilities=describe(model.name, data))
    except (BadInput, MissingModel) as error:
        return replace(model, problem=str(error))


def fingerprint(files: list[Path], slices: int = 16, slice_bytes: int = 1 << 16) -> str:
    """Hash a model's weights by their headers, sizes and evenly spread slices: any finetuning changes them all.

    Reading 16 slices a file takes milliseconds where 4 GB would take half a minute.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for i in range(slices):
                stream.seek(max(0, (size - slice_bytes) * i // (slices - 1)))
                digest.update(stream.read(slice_bytes))
    return digest.hexdigest()[:16]


def _size(path: Path) -> int:
    """Bytes on disk of a file or of all files below a folder."""
    try:
        return path.stat().st_size if path.is_file() else sum(map(_size, path.iterdir())) if path.is_dir() else 0
    except OSError:  # closed to us, or gone in this moment
        return 0
