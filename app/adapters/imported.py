"""Adapters that came as LoRA files from elsewhere: data/adapters/<slug>/, a native file and what is known of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from app.adapters.names import slug
from training import atomic, jsonfile, room
from training.base import modelref
from training.errors import BadInput, from_os_error
from training.jsonfile import Count, FileName
from training.runspec import LONGEST_NAME, tidy_name

FILE, RECORD = "adapter.safetensors", "adapter.json"
LONGEST_TRIGGER = 200  # letters that are taken over from a file's header
USUAL_BASE = "sd15"
NO_NAME = "its base model, which is none that is known here by that name"
ELSEWHERE = (
    " ComfyUI and AUTOMATIC1111 use its text encoder; diffusers cannot with transformers 5.24, which asks for a peft "
    "0.22 that is not published."
)


@dataclass(frozen=True)
class ImportedAdapter:
    """One imported adapter, as adapter.json says.

    Attributes:
        slug: its folder's name, and what to give as `--adapter`.
        trigger: the words that call the subject or style in a prompt; "" where none are known.
        base: the base model that it was checked against.
        method: lora, dora or dora-columns. layers: how many are adapted. rank: the largest.
        left_out: what of the file is not used here, in words; "" for nothing.
        source, sha256: name and hash of the file it came from. imported: when, ISO 8601.
    """

    slug: FileName
    name: str
    trigger: str
    base: str
    method: str
    layers: Count
    rank: Count
    left_out: str
    source: str
    sha256: str
    imported: str


def folder(data: Path) -> Path:
    """Where imported adapters lie."""
    return data / "adapters"


def path_of(data: Path, adapter: ImportedAdapter) -> Path:
    """The adapter's native file."""
    return folder(data) / adapter.slug / FILE


@dataclass(frozen=True)
class Unreadable:
    """An imported adapter's folder that cannot be used, and what is wrong with it, naming the file."""

    slug: str
    fault: str


def list_imported(data: Path) -> list[ImportedAdapter]:
    """All imported adapters by name, without those of `list_unreadable`."""
    found = [adapter for adapter, _ in map(_look, _folders(data)) if adapter]
    return sorted(found, key=lambda adapter: adapter.name.lower())


def list_unreadable(data: Path) -> list[Unreadable]:
    """The folders of imported adapters that cannot be used, by name; `remove` deletes them too."""
    return [Unreadable(path.name, fault) for path in _folders(data) for _, fault in [_look(path)] if fault]


def find(data: Path, ref: str) -> ImportedAdapter | None:
    """The imported adapter of that slug or name."""
    wanted = ref.strip().lower()
    return next((a for a in list_imported(data) if wanted in (a.slug, a.name.lower())), None)


def rename(data: Path, ref: str, name: str) -> ImportedAdapter:
    """Call an imported adapter something else; its slug stays, so that commands and pictures still find it.

    Raises BadInput where there is none, for no name or a long one, or one that another adapter has.
    """
    adapter, name = _known(data, ref), tidy_name(name)
    if (other := find(data, name)) and other.slug != adapter.slug:
        raise BadInput(f"There is already an imported adapter {other.name}.", "Choose another name.", field="name")
    adapter = replace(adapter, name=name)
    record = folder(data) / adapter.slug / RECORD
    try:
        atomic.write_text(record, _as_json(adapter))
    except OSError as error:
        raise from_os_error(error, record) from error
    return adapter


def remove(data: Path, ref: str) -> ImportedAdapter | Unreadable:
    """Delete an imported adapter, damaged or not; the file it came from and what was drawn with it stay.

    Raises BadInput where there is none.
    """
    damaged = next((other for other in list_unreadable(data) if other.slug == ref), None)
    adapter = damaged or _known(data, ref)
    try:
        atomic.remove_folder(folder(data) / adapter.slug)
    except OSError as error:
        raise from_os_error(error, folder(data) / adapter.slug) from error
    return adapter


def import_file(
    file: Path, data: Path, *, name: str = "", trigger: str = "", base: str = "", ignore_others: bool = False
) -> ImportedAdapter:
    """Read a LoRA or DoRA file, check it against its base model, and keep it as a native adapter.

    Args:
        file: the file, or the folder that PEFT or diffusers wrote it into.
        name, trigger, base: what is empty is taken from the file's header, then from its name; base is then sd15, also
            where the header says a path, which a file from elsewhere is not to choose.
        ignore_others: leave out what cannot be adapted here (text encoder, embeddings).

    Raises:
        BadInput: the file is no usable LoRA, does not fit the base model, or the name is taken.
        MissingModel: the base model is not on this computer.
    """
    from delora.imports import HoldsOthers, attach_lora, read_lora

    if len(trigger.strip()) > LONGEST_TRIGGER:
        raise BadInput(f"The words that call it have more than {LONGEST_TRIGGER} letters.", "Give fewer.", "trigger")
    try:
        lora = read_lora(file)
    except ValueError as error:
        raise BadInput(str(error), field="file") from error
    head = lora.metadata
    own_name = file.name if file.is_dir() else file.stem
    in_file = head.get("modelspec.title") or head.get("ss_output_name") or own_name
    name = tidy_name(name if name.strip() else (" ".join(in_file.split()) or own_name)[:LONGEST_NAME])
    place = folder(data) / slug(name)
    if place.exists():
        raise BadInput(f"There is already an imported adapter {place.name}.", "Choose another --name.", field="name")
    from training.base import ldm_keys, models

    named = head.get("base", "")
    foreign = not base and bool(named) and not modelref.is_name(named, data)  # a path or hub id is never looked for
    base = base or (named if named and not foreign else USUAL_BASE)
    model = models.load_base(base, data=data)  # only to compare: on the processor, whoever has the graphics card
    try:
        aliases = ldm_keys.aliases(model.unet)
        adapter, left_out = attach_lora(model.unet, lora, ignore_others=ignore_others, aliases=aliases)
    except HoldsOthers as error:
        told = f"{error}{ELSEWHERE if lora.text_encoder else ''}"
        raise BadInput(told, "To use the rest all the same, add --ignore-others.", field="file") from error
    except ValueError as error:
        raise BadInput(str(error), "Name the base model it was made for with --base.", field="base") from error
    with lora.path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    record = ImportedAdapter(
        slug=place.name,
        name=name,
        trigger=trigger.strip() or head.get("modelspec.trigger_phrase", "")[:LONGEST_TRIGGER],
        base=base,
        method=adapter.config.method,
        layers=len(adapter.layers),
        rank=max(layer.A.shape[0] for layer in adapter.layers.values()),
        left_out=", ".join(filter(None, [left_out, NO_NAME if foreign else ""])),
        source=file.name,
        sha256=sha256,
        imported=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    try:
        _write(place, adapter, record, model.fingerprint)
    finally:
        adapter.detach()
    return record


def _write(place: Path, adapter, record: ImportedAdapter, fingerprint: str) -> None:
    import delora

    numbers = sum(tensor.numel() for tensor in adapter.state_dict().values())
    room.check(place, 4 * numbers, "the imported adapter")
    facts = {key: getattr(record, key) for key in ("name", "trigger", "base", "source", "sha256", "left_out")}
    try:
        with atomic.new_folder(place) as new:
            delora.save(adapter, new / FILE, facts | {"base_fingerprint": fingerprint})
            (new / RECORD).write_text(_as_json(record), "utf-8")
    except OSError as error:
        raise from_os_error(error, place) from error


def _as_json(record: ImportedAdapter) -> str:
    return json.dumps(asdict(record), indent=2) + "\n"


def _known(data: Path, ref: str) -> ImportedAdapter:
    """The imported adapter of that slug or name. Raises BadInput where there is none."""
    if (adapter := find(data, ref)) is None:
        raise BadInput(f"There is no imported adapter {ref!r}.", "See `delora import --list`.", field="adapter")
    return adapter


def _folders(data: Path) -> list[Path]:
    try:
        return sorted(path for path in folder(data).iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:  # none yet, or closed to us
        return []


def _look(path: Path) -> tuple[ImportedAdapter | None, str]:
    """What is known of the adapter in a folder, or what is wrong with it."""
    record = path / RECORD
    try:
        values = jsonfile.read(record)
        adapter = jsonfile.check(record, {**values, "slug": path.name}, ImportedAdapter)
    except BadInput as error:
        return None, error.message.replace(f"{path}/", "")
    if not (path / FILE).is_file():
        return None, f"{FILE} is missing."
    return adapter, ""
