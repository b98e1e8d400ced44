"""From a save of a run to files that other programs load, each with the facts of the run in its header."""

import json
from pathlib import Path

from app.adapters import records
from app.adapters.facts import metadata
from app.adapters.formats import CHECKED, FORMATS, formats_of_a_run
from app.adapters.names import slug
from training import jsonfile, room
from training.atomic import write_bytes, write_text
from training.errors import BadInput
from training.runs.run import Run

RECORD = "export.json"
MADE = "made.json"  # what `app.orders.making` wrote on demand, see there
SD_VERSIONS = {768: "SD1", 1024: "SD2"}  # by the width of the text: AUTOMATIC1111's names


def file_name(run: Run, kind: str, mark: str = "") -> str:
    """The export's name in the run's adapter folder. The kohya file, which most people want, has the plain name.

    mark: what tells it from the run's own exports, such as "-rank-4".
    """
    name = slug(run.spec.name) + mark
    return {
        "native": f"{name}-delora-studio.safetensors",
        "kohya": f"{name}.safetensors",
        "comfyui": f"{name}-comfyui.safetensors",
        "diffusers": f"{name}-diffusers.safetensors",
        "peft": f"{name}-peft",
        "merged": f"{name}-merged",
    }[kind]


def export(
    run: Run,
    base,
    adapters: list,
    step: int,
    kind: str,
    path: Path,
    *,
    dtype: str = "float32",
    compact: int | None = None,
    facts: dict[str, str] | None = None,
) -> float:
    """Write one export of the attached `adapters`. `merged` folds them into `base` and ends them.

    The first is the run's; more of them, each at its strength, become one file with it (kohya, comfyui, diffusers and
    merged). Beside a kohya file lies the small one that AUTOMATIC1111 reads for the words to use.

    Returns:
        The relative error ||dW - file's dW|| / ||dW||; 0 where the file holds the adapter itself.

    Raises:
        BadInput: the method cannot be written in this format, or a merged model's path exists. DiskFull: there is no
            room for it.
    """
    if kind in ("native", "peft") and (len(adapters) > 1 or adapters[0].strength != 1):
        remedy = "Choose kohya, comfyui, diffusers or merged."
        raise BadInput(f"The format {kind} holds one adapter, at strength 1.", remedy, field="format")
    path.parent.mkdir(parents=True, exist_ok=True)
    room.check(path.parent, _needed_bytes(base, adapters, kind, dtype), f"the {kind} file")
    facts = {**metadata(run, base, step), **(facts or {})}
    try:
        error = _write(base, adapters, kind, path, dtype, compact, facts)
    except ValueError as error:
        raise BadInput(str(error), field="format") from error
    if kind == "kohya":
        _write_side_file(path, run, base)
    return error


def _needed_bytes(base, adapters: list, kind: str, dtype: str) -> float:
    """About what an export takes: the whole model, whole differences, or the adapters' own numbers."""
    if kind == "merged":
        parts = (base.unet, base.vae, base.text_encoder)
        numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
    elif kind == "comfyui" and any(adapter.config.method in ("oft", "full") for adapter in adapters):
        numbers = sum(linear.weight.numel() for linear in adapters[0].linears.values())
    else:
        numbers = sum(tensor.numel() for adapter in adapters for tensor in adapter.state_dict().values())
    return numbers * (2 if dtype == "float16" else 4)


def _write(base, adapters: list, kind: str, path: Path, dtype: str, compact: int | None, facts: dict) -> float:
    import torch

    import delora
    from delora import export as exporters
    from delora.export_comfyui import to_comfyui

    if kind == "native":
        delora.save(adapters[0], path, facts)
    elif kind in ("kohya", "diffusers"):
        write = exporters.to_kohya if kind == "kohya" else exporters.to_diffusers
        return write(adapters, path, dtype=getattr(torch, dtype), metadata=facts, compact=compact).error
    elif kind == "comfyui":
        return to_comfyui(adapters, path, dtype=getattr(torch, dtype), metadata=facts).error
    elif kind == "peft":
        exporters.to_peft(adapters[0], path)
    elif kind == "merged":
        from training.base import models

        delora.merge(adapters)
        models.save_merged(base, path, dtype=dtype, layout="file" if path.suffix == ".safetensors" else "folder")
    else:
        raise BadInput(f"There is no export format '{kind}'.", f"Choose one of {', '.join(FORMATS)}.", field="format")
    return 0.0


def _write_side_file(path: Path, run: Run, base) -> None:
    """The file that AUTOMATIC1111 reads beside a LoRA of the same name; it cannot use those of the toy model."""
    beside = path.with_suffix(".json")
    if base.capabilities.embedded or beside.name in (RECORD, MADE):
        return
    known = {
        "description": f"{run.spec.name}, made with DeLoRA Studio ({run.spec.adapter.method}).",
        "sd version": SD_VERSIONS.get(base.unet.config.cross_attention_dim, "Unknown"),
        "activation text": run.spec.subject,
        "preferred weight": 1.0,
        "notes": f"Made for {base.name}.",
    }
    write_text(beside, json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def export_run(run: Run, base, data: Path) -> dict:
    """Write the files that every finished run has, of its recommended save (or its last), and check them.

    Nothing is done where they are there already. What was written and what the checks measured is kept in
    adapter/export.json and returned.
    """
    from app.adapters.saves import best_step, open_base, open_save
    from evaluation.loadback import load_back

    run.check_places()
    step, folder = best_step(run), run.path / "adapter"
    record = readable_record(run)
    if record and record["step"] == step and all((folder / file["name"]).exists() for file in record["files"]):
        return record
    if str(base.unet.dtype) != "torch.float32":
        base = open_base(run.spec.base, data, "no")  # half precision would measure its own rounding
    adapter = open_save(run, base, step)
    files = []
    try:
        for kind in formats_of_a_run(run.spec.adapter.method):
            path = folder / file_name(run, kind)
            error = export(run, base, [adapter], step, kind, path)
            check = None
            if kind in CHECKED:
                check = load_back(base, adapter, path, prompt=run.spec.prompt("a {subject}"), seed=run.spec.seed)
            files.append({"kind": kind, "name": path.name, "error": error, "check": check and check.to_dict()})
    finally:
        adapter.detach()
    _copy_trained(run, step, folder / f"{slug(run.spec.name)}-trained-beside.safetensors")
    record = {"step": step, "trigger": run.spec.subject, "files": files}
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _copy_trained(run: Run, step: int, path: Path) -> None:
    """What learned together with the adapter, beside the files that hold the adapter alone."""
    from training.runs import checkpoint

    source = run.checkpoint(step) / checkpoint.TRAINED
    if source.is_file():
        write_bytes(path, source.read_bytes())


def read_record(run: Run) -> dict | None:
    """What `export_run` wrote about the run's exports, None where it has not. Raises BadInput where it is damaged."""
    return records.read_exports(run.path / "adapter" / RECORD)


def readable_record(run: Run) -> dict | None:
    """The same, None also where it is damaged: for those who can do without."""
    try:
        return read_record(run)
    except BadInput:
        return None


def finished_files(run: Run) -> list[Path]:
    """The exported files that can be downloaded; folders and unfinished ones are not among them."""
    files = jsonfile.files(run.path, "adapter", "[!.]*")
    return [path for path in files if path.name not in (RECORD, MADE)]
