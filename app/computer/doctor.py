"""What this computer has for the job, and what to do about what is missing."""

import importlib.metadata
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

FREE_MB_WANTED = 1024
MODELS, DOWNLOADS = "Models", "Downloads"  # topics: those that are here, and how to get more in a terminal
SHOWN = ("torch", "diffusers", "transformers", "accelerate", "peft", "gradio")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        level: `good`, `note` (works, but worth knowing) or `bad` (the main job cannot run).
        remedy: what to do, empty where nothing is to be done.
    """

    topic: str
    level: str
    words: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """Ready for JSON."""
        return asdict(self)


def examine(data: Path) -> list[Finding]:
    """Look at Python, packages, torchvision, device, memory, models, orders that are damaged and the data folder.

    Where a package is missing, what needs it is not looked at.
    """
    findings = [Finding("Python", "good", f"Python {'.'.join(map(str, sys.version_info[:3]))}."), *_packages()]
    if not any(f.level == "bad" for f in findings):
        findings += [_torchvision(), _device(), _memory(), *_models(data)]
    return [*findings, *_orders(data), _folder(data)]


def _packages() -> list[Finding]:
    """Every declared dependency against its floor, as this installation's own metadata states them."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("delora-studio") or []
    except importlib.metadata.PackageNotFoundError:
        lines = list(SHOWN)
    wanted = [need for need in map(Requirement, lines) if not need.marker or need.marker.evaluate({"extra": ""})]
    versions, missing, old = {}, [], []
    for need in wanted:
        try:
            versions[need.name] = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(need)
            continue
        if not need.specifier.contains(versions[need.name], prereleases=True):
            old.append(need)
    words = ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
    findings = [Finding("Packages", "good", f"{words}.")] if words else []
    if missing:
        names = ", ".join(need.name for need in missing)
        findings.append(Finding("Packages", "bad", f"Missing: {names}.", _pip(missing)))
    if old:
        names = ", ".join(f"{need.name} {versions[need.name]} (needs {need.specifier})" for need in old)
        findings.append(Finding("Packages", "note", f"Older than tested: {names}.", _pip(old)))
    return findings


def _pip(needs: list) -> str:
    return f"Run `pip install {' '.join(repr(str(need)) for need in needs)}`."


def _torchvision() -> Finding:
    from training.base import guard

    notes = guard.prepare()
    if notes:
        return Finding("torchvision", "good", " ".join(notes))
    try:
        version = importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return Finding("torchvision", "good", "Not installed, and not needed.")
    return Finding("torchvision", "good", f"torchvision {version} matches torch.")


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        words = f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB graphics memory free."
        if free < 6e9:
            return Finding("Device", "note", words, "Stable Diffusion 1.5 wants about 8 GB; close other programs.")
        return Finding("Device", "good", words)
    if torch.backends.mps.is_available():
        return Finding("Device", "note", "Apple GPU (mps); training here is tested on CPU and CUDA.")
    if shutil.which("nvidia-smi") and not torch.version.cuda:
        return Finding(
            "Device",
            "note",
            f"There seems to be an NVIDIA GPU, but torch {torch.__version__} is a build without CUDA.",
            "Install the CUDA build that pytorch.org names for your system.",
        )
    return Finding(
        "Device",
        "note",
        f"No GPU: {os.cpu_count()} CPU cores, {torch.get_num_threads()} threads. "
        "The built-in model trains in minutes here.",
        "Stable Diffusion 1.5 wants a GPU with 8 GB; on a CPU it takes many hours.",
    )


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    words = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free."
    if memory.available < 2e9:
        return Finding("Memory", "note", words, "Close other programs: the built-in model needs about 2 GB.")
    return Finding("Memory", "good", words)


def _models(data: Path) -> list[Finding]:
    from training.base import catalog, models

    installed = models.installed(data)
    good = [model for model in installed if not model.problem]
    findings = [Finding(MODELS, "note", f"{model.name}: {model.words}") for model in installed if model.problem]
    if good:
        findings.append(Finding(MODELS, "good", " ".join(f"{model.name}: {model.words}" for model in good)))
    if not any(model.base for model in good):
        findings.append(Finding(MODELS, "bad", "No base model that can be used.", "Install the program again."))
    useful = [known for known in catalog.CATALOG.values() if known.purpose]
    absent = [known for known in useful if not catalog.home(data, known.name).is_dir()]
    if absent:
        words = ", ".join(f"{known.name} ({known.title}, {known.size_mb} MB)" for known in absent)
        findings.append(Finding(DOWNLOADS, "good", f"There are {words}.", "Get one with `delora models get NAME`."))
    return findings


def _orders(data: Path) -> list[Finding]:
    """The orders that cannot be read: of an export's or an import's no page may know whose it is."""
    from app.orders import book

    wrong = [(order, fault) for order in book.all_orders(data) if (fault := order.fault())]
    remedy = "Nothing waits for it: its folder may be deleted."
    return [Finding("Orders", "note", f"{order.path}: {fault}", remedy) for order, fault in wrong]


def _folder(data: Path) -> Finding:
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    free_mb = shutil.disk_usage(existing).free // 2**20
    words = f"{data}, {free_mb / 1024:.1f} GB free on its disk."
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Finding("Data folder", "bad", f"{words} It cannot be written.", "Choose another with --data.")
    if free_mb < FREE_MB_WANTED:
        return Finding("Data folder", "note", words, "Free some space: a run takes about 200 MB.")
    return Finding("Data folder", "good", words)
