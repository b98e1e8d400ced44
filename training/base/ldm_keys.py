"""Keys of the original Stable Diffusion 1.x checkpoints (the `ldm` code), from diffusers' keys."""


def _replace(key: str, pairs: list[tuple[str, str]]) -> str:
    for theirs, original in pairs:
        key = key.replace(theirs, original)
    return key


def unet_key(key: str, config) -> str:
    """A diffusers UNet key in the original spelling; `config` is the UNet's.

    The original numbers the blocks of one side through. Going down a level has `layers_per_block` of them and its
    downsampler as one more; going up it has one more block, and the last one holds the upsampler. In a block the
    ResNet is part 0, the transformer part 1, an upsampler the next free part.
    """
    key = _replace(
        key,
        [
            ("time_embedding.linear_1", "time_embed.0"),
            ("time_embedding.linear_2", "time_embed.2"),
            ("conv_norm_out", "out.0"),
        ],
    )
    head, _, rest = key.partition(".")
    if head == "conv_in":
        return f"input_blocks.0.0.{rest}"
    if head == "conv_out":
        return f"out.2.{rest}"
    if ".resnets." in key:
        key = _replace(
            key,
            [
                ("norm1", "in_layers.0"),
                ("conv1", "in_layers.2"),
                ("time_emb_proj", "emb_layers.1"),
                ("norm2", "out_layers.0"),
                ("conv2", "out_layers.3"),
                ("conv_shortcut", "skip_connection"),
            ],
        )
    part = key.split(".")
    if head == "mid_block":
        return ".".join(["middle_block", str(2 * int(part[2])) if part[1] == "resnets" else "1", *part[3:]])
    if head not in ("down_blocks", "up_blocks"):
        return key
    level, kind, number, tail = int(part[1]), part[2], int(part[3]), part[4:]
    layers = config.layers_per_block
    # The first of the input blocks is conv_in.
    side, first = (
        ("input_blocks", (layers + 1) * level + 1) if head == "down_blocks" else ("output_blocks", (layers + 1) * level)
    )
    if kind == "downsamplers":
        return ".".join([side, str(first + layers), "0", "op", *tail[1:]])
    if kind == "upsamplers":
        free = "2" if config.up_block_types[level].startswith("CrossAttn") else "1"
        return ".".join([side, str(first + layers), free, *tail])
    return ".".join([side, str(first + number), "0" if kind == "resnets" else "1", *tail])


def vae_key(key: str, levels: int) -> str:
    """A diffusers autoencoder key in the original spelling; the original counts the decoder's levels from its end."""
    key = _replace(
        key,
        [
            ("conv_shortcut", "nin_shortcut"),
            ("conv_norm_out", "norm_out"),
            ("mid_block.attentions.0.", "mid.attn_1."),
            ("mid_block.resnets.0.", "mid.block_1."),
            ("mid_block.resnets.1.", "mid.block_2."),
        ],
    )
    if ".attn_1." in key:
        return _replace(
            key,
            [("group_norm.", "norm."), ("to_q.", "q."), ("to_k.", "k."), ("to_v.", "v."), ("to_out.0.", "proj_out.")],
        )
    part = key.split(".")
    if len(part) > 2 and part[1] in ("down_blocks", "up_blocks"):
        down = part[1] == "down_blocks"
        level = int(part[2]) if down else levels - 1 - int(part[2])
        head = [part[0], "down" if down else "up", str(level)]
        if part[3] == "resnets":
            return ".".join([*head, "block", *part[4:]])
        return ".".join([*head, "downsample" if down else "upsample", *part[5:]])
    return key


def aliases(unet) -> dict[str, str]:
    """The original code's name of every module of a UNet with weights -> its path."""
    paths = [path for path, module in unet.named_modules() if getattr(module, "weight", None) is not None]
    return {unet_key(f"{path}.weight", unet.config).removesuffix(".weight"): path for path in paths}
