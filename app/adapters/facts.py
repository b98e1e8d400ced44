"""What a file's header says of the run it came from, under the names that other programs read."""

import base64
import io
import json
from pathlib import Path

from app.adapters.names import slug
from evaluation.scorebook import is_current
from training.runs.run import Run

THUMBNAIL_PX = 256
SCORED = ("dino", "clip_i", "clip_t", "miou", "miou_present", "pixel_accuracy")  # what a save of either task has


def metadata(run: Run, base, step: int) -> dict[str, str]:
    """The header's text: what a file manager shows (modelspec), what trainers read (ss_), and the run's own facts.

    AUTOMATIC1111 shows the words in ss_tag_frequency and the picture in ssmd_cover_images.
    """
    spec, scores = run.spec, run.scores()
    saved = scores["saves"].get(str(step)) if scores else None
    called = f"write '{spec.subject}'" if spec.subject else f"of {spec.task}"
    facts = {
        "modelspec.title": spec.name,
        "modelspec.description": f"{spec.adapter.method}, step {step} of {spec.steps}; {called}.",
        "modelspec.resolution": f"{base.capabilities.size_px}x{base.capabilities.size_px}",
        "modelspec.prediction_type": "v" if base.capabilities.prediction_type == "v_prediction" else "epsilon",
        "ss_output_name": slug(spec.name),
        "run": run.id,
        "step": str(step),
        **spec.facts,
        "base": spec.base,
        "base_fingerprint": base.fingerprint,
        "spec": spec.model_dump_json(),
    }
    if spec.subject:
        facts["modelspec.trigger_phrase"] = spec.subject
        facts["ss_tag_frequency"] = json.dumps({f"1_{spec.subject}": {spec.subject: 1}})
    if saved and is_current(scores):
        plain = {key: saved[key] for key in SCORED if key in saved}
        judges = {key: told[key] for told in (scores, saved) for key in ("encoders", "segmentor") if key in told}
        facts["scores"] = json.dumps({**plain, **saved.get("figures", {}), **judges})
    if samples := run.samples(step):
        picture = base64.b64encode(_thumbnail(samples[0])).decode()
        facts["modelspec.thumbnail"] = f"data:image/jpeg;base64,{picture}"
        facts["ssmd_cover_images"] = json.dumps([picture])
    return facts


def _thumbnail(path: Path) -> bytes:
    """The picture as a small JPEG."""
    from PIL import Image

    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
