"""Named models from the Hugging Face hub at pinned commits: downloaded once into the data folder, then used offline."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from training import catalog, guard, modelfolder, singlefile
from training.errors import BadInput, MissingModel, RunFailed

Progress = Callable[[int, int, str], None]
AGAIN = "Run the same command again: it goes on where it stopped."
SPARE_BYTES = 200 << 20
NETWORK = ("httpx", "httpx2", "httpcore", "huggingface_hub")  # packages whose errors mean that a download broke


def get(name: str, data: Path, progress: Progress | None = None) -> Path:
    """Download a named model; goes on where an earlier try stopped. Returns at once if it is there.

    Every file is checked against the size and, for weights, the SHA-256 that the hub states. The folder appears
    under its name only when it is whole.

    Args:
        name: sd15, dino, clip, controlnet-seg or upernet.
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
    incoming.mkdir(parents=True, exist_ok=True)
    with _alone(incoming, known):
        return _get(known, incoming, home, progress or (lambda done, total, file: None))


def _get(known: catalog.Known, incoming: Path, home: Path, progress: Progress) -> Path:
    try:
        _fetch_all(known, incoming, progress)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in NETWORK:
            raise _explained(error, known) from error
        raise
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
    models = catalog.added(data)
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
        BadInput: it is no base model this program can use, or the name is taken.
    """
    path = Path(path).expanduser().resolve()
    name = name or (path.stem if path.is_file() else path.name)
    if not re.fullmatch(r"[\w][\w.-]*", name) or name == "embedded" or name in catalog.CATALOG:
        raise BadInput(f"{name!r} cannot be a model's name here.", "Give another one with --name.", field="name")
    models = catalog.added(data)
    if models.get(name, str(path)) != str(path):
        raise BadInput(
            f"{name!r} is {models[name]} already.", "Give another name with --name, or remove that one.", field="name"
        )
    if path.is_file():
        singlefile.check(path)
    elif path.is_dir():
        modelfolder.inspect(path)
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


def _fetch_all(known: catalog.Known, folder: Path, progress: Progress) -> None:
    """Download what is missing of a model's files into `folder`."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    endpoint = os.environ.get("HF_ENDPOINT") or None
    headers = build_hf_headers(token=False, library_name="delora-studio")
    unconverted = [source for source, target in known.pickles.items() if not (folder / target).is_file()]
    targets = known.files | {source: source for source in unconverted}
    stated = {}  # name on the hub -> its size, hash and address
    for source in targets:
        url = hf_hub_url(known.repo, source, revision=known.commit, endpoint=endpoint)
        stated[source] = get_hf_file_metadata(url, token=False, endpoint=endpoint, timeout=30)
    total = sum(meta.size or 0 for meta in stated.values())
    parts = {source: folder / f"{targets[source]}.{_tag(meta.etag)}.part" for source, meta in stated.items()}
    whole = {source: folder / targets[source] for source in targets}
    have = sum(path.stat().st_size for path in [*parts.values(), *whole.values()] if path.is_file())
    free = shutil.disk_usage(folder).free
    if free < total - have + SPARE_BYTES:
        raise RunFailed(
            f"{known.title} needs {(total - have) / 1e9:.1f} GB more and {folder} has {free / 1e9:.1f} GB free.",
            "Make room, or choose another data folder with --data.",
        )
    before = 0
    for source, meta in stated.items():
        if not whole[source].is_file():
            _fetch(meta, headers, parts[source], before, total, progress)
            _check(parts[source], meta, known, source)
            parts[source].rename(whole[source])
        before += meta.size or 0
        progress(before, total, source)


def _fetch(meta, headers: dict, part: Path, before: int, total: int, progress: Progress) -> None:
    """Download one file into `part`, going on behind what lies there. huggingface_hub's own hf_hub_download starts
    a broken file anew, which hurts at 1.7 GB, so its http_get is used with a part of ours."""
    from huggingface_hub.file_download import http_get

    part.parent.mkdir(parents=True, exist_ok=True)
    done = part.stat().st_size if part.is_file() else 0
    if done > (meta.size or done):
        part.unlink()
        done = 0

    class Bar:
        """What http_get asks of a progress bar."""

        def __init__(self, initial=0, **_):
            self.done = initial

        def update(self, count):
            self.done += count
            progress(before + self.done, total, part.name.rsplit(".", 2)[0])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    with part.open("ab") as file:
        http_get(meta.location, file, resume_size=done, headers=headers, expected_size=meta.size, tqdm_class=Bar)


def _check(part: Path, meta, known: catalog.Known, source: str) -> None:
    """Compare a download with what the hub states; the etag of a large file is its SHA-256."""
    fault = None
    if meta.commit_hash and meta.commit_hash != known.commit:
        fault = f"came from commit {meta.commit_hash[:12]}, not {known.commit[:12]}"
    elif meta.size is not None and part.stat().st_size != meta.size:
        fault = f"has {part.stat().st_size} bytes, not {meta.size}"
    elif re.fullmatch(r"[0-9a-f]{64}", meta.etag or ""):
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != meta.etag:
                fault = "arrived damaged (its SHA-256 is not the one the hub states)"
    if fault:
        part.unlink()
        raise RunFailed(f"{source} of {known.repo} {fault}. It was thrown away.", AGAIN)


def _convert(source: Path, target: Path) -> None:
    """Turn a named model's pickled weights into safetensors once, without running code from the pickle.

    Only for the catalogue's own files at their pinned commits; torch.load(weights_only=True) had holes before 2.6,
    and torch 2.10 is what this program asks for.
    """
    import torch
    from safetensors.torch import save_file

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
    beside = target.with_name(f"{target.name}.part")
    save_file(tensors, beside, metadata={"format": "pt"})
    beside.rename(target)
    source.unlink()


def _without_safety_checker(index: Path) -> None:
    """The checker is not downloaded, and a stock from_pretrained fails over a part that is named and not there."""
    settings = json.loads(index.read_text("utf-8"))
    settings |= {"safety_checker": [None, None], "requires_safety_checker": False}
    index.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def _tag(etag: str | None) -> str:
    """A part belongs to one version of a file."""
    return re.sub(r"\W", "", etag or "none")[:16]


def _explained(error: Exception, known: catalog.Known) -> Exception:
    from huggingface_hub import errors

    if isinstance(error, errors.EntryNotFoundError | errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return MissingModel(
            f"The hub no longer has {known.repo} as this program expects it ({str(error).splitlines()[0]}).",
            "Update this program, or use a folder you have with `delora models add FOLDER`.",
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return RunFailed("HF_HUB_OFFLINE is set, which forbids downloads.", "Unset it for this one command.")
    if getattr(error, "errno", None) == errno.ENOSPC:
        return RunFailed("The disk is full.", f"Make room. {AGAIN}")
    return RunFailed(
        f"{known.title} did not arrive whole: {(str(error) or type(error).__name__).splitlines()[0]}",
        f"Check the connection. {AGAIN}",
    )
