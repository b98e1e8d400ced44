"""What the configs of a base model must hold for this program to read it: kinds and sizes of values, file by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import BadInput

Width = Annotated[int, Field(ge=1, le=2**16)]
Few = Annotated[int, Field(ge=1, le=64)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=8)]
Blocks = Annotated[list[str], Field(min_length=1, max_length=8)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Unet(_Part):
    sample_size: Annotated[int, Field(ge=1, le=1024)]
    in_channels: Width
    block_out_channels: Widths
    down_block_types: Blocks
    up_block_types: Blocks
    layers_per_block: Few | list[Few] = 2
    transformer_layers_per_block: Few | list[Few] = 1
    num_attention_heads: Width | list[Width] | None = None
    attention_head_dim: Width | list[Width] = 8
    cross_attention_dim: Width | list[Width] = 1280
    time_embedding_dim: Width | None = None
    mid_block_type: str | None = None


class _Vae(_Part):
    latent_channels: Width
    block_out_channels: Widths


class _TextEncoder(_Part):
    hidden_size: Width
    max_position_embeddings: Width


class _Scheduler(_Part):
    class_name: str | None = Field(None, alias="_class_name")
    prediction_type: str = "epsilon"


class _Tokenizer(_Part):
    model_max_length: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1e30


SHAPES = {
    "unet": _Unet,
    "vae": _Vae,
    "text_encoder": _TextEncoder,
    "scheduler": _Scheduler,
    "tokenizer": _Tokenizer,
}


def check(path: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises BadInput naming the part and the setting of the first config that cannot be read.

    path: the model's folder. configs: by component, as in `modelfolder.ModelFolder`.
    """
    for part, shape in SHAPES.items():
        try:
            shape.model_validate(dict(configs[part]))
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "it"
            words = f"does not say {name}" if first["type"] == "missing" else f"says of {name} what cannot be"
            told = f"{path}: the config of its {part} {words}."
            raise BadInput(told, "Copy or download the folder again.", field="base") from error
