"""From a save of a run to files that other programs load, each with the facts of the run in its header."""

import base64
import io
import json
import re
import unicodedata
from pathlib import Path

from app.adapters import records
from training.atomic import write_text
from training.errors import BadInput
from training.runs.run import Run

USES = {
    "native": "for this program: `delora generate --adapter FILE`",
    "kohya": "for ComfyUI (models/loras), AUTOMATIC1111 (models/Lora) and diffusers",
    "comfyui": "for ComfyUI alone (models/loras), exact whatever the method",
    "diffusers": "for diffusers' load_lora_weights",
    "peft": "a folder for PEFT",
    "merged": "a whole model with the subject folded in, a folder or with --out NAME.safetensors one file",
}
FORMATS = tuple(USES)
# What a method's adapter can be written as, exactly; where kohya or diffusers is missing, --compact gets near.
LOW_RANK = ("native", "kohya", "comfyui", "diffusers", "peft", "merged")
DORA = ("native", "comfyui", "diffusers", "peft", "merged")
EXACT = {
    "dora": DORA,
    "dora-fixed": DORA,
    "oft": ("native", "comfyui", "peft", "merged"),
    "full": ("native", "comfyui", "merged"),
}
DORA_IN_COMFYUI = (
    "A DoRA file for current versions of ComfyUI, exact at strength 1. AUTOMATIC1111 and old versions read it "
    "differently: take the merged model there."
)
ABOUT = {  # what a person should know of a format for a method, beside USES
    ("dora", "comfyui"): DORA_IN_COMFYUI,
    ("dora-fixed", "comfyui"): DORA_IN_COMFYUI,
    ("oft", "comfyui"): "It holds whole weight differences, so it is large.",
    ("full", "comfyui"): "It holds a difference for every weight of the model, so it is as large as one.",
}
WITH_EVERY_RUN = ("native", "kohya", "diffusers")  # what a run writes at its end, as far as its method allows
CHECKED = ("kohya", "diffusers")  # what stock diffusers loads
THUMBNAIL_PX = 256
RECORD = "export.json"
MADE = "made.json"  # what `app.orders.making` wrote on demand, see there
SD_VERSIONS = {768: "SD1", 1024: "SD2"}  # by the width of the text: AUTOMATIC1111's names


def exact_formats(method: str) -> tuple[str, ...]:
    """The formats that hold an adapter of `method` exactly."""
    return EXACT.get(method, LOW_RANK)


def formats_of_a_run(method: str) -> tuple[str, ...]:
    """What a run of `method` writes at its end. The second is the one for other programs, where there is one."""
    found = [kind for kind in WITH_EVERY_RUN if kind in exact_formats(method)]
    if "kohya" not in found and method != "full":  # whose file would be as large as the model
        found.insert(1, "comfyui")
    return tuple(found)


def main_file(files: list[dict]) -> dict:
    """Of a run's exported files, as its record lists them, the one that most people want."""
    order = ("kohya", "comfyui", "diffusers", "native")
    return min(files, key=lambda file: order.index(file["kind"]) if file["kind"] in order else len(order))


def slug(name: str) -> str:
    """A name as a file name: lower-case letters, digits and dashes."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "adapter"


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
        BadInput: the method cannot be written in this format, or a merged model's path exists.
    """
    if kind in ("native", "peft") and (len(adapters) > 1 or adapters[0].strength != 1):
        remedy = "Choose kohya, comfyui, diffusers or merged."
        raise BadInput(f"The format {kind} holds one adapter, at strength 1.", remedy, field="format")
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {**metadata(run, base, step), **(facts or {})}
    try:
        error = _write(base, adapters, kind, path, dtype, compact, facts)
    except ValueError as error:
        raise BadInput(str(error), field="format") from error
    if kind == "kohya":
        _write_side_file(path, run, base)
    return error


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
    record = {"step": step, "trigger": run.spec.subject, "files": files}
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return record


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
    folder = run.path / "adapter"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    return [path for path in files if path.name not in (RECORD, MADE)]


def metadata(run: Run, base, step: int) -> dict[str, str]:
    """The header's text: what a file manager shows (modelspec), what trainers read (ss_), and the run's own facts."""
    spec, saved = run.spec, _scores_of(run, step)
    facts = {
        "modelspec.title": spec.name,
        "modelspec.trigger_phrase": spec.subject,
        "modelspec.description": f"{spec.adapter.method}, step {step} of {spec.steps}; write '{spec.subject}'.",
        "modelspec.resolution": f"{base.capabilities.size_px}x{base.capabilities.size_px}",
        "modelspec.prediction_type": "v" if base.capabilities.prediction_type == "v_prediction" else "epsilon",
        "ss_output_name": slug(spec.name),
        "run": run.id,
        "step": str(step),
        "trigger": spec.subject,
        "base": spec.base,
        "base_fingerprint": base.fingerprint,
        "spec": spec.model_dump_json(),
    }
    if saved:
        figures = {
            key: saved.get(key) for key in ("dino", "clip_i", "clip_t", "clip_t_plain", "clip_t_share", "likeness")
        }
        facts["scores"] = json.dumps({**figures, "encoders": saved.get("encoders")})
    if (samples := run.samples(step)) and (thumbnail := _thumbnail(samples[0])):
        facts["modelspec.thumbnail"] = thumbnail
    return facts


def _scores_of(run: Run, step: int) -> dict | None:
    """What a save scored; None where it did not, or nobody can read it: the file is as good without."""
    try:
        return ((run.scores() or {}).get("saves") or {}).get(str(step))
    except BadInput:
        return None


def _thumbnail(path: Path) -> str:
    """The picture as a small JPEG data address; "" for a damaged one."""
    from evaluation.pictures import read_pictures

    try:
        (picture,) = read_pictures([path])
    except BadInput:
        return ""
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
