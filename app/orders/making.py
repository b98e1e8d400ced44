"""What the drawing process does for an ordered export: the file beside its place, checked, packed, and then renamed.

adapter/made.json lists what was made so, apart from export.json, which is of the files that a run writes by itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from app.adapters import records
from app.adapters.exporting import MADE, export
from app.adapters.formats import CHECKED
from app.orders.exports import ExportRequest
from training import atomic
from training.errors import BadInput
from training.runs.rundir import run_by_id

BESIDE = ".making-"


def make(data: Path, request: ExportRequest, tell: Callable[[str], None]) -> None:
    """Write the file that `request` asks for into its run's adapter folder.

    To be called by the owner of the device, so that nobody else writes there. tell: called with what is done next; what
    it raises ends the work, with nothing left behind.

    Raises as `saves.open_base`, `saves.open_save` and `exporting.export`.
    """
    from app.adapters.saves import open_base, open_save
    from training.step.memory import release

    run = run_by_id(data, request.run)
    run.check_places()
    folder = run.path / "adapter"
    folder.mkdir(exist_ok=True)
    for left in folder.glob(f"{BESIDE}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    tell("Loading the model.")
    base = open_base(run.spec.base, data, "no")  # exports are exact only from full precision
    device = base.unet.device
    beside = Path(tempfile.mkdtemp(prefix=BESIDE, suffix=atomic.PART, dir=folder))
    try:
        adapter = open_save(run, base, request.step)
        entry = {"kind": request.kind, "name": request.name, "step": request.step, "trigger": run.spec.subject}
        entry |= _written(run, base, adapter, request, beside, tell)
        tell("Putting the file into its place.")
        for path in beside.iterdir():
            atomic.flush(path)
            path.chmod(0o644)
            path.replace(folder / path.name)
        others = [file for file in read(folder) if not _replaced(file, entry)]
        atomic.write_text(folder / MADE, json.dumps({"files": [*others, entry]}, indent=2) + "\n")
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        del base
        release(device)


def read(folder: Path) -> list[dict]:
    """What made.json in an adapter folder lists, see `app.adapters.records.read_made`; [] of a damaged one."""
    try:
        return records.read_made(folder / MADE)
    except BadInput:
        return []


def _replaced(old: dict, new: dict) -> bool:
    """Whether a file that was listed is no more: made anew, or another one has taken its name."""
    return (old["kind"], old["step"]) == (new["kind"], new["step"]) or old["name"] == new["name"]


def _written(run, base, adapter, request: ExportRequest, beside: Path, tell: Callable[[str], None]) -> dict:
    """Write the export into the folder `beside`; returns its error, and what loading it back measured or None."""
    from evaluation.loadback import load_back

    kind, check = request.kind, None
    packed = request.name.endswith(".zip")
    path = beside / request.name.removesuffix(".zip")
    tell("Writing the file.")
    error = export(run, base, [adapter], request.step, kind, path, dtype="float16" if kind == "merged" else "float32")
    if kind in CHECKED:
        tell("Checking that it loads back.")
        check = load_back(base, adapter, path, prompt=run.spec.prompt("a {subject}"), seed=run.spec.seed).to_dict()
    if packed:
        tell("Packing the folder.")
        _pack(path, beside / request.name)
    return {"error": error, "check": check}


def _pack(folder: Path, path: Path) -> None:
    """Put a folder into a zip file, in which it has its name, and remove it. Weights get no smaller: only stored."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder)
