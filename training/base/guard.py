"""Runs before the first import of diffusers or transformers in any process.

A torchvision built for another torch raises when it is imported, and takes diffusers, transformers and
controlnet_aux down with it. Nothing here needs torchvision, so a broken one is hidden: `sys.modules["torchvision"]
= None` makes `importlib.util.find_spec` answer None, which is what those libraries ask.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import threading

# Read by the libraries when they are imported, so they must be set before.
ENVIRONMENT = {
    "DIFFUSERS_VERBOSITY": "error",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # no thread that asks a conversion service on the hub
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # public models only: a stored login never leaves this computer
    "TOKENIZERS_PARALLELISM": "false",  # tokenizers warn and fall back when a process forks after their first use
    "TRANSFORMERS_VERBOSITY": "error",
}

_lock = threading.Lock()
_notes: list[str] | None = None


def prepare() -> list[str]:
    """Set the libraries' environment and hide a torchvision that cannot be imported. Safe to call again.

    Returns:
        Plain sentences on what was found and done, for `delora doctor`; empty when all is well.
    """
    global _notes
    with _lock:
        if _notes is None:
            for name, value in ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            fault = torchvision_fault()
            if fault:
                _hide("torchvision")
            _notes = [f"The one installed is left aside, since nothing here needs it. {fault}"] if fault else []
        return list(_notes)


def torchvision_fault() -> str | None:
    """What keeps the installed torchvision from being imported, in a sentence; None if it works or is absent.

    A wrong version is told from the packages' metadata. A right version can still be a build for another torch
    (a CUDA torchvision beside a CPU torch), which only importing it shows; diffusers would import it anyway.
    """
    if "torchvision" in sys.modules:
        return None if sys.modules["torchvision"] else "It was hidden before."
    if importlib.util.find_spec("torchvision") is None:
        return None
    mismatch = _torch_mismatch()
    if mismatch:
        return mismatch
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # RuntimeError, OSError, ImportError ...: whatever its start-up code raises
        reason = str(error).strip().splitlines()
        return f"It cannot be imported ({reason[0] if reason else type(error).__name__})."
    return None


def _hide(package: str) -> None:
    """Make the package look absent, with what a failed import left behind: half-made submodules would be found."""
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]
    sys.modules[package] = None


def _torch_mismatch() -> str | None:
    from packaging.requirements import Requirement

    try:
        installed = importlib.metadata.version("torch")
        requirements = [Requirement(line) for line in importlib.metadata.requires("torchvision") or []]
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    wanted = [r.specifier for r in requirements if r.name == "torch" and not r.marker]
    if all(specifier.contains(installed, prereleases=True) for specifier in wanted):
        return None
    return f"It was built for torch {', '.join(map(str, wanted))}, and torch {installed} is installed."
