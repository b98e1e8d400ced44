"""The draft of the page New on disk, and its lock.

data/draft/<hash of the user>/
  draft.json    the form, as typed
  pictures/     cleaned copies of what was uploaded
  thumbnails/   the squares that will be used
  pairs/<key>/  pictures and maps as they came, see app.drafts.pairs
  begun/<key>   the run that was made of a draft, see app.drafts.begin
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app import ownfolders
from app.drafts import pairs as draftpairs
from app.drafts import pictures as draftpictures
from app.drafts.pairs import DraftPairs, Seen
from app.drafts.pictures import DraftPicture
from training import atomic, jsonfile
from training.adapterspec import METHODS
from training.base import models
from training.errors import BadInput, DiskFull, StudioError, from_os_error
from training.jsonfile import Count
from training.presets import Effort
from training.subject import intake

KEPT = ("task", "base", "base_px", "effort", "method")  # what a new draft takes over from the one before
KEY = re.compile(r"[0-9a-f]{16}")  # of a draft
PICTURE = re.compile(r"[0-9a-f]{1,32}")  # the id of a picture, which names its files
MADE = re.compile(r"[0-9a-f]{12}(-[0-9]{1,3})?\.png")  # a picture or a thumbnail that was taken in
LEFT_SECONDS = 3600  # after which what a killed process left half done is removed


class Draft(BaseModel):
    """A draft as it was when it was read; the functions of app.drafts.draft change the one on disk and return it anew.

    key: names this draft; one run is made of it. task: what is to be taught, as in RunSpec. settings: overrides of
    RunSpec's fields as typed, by dotted names ("steps", "adapter.rank"); those that the method does not have are kept
    and not used. parent, start_step: as in RunSpec. background: a warning about the pictures' backgrounds, "" where
    there is none. base_px: the edge of the base model's pictures, of the one before while it is not found; 0 before any
    was. pressed: whether Start was pressed and something was wrong: from then on the page tells all that is.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    folder: Path = Field(exclude=True)
    user: str = Field("", exclude=True)
    key: str = Field(default_factory=lambda: secrets.token_hex(8))
    task: Literal["dreambooth", "maps"] = "dreambooth"
    pictures: tuple[DraftPicture, ...] = ()
    pairs: DraftPairs = DraftPairs()
    background: str = ""
    name: str = ""
    class_word: str = ""
    token: str = "sks"
    base: str = "embedded"
    effort: Effort = "balanced"
    method: Literal[METHODS] = "delora"
    settings: dict[str, Any] = {}
    parent: str | None = None
    start_step: Count | None = None
    base_px: Count = 0
    pressed: bool = False

    @property
    def data(self) -> Path:
        """The data folder that it lies in."""
        return self.folder.parents[1]

    @property
    def is_blank(self) -> bool:
        """Whether nothing would be lost if it were replaced."""
        return not (self.pictures or self.pairs.stamp or self.name or self.class_word or self.settings or self.parent)

    @property
    def pairs_folder(self) -> Path:
        """Where the files of its pairs lie."""
        return draftpairs.folder_of(self.folder, self.key)

    @property
    def seen(self) -> Seen:
        """Its pairs, looked at; only what changed since is read again."""
        return draftpairs.look(self.pairs_folder, self.pairs, str(self.settings.get("held_out", "")))

    @property
    def usable(self) -> list[DraftPicture]:
        """The pictures that can be trained on."""
        return [p for p in self.pictures if p.usable and jsonfile.is_regular(self.picture_file(p))]

    def picture_file(self, picture: DraftPicture) -> Path:
        """Where the cleaned copy of one of its pictures lies."""
        return self.folder / "pictures" / picture.file

    def changed(self, **fields: Any) -> Draft:
        """The same draft with other values, checked; nothing is written."""
        return Draft.model_validate({**dict(self), **fields})

    def with_pairs(self, **fields: Any) -> Draft:
        """The same draft with other words about its pairs, checked; nothing is written."""
        return self.changed(pairs=self.pairs.changed(**fields))


def folder_of(data: Path, user: str = "") -> Path:
    """Where the draft of a user lies."""
    return Path(data).absolute() / "draft" / hashlib.sha256(user.encode()).hexdigest()[:16]


def load(data: Path, user: str = "") -> Draft:
    """The draft of a user ("" without a login), or a new one. Of a damaged one the pictures come back.

    To look is possible on a full disk too: a new draft is then on no disk yet.
    """
    folder = folder_of(data, user)
    try:
        with _locked(folder):
            return _read(folder, user)
    except DiskFull:
        return Draft(folder=folder, user=user)


@contextlib.contextmanager
def changing(draft: Draft) -> Iterator[Draft]:
    """Hold a user's draft, in this process and all others, while inside; what comes is the one on disk now."""
    with _locked(draft.folder):
        yield _read(draft.folder, draft.user)


def write(draft: Draft) -> Draft:
    """Put a draft on disk, under the lock, and remove the pictures that it does not name. Returns it."""
    try:
        atomic.write_text(draft.folder / "draft.json", draft.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise from_os_error(error, draft.folder / "draft.json") from error
    ids = {picture.id for picture in draft.pictures}
    for path in [*(draft.folder / "pictures").iterdir(), *(draft.folder / "thumbnails").iterdir()]:
        if MADE.fullmatch(path.name) and path.stem.partition("-")[0] not in ids and not path.is_dir():
            path.unlink(missing_ok=True)
    for path in (draft.folder / "pairs").iterdir():
        if KEY.fullmatch(path.name) and path.name != draft.key and ownfolders.is_own(path):
            shutil.rmtree(path, ignore_errors=True)
    for path in draft.folder.glob(f".*{atomic.PART}"):
        if path.is_dir() and time.time() - path.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    return draft


def successor(draft: Draft, **fields: Any) -> Draft:
    """A new draft after this one, with the same base model, effort and method unless told otherwise."""
    return Draft(**{"folder": draft.folder, "user": draft.user, **{key: getattr(draft, key) for key in KEPT}, **fields})


def judged(draft: Draft) -> Draft:
    """The draft with new verdicts on its pictures, which a base model that is not found does not change."""
    with contextlib.suppress(StudioError):
        draft = draft.changed(base_px=models.describe(draft.base, draft.data).size_px)
    typed = str(draft.settings.get("resolution", "")).strip()
    size_px = int(typed) if typed.isdecimal() and 8 <= int(typed) <= 2048 else draft.base_px
    return draft.changed(pictures=draftpictures.judged(draft.pictures, draft.folder / "pictures", size_px))


def looked_over(draft: Draft) -> Draft:
    """The draft with new verdicts and a new look at the backgrounds, after pictures came or went."""
    middles = [draft.folder / "thumbnails" / p.changed(crop=0.5).thumbnail for p in draft.pictures]
    return judged(draft).changed(background=intake.background_warning(middles) or "")


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for copies until they are named in a draft; removed at the end."""
    made = None
    try:
        made = Path(tempfile.mkdtemp(prefix=".", suffix=atomic.PART, dir=folder))
        yield made
    except OSError as error:
        raise from_os_error(error, folder) from error
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        if os.path.lexists(folder.parent) and not folder.parent.is_dir():  # it keeps every draft from being made
            jsonfile.put_aside(folder.parent)
        for part in (folder, folder / "pictures", folder / "thumbnails", folder / "pairs"):
            ownfolders.clear_the_way(part)
            part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, folder) from error
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(atomic.locked(folder / ".lock"))  # what is no file there is put aside
        except OSError as error:
            raise from_os_error(error, folder) from error
        yield


def _read(folder: Path, user: str) -> Draft:
    path = folder / "draft.json"
    if not os.path.lexists(path):
        return write(Draft(folder=folder, user=user))
    try:
        values = jsonfile.read(path)
        return jsonfile.check(path, {**values, "folder": folder, "user": user}, Draft)
    except BadInput:  # no JSON, or not of this version
        jsonfile.put_aside(path)
    kept = {}
    for path in sorted(
        path for path in (folder / "pairs").iterdir() if KEY.fullmatch(path.name) and ownfolders.is_own(path)
    ):
        kept = {"key": path.name, "task": "maps", "pairs": DraftPairs(stamp=secrets.token_hex(8))}
    there = sorted(path for path in (folder / "pictures").glob("*.png") if PICTURE.fullmatch(path.stem))
    found = tuple(DraftPicture(id=path.stem, name=f"picture {i + 1}") for i, path in enumerate(there))
    return write(looked_over(Draft(folder=folder, user=user, pictures=found[: intake.MOST_PICTURES], **kept)))
