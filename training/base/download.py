"""One model's files from the hub: progress, going on after a break, and a check of every file."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from training import room
from training.base import catalog
from training.errors import FULL, DiskFull, MissingModel, RunFailed

Progress = Callable[[int, int, str], None]
AGAIN = "Run the same command again: it goes on where it stopped."
SPARE_BYTES = 200 << 20
NETWORK = ("httpx", "httpx2", "httpcore", "huggingface_hub")  # packages whose errors mean that a download broke


def download(known: catalog.Known, folder: Path, progress: Progress) -> None:
    """Download what is missing of a model's files into `folder`.

    Raises:
        RunFailed: no connection, a full disk (DiskFull), a file that does not match. MissingModel: the hub has it no
            more.
    """
    try:
        _fetch_all(known, folder, progress)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in NETWORK:
            raise _explained(error, known) from error
        raise


def _fetch_all(known: catalog.Known, folder: Path, progress: Progress) -> None:
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
    remedy = "Make room, or choose another data folder with --data."
    room.check(folder, total - have + SPARE_BYTES, known.title, remedy)
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
    if getattr(error, "errno", None) in FULL:
        return DiskFull("The disk is full.", f"Make room. {AGAIN}")
    return RunFailed(
        f"{known.title} did not arrive whole: {(str(error) or type(error).__name__).splitlines()[0]}",
        f"Check the connection. {AGAIN}",
    )
