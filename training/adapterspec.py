"""The adapter's part of a RunSpec: one small model a method, told apart by `method`.

The fields and their defaults are `delora.AdapterConfig`'s; each method shows only those it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from delora import AdapterConfig


class _Adapter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of the adapter's inputs set to zero while training; 0 is off."
    )

    def to_config(self, targets: tuple[str, ...]) -> AdapterConfig:
        """The library's config for these settings. Raises ValueError naming the field."""
        from delora import AdapterConfig

        return AdapterConfig(targets=targets, **self.model_dump())


class _Ranked(_Adapter):
    rank: int = Field(16, ge=1, le=4096, description="Rank r: how many independent directions each layer may move in.")
    rank_pattern: dict[str, int] = Field(
        {}, description="Other ranks for some layers: end of the layer's name -> rank."
    )


class _Bounded(_Adapter):
    lambda_: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="Lambda at the start. It limits each layer's distance from W: a run's page draws the limit. Empty: "
        "the method's own.",
    )
    lambda_max: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Never beyond: a ceiling on the learned lambda. Empty: none."
    )
    lambda_pattern: dict[str, float] = Field(
        {}, description="Other lambdas for some layers: end of the layer's name -> lambda."
    )

    @classmethod
    def default_lambda(cls, values: Mapping[str, Any]) -> float:
        """Lambda's start where none is given, in the unit that the other settings choose."""
        return 4.0

    @model_validator(mode="before")
    @classmethod
    def _lambda_written_out(cls, values: Any) -> Any:
        # A spec says everything that made its run, so the default is filled in before it is frozen.
        if isinstance(values, Mapping) and values.get("lambda_") is None:
            return {**values, "lambda_": cls.default_lambda(values)}
        return values

    @model_validator(mode="after")
    def _lambda_below_its_ceiling(self) -> _Bounded:
        if self.lambda_max is not None and self.lambda_ > self.lambda_max:
            raise ValueError(f"lambda_ ({self.lambda_:g}) lies above lambda_max ({self.lambda_max:g}).")
        return self


class _Started(_Ranked, _Bounded):
    init: Literal["frozen-copy", "zero"] = Field(
        "frozen-copy",
        description="Start: frozen-copy (the paper, Eq. 9; exports at rank 2r) or zero (B = 0; exports at rank r).",
    )


class _Blocks(_Adapter):
    blocks: int = Field(4, ge=1, description="Number n of blocks of the block-diagonal transformation.")


class DeloraSpec(_Started):
    """DeLoRA: normalised directions, one learned limit lambda a layer, scaled by the weight's norm (Eq. 15)."""

    method: Literal["delora"] = "delora"
    weight_norm: Literal["column", "frobenius"] = Field(
        "column",
        description="Norm of W that lambda is measured in: of each column (the authors' code) or of the whole (Eq. 8).",
    )

    @classmethod
    def default_lambda(cls, values: Mapping[str, Any]) -> float:
        # A lambda of the whole norm is about sqrt(in) times stronger; 27.7 at Stable Diffusion's 768.
        return 4.0 if values.get("weight_norm", "column") == "column" else 0.16


class NormalisedLoraSpec(_Started):
    """LoRA with normalised directions and a limit, without weight-norm scaling (Table 1)."""

    method: Literal["lora-normalised"] = "lora-normalised"

    @classmethod
    def default_lambda(cls, values: Mapping[str, Any]) -> float:
        return 8.0


class _LoraLike(_Ranked):
    alpha: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Alpha: the update is scaled by alpha / r. Empty: twice the rank."
    )


class LoraSpec(_LoraLike):
    """LoRA (Eq. 1)."""

    method: Literal["lora"] = "lora"


class DoraSpec(_LoraLike):
    """DoRA: LoRA with a learned magnitude for each output."""

    method: Literal["dora"] = "dora"


class FixedDoraSpec(_LoraLike):
    """DoRA with the magnitudes fixed at the pretrained ones (Appendix C)."""

    method: Literal["dora-fixed"] = "dora-fixed"


class OftSpec(_Blocks):
    """OFT: block-diagonal rotations."""

    method: Literal["oft"] = "oft"


class EtherSpec(_Blocks):
    """ETHER: block-diagonal reflections (Eq. 2). Not the identity at the start."""

    method: Literal["ether"] = "ether"
    blocks: int = Field(1, ge=1, description="Number n of blocks of the block-diagonal transformation.")


class EtherPlusOneSidedSpec(EtherSpec):
    """ETHER+ on the input side alone."""

    method: Literal["ether-plus-one-sided"] = "ether-plus-one-sided"


class EtherPlusSpec(EtherSpec):
    """ETHER+ on both sides (Eq. 3)."""

    method: Literal["ether-plus"] = "ether-plus"


class EtherPlusControllableSpec(_Bounded):
    """ETHER+ with a limit lambda (Table 1)."""

    method: Literal["ether-plus-controllable"] = "ether-plus-controllable"

    @classmethod
    def default_lambda(cls, values: Mapping[str, Any]) -> float:
        return 1.0


class EtherPlusHighRankSpec(_Ranked, _Bounded):
    """ETHER+ with a limit and r / 2 reflections on each side (Eq. 14)."""

    method: Literal["ether-plus-high-rank"] = "ether-plus-high-rank"


class EtherPlusRelaxedSpec(_Ranked, _Bounded):
    """ETHER+ with a limit, high rank and free directions (Table 1)."""

    method: Literal["ether-plus-relaxed"] = "ether-plus-relaxed"


class FullSpec(_Adapter):
    """Full finetuning: every weight of the target layers; with the target * all of the UNet (DreamBooth's own)."""

    method: Literal["full"] = "full"


AdapterSpec = Annotated[
    DeloraSpec
    | LoraSpec
    | NormalisedLoraSpec
    | DoraSpec
    | FixedDoraSpec
    | OftSpec
    | EtherSpec
    | EtherPlusOneSidedSpec
    | EtherPlusSpec
    | EtherPlusControllableSpec
    | EtherPlusHighRankSpec
    | EtherPlusRelaxedSpec
    | FullSpec,
    Field(discriminator="method"),
]

SPECS: dict[str, type[_Adapter]] = {
    kind.model_fields["method"].default: kind for kind in get_args(get_args(AdapterSpec)[0])
}
METHODS: tuple[str, ...] = tuple(SPECS)


def read_fields(method: str) -> dict[str, Any]:
    """The settings that `method` reads, by name, as pydantic's field infos: for forms, help and presets."""
    return {name: info for name, info in SPECS[method].model_fields.items() if name != "method"}
