"""A LoRA file that a person gave to the page Generate: the order for its import, which the drawing process does.

It is `delora import` (`app.adapters.imported.import_file`) in another process than the server's, with words for a page.
The file waits in imports/<id>/ under a name of its own and is removed when it has been read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.adapters import imported
from app.adapters.imported import LONGEST_TRIGGER, ImportedAdapter
from app.adapters.names import slug
from app.orders.order import Order
from training import jsonfile, room
from training.base import modelref
from training.errors import BadInput
from training.runspec import LONGEST_NAME
from training.specwords import explain

LARGEST_FILE_MB = 400  # the largest LoRA files of Stable Diffusion 1.x, with all its convolutions, have 300
PEFT_SETTINGS = "adapter_config.json"
ONE_FILE = "Give one .safetensors file, and the adapter_config.json beside it if PEFT made it."
LEFT_OUT = "To use the rest all the same, tick “Leave out what cannot be used here”."
REMEDIES = {"name": "Give it another name.", "base": "Choose the base model it was made for."}


class ImportRequest(BaseModel):
    """What is to be imported, see `app.adapters.imported.import_file`. file: the given file's own name. Frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(max_length=300)
    name: str = Field("", max_length=LONGEST_NAME, description="What to call it.")
    trigger: str = Field("", max_length=LONGEST_TRIGGER, description="Words that call it in a prompt.")
    base: str = Field("", max_length=1000, description="Base model it was made for.")
    ignore_others: bool = False


class Import(Order):
    """One ordered import; see `app.orders.order.Order`."""

    KIND = "import"
    KEEP = 20
    UNDONE = "the file was imported"
    AGAIN = "Import it again."
    SMALLER = "Close other programs, then import it again."

    def request(self) -> ImportRequest:
        """What was asked for. Raises BadInput where request.json is missing or damaged."""
        return jsonfile.load(self.path / "request.json", ImportRequest, self.AGAIN)


def create(data: Path, files: Sequence[Path], **settings) -> Import:
    """The order to import an uploaded file; one just like it that has not ended is returned as it is.

    Args:
        files: a .safetensors file, and PEFT's settings where it is PEFT's. They are copied.
        settings: name, trigger, base, ignore_others.

    Raises BadInput: other files, one that is too large, or settings that are too long. MissingModel: the base model is
    not here or may not be named. DiskFull: there is no room.
    """
    weights = [file for file in files if file.suffix.lower() == ".safetensors"]
    others = [file for file in files if file not in weights]
    if len(weights) != 1 or [file.name for file in others] not in ([], [PEFT_SETTINGS]):
        raise BadInput("These files cannot be imported together.", ONE_FILE, "file")
    for file in files:
        if (size := file.stat().st_size) > LARGEST_FILE_MB * 1e6:
            limit = f"LoRA files up to {LARGEST_FILE_MB} MB are read."
            raise BadInput(f"{file.name} is {size / 1e6:.0f} MB; {limit}", "Is it a whole model?", "file")
    try:
        request = ImportRequest(file=weights[0].name, **settings)
    except ValidationError as error:
        raise explain(error, ImportRequest) from error
    if request.base:
        modelref.resolve(request.base, data)
    room.check(data, 2 * sum(file.stat().st_size for file in files), "this import")  # the copy, and what it becomes
    with Import.alone(data):
        for order in Import.all(data):
            if order.is_open and not order.fault() and order.request() == request:
                return order
        return Import.make(data, request, files={_name(request): weights[0], **{file.name: file for file in others}})


def work(data: Path, order: Import) -> ImportedAdapter:
    """Import the file of an order; it is removed, however this ends. Raises as `imported.import_file`, for a page."""
    from delora.imports import HoldsOthers

    request = order.request()
    file = order.path / _name(request)
    settings = request.model_dump(include={"name", "trigger", "base", "ignore_others"})
    try:
        return imported.import_file(file, data, **settings)
    except BadInput as error:
        remedy = LEFT_OUT if isinstance(error.__cause__, HoldsOthers) else REMEDIES.get(error.field, error.remedy)
        raise BadInput(error.message.replace(str(file), request.file), remedy, error.field) from error
    finally:
        for given in (file, order.path / PEFT_SETTINGS):
            given.unlink(missing_ok=True)


def _name(request: ImportRequest) -> str:
    """The file's name in the order's folder: what was given never becomes a path."""
    return f"{slug(Path(request.file).stem)}.safetensors"
