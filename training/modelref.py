"""Where the name of a base model leads on this computer."""

import re
from dataclasses import dataclass
from pathlib import Path

import assets
from training import catalog
from training.errors import BadInput, MissingModel

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ModelRef:
    """Where a base model lies.

    ref: what was asked for. name: what to call it. kind: "embedded", "downloaded", "folder", "file" or "hub".
    """

    ref: str
    name: str
    kind: str
    path: Path

    @property
    def world(self) -> Path | None:
        """The embedded model's word lists."""
        return self.path.parent / "world.json" if self.kind == "embedded" else None


def resolve(ref: str, data: Path) -> ModelRef:
    """Find the base model that `ref` names. Checks that it is there, not yet what it holds.

    Args:
        ref: "embedded", a downloaded or added model's name ("sd15"), a folder, a `.safetensors` checkpoint, or the
            hub id of a model that is already on this computer.
        data: the data folder.

    Raises:
        MissingModel: it is not on this computer; says how to get it.
        BadInput: it is there and is not a base model.
    """
    ref = str(ref).strip()
    if ref == "embedded":
        path = assets.path("embedded", "pipeline")
        if not (path / "model_index.json").is_file():
            raise MissingModel(
                f"The built-in model is not in this installation ({path} is missing).",
                "Install the program again, or choose another base model.",
                field="base",
            )
        return ModelRef(ref, "Toy model (built in)", "embedded", path)
    known = catalog.find(ref)
    if known:
        if not known.base:
            raise BadInput(f"{ref} ({known.title}) is not a base model.", "Choose embedded or sd15.", field="base")
        path = catalog.home(data, known.name)
        if path.is_dir():
            return ModelRef(ref, known.title, "downloaded", path)
        cached = _hub_cache(known.repo, known.commit)
        if cached:
            return ModelRef(ref, known.title, "hub", cached)
        raise MissingModel(
            f"{known.title} is not on this computer yet.",
            f"Get it with `delora models get {known.name}` (about {known.size_mb / 1000:.1f} GB).",
            field="base",
        )
    added = catalog.added(data).get(ref)
    path = Path(added or ref or "nothing").expanduser().absolute()
    if path.is_dir():
        return ModelRef(ref, ref if added else path.name, "folder", path)
    if path.is_file():
        return ModelRef(ref, path.stem, "file", path)
    if added:
        raise MissingModel(
            f"The model {ref} was added from {added}, and that is not there any more.",
            f"Add it again from where it is now, or forget it with `delora models remove {ref}`.",
            field="base",
        )
    if HUB_ID.fullmatch(ref):
        cached = _hub_cache(ref)
        if cached:
            return ModelRef(ref, ref, "hub", cached)
    raise MissingModel(
        f"There is no base model {ref!r}: no such folder or file, and no downloaded model of that name.",
        "See `delora models list`; a folder you have can be named by its path.",
        field="base",
    )


def _hub_cache(repo: str, commit: str | None = None) -> Path | None:
    """The snapshot of a repository in the hub's own cache on this computer, if a whole pipeline lies there."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    if not commit:
        main = snapshots.parent / "refs" / "main"
        commit = main.read_text("utf-8").strip() if main.is_file() else None
    path = snapshots / (commit or "none")
    return path if (path / "model_index.json").is_file() else None
