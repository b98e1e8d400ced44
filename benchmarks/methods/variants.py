"""What is measured: every method in the forms worth telling apart, and how fast each is trained."""

from __future__ import annotations

RANKS = {"rank": 4, "rank_pattern": {"attn2.to_k": 2, "to_out.0": 6}}  # even, half for each side of the reflections
# Lambdas are those of the presets, scaled from widths of 320 and more to these, so that a layer moves as far.
VARIANTS: dict[str, dict] = {
    "LoRA": dict(method="lora", **RANKS),
    "DoRA": dict(method="dora", **RANKS),
    "DoRA, fixed magnitude": dict(method="dora-fixed", **RANKS),
    "DoRA, norms per column": dict(method="dora-columns", **RANKS),
    "Normalised LoRA": dict(method="lora-normalised", lambda_=1.5, **RANKS),
    "DeLoRA": dict(method="delora", lambda_=1.5, **RANKS),
    "DeLoRA, zero start": dict(method="delora", lambda_=1.5, init="zero", **RANKS),
    "DeLoRA, Frobenius": dict(method="delora", weight_norm="frobenius", **RANKS),
    "ETHER": dict(method="ether"),
    "ETHER+, one-sided": dict(method="ether-plus-one-sided"),
    "ETHER+": dict(method="ether-plus"),
    "ETHER+, controllable": dict(method="ether-plus-controllable", lambda_=0.4),
    "ETHER+, high rank": dict(method="ether-plus-high-rank", lambda_=1.5, **RANKS),
    "ETHER+, relaxed": dict(method="ether-plus-relaxed", lambda_=1.5, **RANKS),
    "OFT, 4 blocks": dict(method="oft"),
    "Full finetuning": dict(method="full", targets=("*",)),
}
RATES = {"full": 5e-4, "oft": 1e-3, "lora": 2e-3, "dora": 2e-3, "dora-fixed": 2e-3, "dora-columns": 2e-3}


def rate(method: str) -> float:
    """The learning rate of a method's few steps."""
    return RATES.get(method, 6e-3)
