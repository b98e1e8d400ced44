"""Where the name of a base model leads on this computer."""

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import assets
from training import jsonfile
from training.base import catalog
from training.errors import BadInput, MissingModel

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
OUT_OF_REACH = "There is no {kind} of that name, and by its path only one in a folder of the app's can be named."
OWNER_ADDS = "The owner can add it with `delora models add PATH`, or start the app with --models-folder FOLDER."
MOST_SAID = 80  # letters of a name that are told again
NEAR = 5  # entries of a folder that are looked at for what a mistyped path may have meant


_confined: dict[Path, tuple[Path, ...]] = {}  # data folder -> what `confine` said of it


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
        MissingModel: it is not on this computer, or may not be named (see `confine`); says how to get it.
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
        size = f"(about {known.size_mb / 1000:.1f} GB)"
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
            f"Get it with `delora models get {known.name}` {size}.",
            field="base",
            on_page=f"Download it at This computer {size}.",
        )
    added = catalog.added(data).get(ref)
    if not added:
        check_reach(Path(ref or "nothing"), data)
    path = local_path(added or ref or "nothing")
    if path.is_dir():
        return ModelRef(ref, ref if added else path.name, "folder", path)
    if path.is_file():
        return ModelRef(ref, path.stem, "file", path)
    if added:
        raise MissingModel(
            f"The model {ref} was added from {added}, and that is not there any more.",
            f"Add it again from where it is now, or forget it with `delora models remove {ref}`.",
            field="base",
            on_page="At This computer it can be removed, and added again from where it is now.",
        )
    if HUB_ID.fullmatch(ref):
        cached = _hub_cache(ref)
        if cached:
            return ModelRef(ref, ref, "hub", cached)
    raise MissingModel(
        f"There is no base model {ref!r}: no such folder or file, and no downloaded model of that name.",
        f"{(meant := _meant(ref, data))}See `delora models list`; a folder you have can be named by its path.",
        field="base",
        on_page=f"{meant}This computer shows the models that are here; a folder you have can be named by its path.",
    )


def confine(data: Path, folders: Iterable[Path]) -> None:
    """From now on have this process name a base model of `data` by its path only below `folders`.

    For an app that others than the owner use: what is said of any other path, there or not, is the same. Models that
    were added or downloaded are not concerned. Raises BadInput for a folder that cannot be one.
    """
    try:
        _confined[Path(data).absolute()] = tuple(Path(folder).expanduser().resolve() for folder in folders)
    except (OSError, RuntimeError, ValueError) as error:  # nobody's home folder, links in a circle, no path at all
        raise BadInput(f"A folder of models cannot be used: {error}", "Write its whole path.", "base") from error


def reach(data: Path) -> tuple[Path, ...] | None:
    """The folders that `confine` said for `data`, None where any path may be named."""
    return _confined.get(Path(data).absolute())


@contextlib.contextmanager
def confined(data: Path, folders: Iterable[Path] | None) -> Iterator[None]:
    """As `confine` while inside, for what a process does for another one that is confined; None: any path."""
    before = _confined.pop(Path(data).absolute(), None)
    try:
        if folders is not None:
            confine(data, folders)
        yield
    finally:
        _confined.pop(Path(data).absolute(), None)
        if before is not None:
            _confined[Path(data).absolute()] = before


def is_name(ref: str, data: Path) -> bool:
    """Whether `ref` is the name of a base model of the app's, here or to be downloaded, and no path or hub id."""
    known = catalog.CATALOG.get(ref)
    return ref == "embedded" or (known is not None and known.base) or ref in catalog.added(data)


def check_reach(path: Path, data: Path, kind: str = "base model", field: str = "base") -> None:
    """Raises MissingModel for a path that may not be named, see `confine`, whether anything is there or not."""
    folders = reach(data)
    if folders is None:
        return
    try:
        found = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # nobody's home folder, links in a circle, no path at all
        found = None
    if found is None or not any(found.is_relative_to(folder) for folder in folders):
        raise MissingModel(OUT_OF_REACH.format(kind=kind), OWNER_ADDS, field=field)


def local_path(given: str | Path) -> Path:
    """The path that a person wrote, absolute, ~ resolved. Raises MissingModel for what cannot be one."""
    try:
        path = Path(given).expanduser().absolute()
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:  # too long, a folder that is a file, no such user, a null byte
        why, said = getattr(error, "strerror", None) or error, str(given)
        said = said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}..."
        raise MissingModel(
            f"The base model {said!r} cannot be looked for: {why}.",
            "See `delora models list`; a folder you have can be named by its path.",
            field="base",
            on_page="This computer shows the models that are here; a folder you have can be named by its path.",
        ) from error
    return path


def folder_at(given: str) -> Path | None:
    """The folder that a person wrote, ~ resolved; None where there is none."""
    try:
        path = Path(given).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user, no path at all
        return None


def _meant(ref: str, data: Path) -> str:
    """Which base model of nearly that name there is, as a question with a space behind it, or ""."""
    path = Path(ref).expanduser()
    if path.name != ref and path.parent.is_dir():
        near = [path.with_name(name) for name in _near(path.name, _entries(path.parent))]
        near = [other for other in near if other.suffix == ".safetensors" or (other / "model_index.json").is_file()]
    else:
        bases = [known for known in catalog.CATALOG.values() if known.base]
        names = {said: known.name for known in bases for said in (known.title, known.repo, known.name)}
        names |= {name: name for name in ("embedded", *catalog.added(data))}
        near = [names[said] for said in _near(ref, names)]
    return f"Did you mean {near[0]}? " if near else ""


def _near(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that look like `name` in small letters, the nearest first."""
    small = {other.lower(): other for other in names}
    return [small[found] for found in difflib.get_close_matches(name.lower(), small, NEAR)]


def _entries(folder: Path) -> list[str]:
    """The names in a folder that may be there and may be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _hub_cache(repo: str, commit: str | None = None) -> Path | None:
    """The snapshot of a repository in the hub's own cache on this computer, if a whole pipeline lies there."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    if not commit:
        main = snapshots.parent / "refs" / "main"
        with contextlib.suppress(BadInput):
            commit = jsonfile.read_text(main, most=200, follow=True).strip()
    path = snapshots / (commit or "none")
    return path if (path / "model_index.json").is_file() else None
