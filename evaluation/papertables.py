"""The rows of the paper's Tables 1 and 2 with its figures, and what they were made with."""

from typing import Any, NamedTuple


class Variant(NamedTuple):
    """A row. update: of the weight, in the paper's letters. subject: the paper's DINO and CLIP-I (Table 1). maps: its
    mIoU, accuracy and FID (Table 2). None where it has none."""

    name: str
    update: str
    subject: tuple[float, float]
    maps: tuple[float, float, float] | None


VARIANTS: dict[str, Variant] = {
    "lora": Variant("LoRA", "B A", (0.674, 0.785), (25.13, 64.95, 31.35)),
    "lora-normalised": Variant("+ normalise, boundary", "(λ/r) B Ξ A", (0.682, 0.809), (25.66, 65.82, 31.01)),
    "delora": Variant("+ weight norm = DeLoRA", "‖W‖ (λ/r) B Ξ A", (0.701, 0.825), (26.10, 65.08, 30.71)),
    "ether-plus-relaxed": Variant(
        "ETHER+ controllable, high rank, relaxed", "(λ/r)(B Ξ A − D Φ C) W", (0.696, 0.833), (25.55, 65.16, 29.89)
    ),
    "ether-plus-high-rank": Variant("ETHER+ controllable, high rank", "(λ/r)(U Σ Uᵀ − V Θ Vᵀ) W", (0.685, 0.840), None),
    "ether-plus-controllable": Variant(
        "ETHER+ controllable", "λ (u uᵀ − v vᵀ) W", (0.678, 0.810), (24.56, 62.70, 31.28)
    ),
    "ether-plus-one-sided": Variant("ETHER+ one-sided", "(u uᵀ − v vᵀ) W", (0.624, 0.746), (23.46, 62.26, 31.18)),
}
PAPER: dict[str, dict[str, Any]] = {  # what a study must have been made with for the paper's figures to stand beside it
    "dreambooth": {
        "base": "sd15",
        "subjects": 30,
        "dino": "facebook/dino-vits16",
        "clip": "openai/clip-vit-base-patch32",
    },
    "maps": {"base": "sd15", "protocol": "hint-encoder", "segmentor": "UperNet-101", "maps": 2000},
}
