"""The formats that an adapter can be written in: which hold which method, who reads them, and what to know of each."""

from __future__ import annotations

from training.spec import RunSpec

USES = {
    "native": "for this program: `delora generate --adapter FILE`",
    "kohya": "for ComfyUI (models/loras), AUTOMATIC1111 (models/Lora), Forge, InvokeAI and diffusers",
    "comfyui": "for ComfyUI (models/loras) and Forge, exact whatever the method",
    "diffusers": "for diffusers' load_lora_weights, and no other program",
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
WITH_EVERY_RUN = ("native", "kohya", "diffusers")  # what a run writes at its end, as far as its method allows
CHECKED = ("kohya", "diffusers")  # what stock diffusers loads

DORA_IN_COMFYUI = (
    "A DoRA file, exact at every strength in current versions of ComfyUI and Forge. AUTOMATIC1111 and InvokeAI do not "
    "read it: take the merged model there."
)
DORA_IN_DIFFUSERS = (
    "Exact at strength 1 alone: at another strength diffusers scales inside the DoRA's norm, which makes another "
    "adapter of it."
)
DIFFERENCES = "It holds whole weight differences, so it is large. AUTOMATIC1111 and InvokeAI read it too."
EVERY_DIFFERENCE = (
    "It holds a difference for every weight of the model, so it is as large as one. AUTOMATIC1111 leaves out one of "
    "them (conv_norm_out) without a word: take the merged model there."
)


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


def about(spec: RunSpec, kind: str) -> str:
    """What a person should know of a format for a run's adapter, beside `USES`; "" where there is nothing."""
    method = spec.adapter.method
    if method in ("dora", "dora-fixed"):
        return {"comfyui": DORA_IN_COMFYUI, "diffusers": DORA_IN_DIFFUSERS}.get(kind, "")
    if method in ("oft", "full") and kind == "comfyui":
        return EVERY_DIFFERENCE if method == "full" and "*" in spec.targets else DIFFERENCES
    return ""
