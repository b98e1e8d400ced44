"""From a save of a run to files that other programs load, each with the facts of the run in its header."""

import base64
import io
import json
import re
import unicodedata
from pathlib import Path

from training.atomic import write_text
from training.errors import BadInput
from training.run import Run

FORMATS = ("native", "kohya", "diffusers", "peft", "merged")
JOB_FORMATS = ("native", "kohya", "diffusers")  # what every run writes at its end
USES = {
    "native": "for this program: `delora generate --adapter FILE`",
    "kohya": "for ComfyUI (models/loras), AUTOMATIC1111 (models/Lora) and diffusers",
    "diffusers": "for diffusers' load_lora_weights",
    "peft": "a folder for PEFT",
    "merged": "a whole model with the subject folded in, for programs that load no LoRA",
}
THUMBNAIL_PX = 256
RECORD = "export.json"


def slug(name: str) -> str:
    """A name as a file name: lower-case letters, digits and dashes."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "adapter"


def file_name(run: Run, kind: str) -> str:
    """The export's name in the run's adapter folder. The kohya file, which most people want, has the plain name."""
    name = slug(run.spec.name)
    return {
        "native": f"{name}-delora-studio.safetensors",
        "kohya": f"{name}.safetensors",
        "diffusers": f"{name}-diffusers.safetensors",
        "peft": f"{name}-peft",
        "merged": f"{name}-merged",
    }[kind]


def export(
    run: Run, base, adapter, step: int, kind: str, path: Path, *, dtype: str = "float32", compact: int | None = None
) -> float:
    """Write one export of the attached `adapter` to `path`. `merged` folds the adapter into `base` and ends it.

    Returns:
        The relative error ||dW - file's dW|| / ||dW||; 0 where the file holds the adapter itself.

    Raises:
        BadInput: the method cannot be written in this format, or a merged model's path exists.
    """
    import delora
    from delora import export as exporters

    path.parent.mkdir(parents=True, exist_ok=True)
    facts = metadata(run, base, step)
    try:
        if kind == "native":
            delora.save(adapter, path, facts)
        elif kind in ("kohya", "diffusers"):
            import torch

            write = exporters.to_kohya if kind == "kohya" else exporters.to_diffusers
            return write(adapter, path, dtype=getattr(torch, dtype), metadata=facts, compact=compact).error
        elif kind == "peft":
            exporters.to_peft(adapter, path)
        elif kind == "merged":
            from training import models

            adapter.merge()
            models.save_merged(base, path, dtype=dtype, layout="file" if path.suffix == ".safetensors" else "folder")
        else:
            raise BadInput(
                f"There is no export format '{kind}'.", f"Choose one of {', '.join(FORMATS)}.", field="format"
            )
    except ValueError as error:
        raise BadInput(str(error), field="format") from error
    return 0.0


def export_run(run: Run, base, data: Path) -> dict:
    """Write the files that every finished run has, of its recommended save (or its last), and check them.

    Nothing is done where they are there already. What was written and what the checks measured is kept in
    adapter/export.json and returned.
    """
    from app.saves import best_step, open_base, open_save
    from evaluation.loadback import load_back

    step, folder = best_step(run), run.path / "adapter"
    record = read_record(run)
    if record and record["step"] == step and all((folder / file["name"]).exists() for file in record["files"]):
        return record
    if str(base.unet.dtype) != "torch.float32":
        base = open_base(run.spec.base, data, "no")  # half precision would measure its own rounding
    adapter = open_save(run, base, step)
    files = []
    try:
        for kind in JOB_FORMATS:
            path = folder / file_name(run, kind)
            error = export(run, base, adapter, step, kind, path)
            check = None
            if kind in ("kohya", "diffusers"):
                check = load_back(base, adapter, path, prompt=run.spec.prompt("a {subject}"), seed=run.spec.seed)
            files.append({"kind": kind, "name": path.name, "error": error, "check": check and check.to_dict()})
    finally:
        adapter.detach()
    record = {"step": step, "trigger": run.spec.subject, "files": files}
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def read_record(run: Run) -> dict | None:
    """What `export_run` wrote about the run's exports, None where it has not."""
    path = run.path / "adapter" / RECORD
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def metadata(run: Run, base, step: int) -> dict[str, str]:
    """The header's text: what a file manager shows (modelspec), what trainers read (ss_), and the run's own facts."""
    spec, scores = run.spec, run.scores()
    saved = scores["saves"].get(str(step)) if scores else None
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
        figures = {key: saved[key] for key in ("dino", "clip_i", "clip_t", "clip_t_plain", "clip_t_share", "likeness")}
        facts["scores"] = json.dumps({**figures, "encoders": saved["encoders"]})
    if samples := run.samples(step):
        facts["modelspec.thumbnail"] = _thumbnail(samples[0])
    return facts


def _thumbnail(path: Path) -> str:
    """The picture as a small JPEG data address."""
    from PIL import Image

    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
