"""A ControlNet for the tiny base, whose zero convolutions were filled so that it steers."""

from pathlib import Path


def build(folder: Path, unet, factor=4, variant=None, seed=0) -> Path:
    """Write the folder of a ControlNet made from a UNet, for pictures `factor` times its latents' size."""
    import torch
    from diffusers import ControlNetModel

    widths = (8, 8, 16, 16, 16)[: factor.bit_length()]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
        zeros = [net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out, *net.controlnet_down_blocks]
        for convolution in zeros:
            torch.nn.init.normal_(convolution.weight, std=0.2)
    net = net.half() if variant else net
    net.save_pretrained(folder, variant=variant)
    return folder
