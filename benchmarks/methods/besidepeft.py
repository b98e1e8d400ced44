"""The methods that PEFT has too, with equal settings: their gradients beside PEFT's."""

from __future__ import annotations

from collections.abc import Callable

import torch

import delora
from benchmarks.methods.unet import difference, make_batch, make_unet, train
from benchmarks.methods.variants import RANKS, VARIANTS, rate
from training.base import guard

guard.prepare()  # a torchvision that does not match torch would end peft's import
import peft  # noqa: E402

PROJECTIONS = ["to_q", "to_k", "to_v", "to_out.0"]
PEFT: dict[str, Callable[[], peft.PeftConfig]] = {
    "LoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, rank_pattern=RANKS["rank_pattern"],
                                    alpha_pattern={"attn2.to_k": 4, "to_out.0": 12}, target_modules=PROJECTIONS),
    "DoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, rank_pattern=RANKS["rank_pattern"], use_dora=True,
                                    alpha_pattern={"attn2.to_k": 4, "to_out.0": 12}, target_modules=PROJECTIONS),
    "DeLoRA, zero start": lambda: peft.DeloraConfig(r=4, delora_lambda=1.5, rank_pattern=RANKS["rank_pattern"],
                                                    target_modules=PROJECTIONS),
    "OFT, 4 blocks": lambda: peft.OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False,
                                            target_modules=PROJECTIONS),
}  # fmt: skip
THEIR_ENDS = {"A": ("lora_A", "delora_A"), "B": ("lora_B", "delora_B"), "m": ("lora_magnitude_vector",)}
THEIR_ENDS |= {"lambda_": ("delora_lambda",), "q": ("oft_R",)}


def gradient_beside_peft(name: str) -> float:
    """The largest difference of a gradient from PEFT's in float64, relative to that tensor's largest entry."""
    ours, theirs, batch = make_unet(torch.float64), make_unet(torch.float64), make_batch(torch.float64)
    adapter = delora.attach(ours, delora.AdapterConfig(**VARIANTS[name]))
    train(ours, adapter, batch, rate(VARIANTS[name]["method"]), steps=2)
    theirs = peft.get_peft_model(theirs, PEFT[name](), autocast_adapter_dtype=False).base_model.model
    by_name = {key: p for key, p in theirs.named_parameters() if p.requires_grad}
    pairs = []
    for path, layer in adapter.layers.items():
        for key, own in layer.named_parameters():
            (other,) = [by_name[k] for k in by_name if any(k.startswith(f"{path}.{end}.") for end in THEIR_ENDS[key])]
            other.data.copy_(own.data)
            pairs.append((own, other))
    for net in (ours, theirs):
        net.zero_grad()
        net(*batch).sample.square().sum().backward()
    return max(difference(own.grad, other.grad) for own, other in pairs)
