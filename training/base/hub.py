"""Named models from the Hugging Face hub at pinned commits: downloaded once into the data folder, then used offline."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from training import jsonfile
from training.base import catalog, guard, modelfolder, modelref, singlefile
from training.base import models as basemodels
from training.base.download import Progress, download
from training.errors import BadInput, RunFailed, from_os_error


def get(name: str, data: Path, progress: Progress | None = None) -> Path:
    """Download a named model; goes on where an earlier try stopped. Returns at once if it is there.

    Every file is checked against the size and, for weights, the SHA-256 that the hub states. The folder appears
    under its name only when it is whole.

    Args:
        name: sd15, dino, clip, controlnet-seg or segmentor.
        data: the data folder.
        progress: called with (bytes done, bytes in all, file); what it raises stops the download and is passed on.

    Raises:
        BadInput: no such name. RunFailed: no connection, a full disk, a file that does not match. MissingModel: the
            hub has no such file any more.
    """
    known = _known(name)
    home, incoming = catalog.home(data, name), catalog.incoming(data, name)
    if home.is_dir():
        return home
    guard.prepare()
    try:
        incoming.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, incoming) from error
    with _alone(incoming, known):
        try:
            return _get(known, incoming, home, progress or (lambda done, total, file: None))
        except OSError as error:  # while the files were put together
            raise from_os_error(error, home) from error


def _get(known: catalog.Known, incoming: Path, home: Path, progress: Progress) -> Path:
    download(known, incoming, progress)
    for source, target in known.pickles.items():
        _convert(incoming / source, incoming / target)
    if known.base:
        _without_safety_checker(incoming / "model_index.json")
    record = {"name": known.name, "repo": known.repo, "commit": known.commit, "licence": known.licence}
    (incoming / "delora.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    incoming.rename(home)
    return home


def remove(name: str, data: Path) -> str:
    """Delete a downloaded model and what is left of a broken download, or forget an added one (its files stay).

    Returns:
        A sentence on what was done.

    Raises:
        BadInput: nothing of that name is there.
    """
    models, listed = catalog.added(data), catalog.added_file(data)
    if name == listed.name and catalog.added_fault(data):
        return f"{name} is put aside as {jsonfile.put_aside(listed)}."
    if name in models:
        path = models.pop(name)
        catalog.set_added(data, models)
        return f"{name} is forgotten; its files stay in {path}."
    home, incoming = catalog.home(data, name), catalog.incoming(data, name)
    if name not in catalog.CATALOG or not (home.exists() or incoming.exists()):
        raise BadInput(f"No model called {name!r} was downloaded or added.", "See `delora models list`.", field="name")
    catalog.delete(home)
    catalog.delete(incoming)
    return f"{catalog.CATALOG[name].title} is deleted from {home}."


def add(path: Path, data: Path, name: str | None = None) -> str:
    """Remember a model folder or checkpoint on this computer under a name; nothing is copied.

    Returns:
        The name it can be used by.

    Raises:
        BadInput: it is no base model this program can use, or the name is taken. MissingModel: it can be no path, or
            none that may be named, see `modelref.confine`.
    """
    modelref.check_reach(path, data)
    path = modelref.local_path(path).resolve()
    name = name or (path.stem if path.is_file() else path.name)
    if not re.fullmatch(r"[\w][\w.-]*", name) or name == "embedded" or name in catalog.CATALOG:
        rename = f"Rename the {'file' if path.is_file() else 'folder'}: letters, digits, dots, - and _."
        raise BadInput(f"{name!r} cannot be a model's name here.", "Give another one with --name.", "name", rename)
    models = catalog.added(data)
    if models.get(name, str(path)) != str(path):
        raise BadInput(
            f"{name!r} is {models[name]} already.",
            "Give another name with --name, or remove that one.",
            "name",
            on_page="Remove that one, or rename the file or folder.",
        )
    if path.is_file():
        singlefile.check(path)
    elif path.is_dir():
        modelfolder.inspect(path)
        basemodels.describe(str(path), data)  # whether the parts' configs make sense together
    else:
        raise BadInput(f"There is no file or folder {path}.", "Check the path.", field="path")
    catalog.set_added(data, models | {name: str(path)})
    return name


def _known(name: str) -> catalog.Known:
    if name not in catalog.CATALOG:
        raise BadInput(
            f"{name!r} is no model that can be downloaded here.",
            f"Choose one of {', '.join(catalog.CATALOG)}, or use a folder you have with `delora models add FOLDER`.",
            field="name",
        )
    return catalog.CATALOG[name]


@contextlib.contextmanager
def _alone(incoming: Path, known: catalog.Known) -> Iterator[None]:
    """Two processes that append to one part would spoil it. The lock goes with its process, however that ends."""
    import filelock

    lock = filelock.FileLock(incoming.with_name(f"{incoming.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunFailed(f"{known.title} is being downloaded already.", "Wait for it, or stop the other one.") from None
    try:
        yield
    finally:
        lock.release()


def _convert(source: Path, target: Path) -> None:
    """Turn a named model's pickled weights into safetensors once, without running code from the pickle.

    Only for the catalogue's own files at their pinned commits; torch.load(weights_only=True) had holes before 2.6,
    and torch 2.10 is what this program asks for.
    """
    import torch

    from delora.files import write_safetensors

    if target.is_file():
        return
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise RunFailed(
            f"torch {torch.__version__} is too old to open {source.name} safely.", "Update torch to 2.10 or newer."
        )
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle.UnpicklingError, RuntimeError: whatever the reader refuses
        raise RunFailed(f"{source.name} is not plain weights, so it was not opened.", "Report this.") from error
    # A copy each: safetensors refuses tensors that share memory.
    tensors = {name: value.clone().contiguous() for name, value in state.items() if isinstance(value, torch.Tensor)}
    write_safetensors(tensors, target, {"format": "pt"})
    source.unlink()


def _without_safety_checker(index: Path) -> None:
    """The checker is not downloaded, and a stock from_pretrained fails over a part that is named and not there."""
    settings = json.loads(index.read_text("utf-8"))
    settings |= {"safety_checker": [None, None], "requires_safety_checker": False}
    index.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
