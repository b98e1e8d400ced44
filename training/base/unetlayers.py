"""The linear layers of a UNet and their sizes, read from its config: what an adapter can sit on, without torch."""

from collections.abc import Iterator, Mapping
from typing import Any

CROSS = "CrossAttn"  # begins the names of blocks that read the prompt


def linears(unet: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Module path -> (in, out) of every linear layer of a `UNet2DConditionModel` with Stable Diffusion's blocks.

    unet: its config. Lists in it go by level, from the outermost in; a single value holds for all levels.
    """
    widths = list(unet["block_out_channels"])
    levels = [
        dict(zip(("width", "layers", "depth", "heads", "text"), values, strict=True))
        for values in zip(
            widths,
            _by_level(unet["layers_per_block"], widths),
            _by_level(unet.get("transformer_layers_per_block", 1), widths),
            _by_level(unet.get("num_attention_heads") or unet.get("attention_head_dim", 8), widths),
            _by_level(unet["cross_attention_dim"], widths),
            strict=True,
        )
    ]
    time = unet.get("time_embedding_dim") or 4 * widths[0]
    found = {"time_embedding.linear_1": (widths[0], time), "time_embedding.linear_2": (time, time)}
    linear_ends = bool(unet.get("use_linear_projection"))

    def block(path: str, level: dict, resnets: int, attentions: int) -> None:
        for i in range(resnets):
            found[f"{path}.resnets.{i}.time_emb_proj"] = (time, level["width"])
        for i in range(attentions):
            found.update(_transformer(f"{path}.attentions.{i}", level, linear_ends))

    for i, (kind, level) in enumerate(zip(unet["down_block_types"], levels, strict=True)):
        block(f"down_blocks.{i}", level, level["layers"], level["layers"] * kind.startswith(CROSS))
    for i, (kind, level) in enumerate(zip(unet["up_block_types"], levels[::-1], strict=True)):
        layers = level["layers"] + 1
        block(f"up_blocks.{i}", level, layers, layers * kind.startswith(CROSS))
    if unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") == "UNetMidBlock2DCrossAttn":
        block("mid_block", levels[-1], 2, 1)
    return found


def _transformer(path: str, level: dict, linear_ends: bool) -> Iterator[tuple[str, tuple[int, int]]]:
    """The layers of one `Transformer2DModel`: self-attention, cross-attention and a gated feed-forward of 4 times."""
    width = level["width"]
    inner = level["heads"] * (width // level["heads"])
    if linear_ends:
        yield f"{path}.proj_in", (width, inner)
        yield f"{path}.proj_out", (inner, width)
    for i in range(level["depth"]):
        for name, source in (("attn1", inner), ("attn2", level["text"])):
            here = f"{path}.transformer_blocks.{i}.{name}"
            yield f"{here}.to_q", (inner, inner)
            yield f"{here}.to_k", (source, inner)
            yield f"{here}.to_v", (source, inner)
            yield f"{here}.to_out.0", (inner, inner)
        yield f"{path}.transformer_blocks.{i}.ff.net.0.proj", (inner, 8 * inner)
        yield f"{path}.transformer_blocks.{i}.ff.net.2", (4 * inner, inner)


def _by_level(value: Any, widths: list[int]) -> list:
    return [value] * len(widths) if isinstance(value, int) else list(value)
