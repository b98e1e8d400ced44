"""Small adapter files as other programs write them, one a kind, made by code; and what must come of each.

All spell the same displacement of five layers of a UNet with Stable Diffusion 1.5's layout (`PATHS`): W + ALPHA / RANK
up down, or with norms `m` the DoRA m (W + dW) / ||W + dW||, per row or per column. The truths are in `changed`.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save, save_file

RANK, ALPHA = 3, 2.0
TRANSFORMER = "down_blocks.0.attentions.0.transformer_blocks.0"
PATHS = (
    f"{TRANSFORMER}.attn1.to_q",
    f"{TRANSFORMER}.attn2.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.2",
    "down_blocks.0.attentions.0.proj_in",  # a 1 x 1 convolution
    "down_blocks.0.resnets.0.conv1",  # a 3 x 3 one
)
ORIGINAL = {  # the same layers as the original code of Stable Diffusion names them
    PATHS[0]: "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
    PATHS[1]: "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
    PATHS[2]: "middle_block.1.transformer_blocks.0.ff.net.2",
    PATHS[3]: "input_blocks.1.1.proj_in",
    PATHS[4]: "input_blocks.1.0.in_layers.2",
}
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
KOHYA, PEFT, OLD = (
    (".lora_down.weight", ".lora_up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
)


def matrices(unet, paths=PATHS) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Path -> (down, up) as LoRA files have them: of a convolution (r, in, h, w) and (out, r, 1, 1)."""
    g, found = torch.Generator().manual_seed(11), {}
    for path in PATHS:
        shape = unet.get_submodule(path).weight.shape
        down = torch.randn(RANK, *shape[1:], generator=g) / shape[1] ** 0.5
        up = torch.randn(shape[0], RANK, *(1,) * (len(shape) - 2), generator=g) * 0.2
        found[path] = down, up
    return {path: found[path] for path in paths}


def magnitudes(unet, axis: int, paths=PATHS) -> dict[str, torch.Tensor]:
    """Path -> norms along `axis` of W (0: of each output, 1: of each input), moved, shaped to multiply W."""
    g, found = torch.Generator().manual_seed(12), {}
    for path in PATHS:
        W = unet.get_submodule(path).weight.detach()
        norms = torch.linalg.vector_norm(W, dim=[i for i in range(W.ndim) if i != axis], keepdim=True)
        found[path] = norms * (0.7 + 0.6 * torch.rand(norms.shape, generator=g))
    return {path: found[path] for path in paths}


def changed(unet, path: str, axis: int | None = None, scale: float = ALPHA / RANK) -> torch.Tensor:
    """What becomes of a layer's weight, in float64."""
    W = unet.get_submodule(path).weight.detach().double()
    down, up = (t.double() for t in matrices(unet)[path])
    V = W + scale * (up.flatten(1) @ down.flatten(1)).view(W.shape)
    if axis is None:
        return V
    norms = torch.linalg.vector_norm(V, dim=[i for i in range(W.ndim) if i != axis], keepdim=True)
    return magnitudes(unet, axis)[path].double() * V / norms


def spelt(unet, name: Callable[[str], str], ends=KOHYA, alpha=torch.tensor(ALPHA), paths=PATHS) -> dict:
    """The tensors of a file: `name` spells a layer's path, `ends` the two matrices, `alpha` lies beside them."""
    tensors = {}
    for path, (down, up) in matrices(unet, paths).items():
        tensors[name(path) + ends[0]], tensors[name(path) + ends[1]] = down, up
        if alpha is not None:
            tensors[f"{name(path)}.alpha"] = alpha.clone()
    return tensors


def underscored(path: str, prefix: str = "lora_unet_") -> str:
    return prefix + path.replace(".", "_")


def kohya(unet, **changes) -> dict:
    return spelt(unet, underscored, **changes)


def dora(unet, axis: int, prefix: str = "lora_unet_") -> dict:
    """With `dora_scale` in the shapes that LyCORIS and OneTrainer write: (out, 1[, 1, 1]) or (1, in[, 1, 1])."""
    tensors = spelt(unet, lambda path: underscored(path, prefix))
    return tensors | {f"{underscored(path, prefix)}.dora_scale": m for path, m in magnitudes(unet, axis).items()}


def reshaped(unet, change: Callable[[torch.Tensor], torch.Tensor]) -> dict:
    return {key: t if key.endswith(".alpha") else change(t).contiguous() for key, t in kohya(unet).items()}


def text_layer(name: str, down: str, up: str) -> dict:
    return {f"{name}{down}": torch.ones(2, 32), f"{name}{up}": torch.ones(32, 2)}


def peft_keys(unet, name: str = "") -> dict:
    """As PEFT names tensors, `name` the adapter's where a program saved the state dict as it was."""
    ends = tuple(end.replace(".weight", f"{name}.weight") for end in PEFT)
    return spelt(unet, lambda path: f"base_model.model.{path}", ends, alpha=None)


def as_diffusers(path: str) -> str:
    return f"unet.{path}"


@dataclass(frozen=True)
class Made:
    """One kind of file.

    about: whose it is. tensors: UNet -> its tensors. metadata: its header. settings: PEFT's, in a file beside it.
    suffix: of its name. axis: None for a LoRA, 0 or 1 for a DoRA's norms. scale: what stands before up down.
    left_out: what of it only --ignore-others takes in, in words. refused: words of why it is not imported at all.
    """

    about: str
    tensors: Callable
    metadata: dict | None = None
    settings: dict | None = None
    suffix: str = ".safetensors"
    axis: int | None = None
    scale: float = ALPHA / RANK
    left_out: str = ""
    refused: str = ""

    def write(self, folder: Path, unet) -> Path:
        """The file in a new folder, which is returned where PEFT's settings lie beside it."""
        folder.mkdir(parents=True)
        path = folder / f"made{self.suffix}"
        tensors = self.tensors(unet)
        if isinstance(tensors, bytes):
            path.write_bytes(tensors)
        else:
            save_file({key: t.contiguous() for key, t in tensors.items()}, path, self.metadata)
        if self.settings is None:
            return path
        path.rename(folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK} | self.settings))
        return folder


def pickled(unet) -> bytes:
    import io

    content = io.BytesIO()
    torch.save(kohya(unet), content)
    return content.getvalue()


def padded_header(unet) -> bytes:
    """A header of 17 MiB, as thousands of captions make it."""
    content = save(kohya(unet))
    size = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + size] + b" " * (17 * 2**20)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def started(start) -> dict:
    return {"lora_alpha": ALPHA, "init_lora_weights": start}


def other(**tensors) -> Callable:
    """A PEFT file with more tensors on the first layer."""
    more = {f"base_model.model.{PATHS[0]}.{end}": torch.ones(size) for end, size in tensors.items()}
    return lambda unet: peft_keys(unet) | more


TABLE = {
    # read as what they are
    "kohya": Made("sd-scripts", kohya),
    "whole-alphas": Made("diffusers' convert_state_dict_to_kohya", lambda u: kohya(u, alpha=torch.tensor(2))),
    "lycoris-prefix": Made("LyCORIS' wrapper", lambda u: spelt(u, lambda p: underscored(p, "lycoris_"))),
    "original-unet": Made("OneTrainer", lambda u: spelt(u, lambda p: f"unet.{ORIGINAL[p]}")),
    "original-bare": Made("OneTrainer", lambda u: spelt(u, lambda p: ORIGINAL[p])),
    "original-comfy": Made("OneTrainer, ComfyUI", lambda u: spelt(u, lambda p: f"diffusion_model.{ORIGINAL[p]}")),
    "original-kohya": Made("OneTrainer", lambda u: spelt(u, lambda p: underscored(ORIGINAL[p]))),
    "diffusers": Made("diffusers", lambda u: spelt(u, as_diffusers, PEFT, None), scale=1.0),
    "diffusers-2023": Made("diffusers", lambda u: spelt(u, as_diffusers, OLD, None), scale=1.0),
    "peft": Made("PEFT, the folder", peft_keys, settings=started(True)),
    "peft-name": Made("PEFT, a raw state dict", lambda u: peft_keys(u, ".default"), settings=started(True)),
    "peft-eva": Made("PEFT, a start that leaves the base as it is", peft_keys, settings=started("eva")),
    "flat-convolution": Made(
        "(r, in) on a 1 x 1 convolution",
        lambda u: reshaped(u, lambda t: t.flatten(1) if t[0, 0].numel() == 1 else t),
    ),
    "padded-linear": Made(
        "(r, in, 1, 1) on a linear layer", lambda u: reshaped(u, lambda t: t if t.ndim == 4 else t[:, :, None, None])
    ),
    "dora-rows": Made("LyCORIS attn-mlp, wd_on_output", lambda u: dora(u, 0), axis=0),
    "dora-columns": Made("OneTrainer, LyCORIS", lambda u: dora(u, 1), axis=1),
    "dora-peft": Made(
        "PEFT's DoRA, with a convolution",
        lambda u: (
            peft_keys(u)
            | {
                f"base_model.model.{p}.lora_magnitude_vector": m.flatten() if m.ndim == 2 else m.transpose(0, 1)
                for p, m in magnitudes(u, 0).items()
            }
        ),
        settings=started(True) | {"use_dora": True},
        axis=0,
    ),
    "large-header": Made("any trainer, with many captions", padded_header),
    "upper-case": Made("a file from Windows", kohya, suffix=".SAFETENSORS"),
    # read in part
    "text-encoder": Made(
        "sd-scripts, both trained",
        lambda u: kohya(u) | text_layer("lora_te_text_model_encoder_layers_0_mlp_fc1", *KOHYA),
        left_out="1 text encoder layer",
    ),
    "text-encoder-2023": Made(
        "diffusers, both trained",
        lambda u: (
            spelt(u, as_diffusers, OLD, None)
            | text_layer(f"text_encoder.{TEXT}", ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")
        ),
        scale=1.0,
        left_out="1 text encoder layer",
    ),
    "text-encoder-omi": Made(
        "OneTrainer, both trained",
        lambda u: spelt(u, lambda p: f"unet.{ORIGINAL[p]}") | text_layer(f"clip_l.{TEXT}", *KOHYA),
        left_out="1 text encoder layer",
    ),
    "embeddings": Made(
        "OneTrainer, embeddings bundled",
        lambda u: (
            kohya(u) | {"bundle_emb.zwx.clip_l": torch.ones(2, 32), "bundle_emb.qtv.emb_params": torch.ones(2, 32)}
        ),
        left_out="2 embeddings",
    ),
    # refused, in the right words
    **{
        f"start-{start}": Made(
            "PEFT, a start that changes the base",
            peft_keys,
            settings=started(start),
            refused=f"init_lora_weights='{start}'",
        )
        for start in ("pissa", "pissa_niter_4", "olora", "corda", "lora_ga", "loftq")
    },
    "start-in-the-header": Made(
        "diffusers with its metadata",
        lambda u: spelt(u, as_diffusers, PEFT, None),
        metadata={"lora_adapter_metadata": json.dumps({"unet.r": RANK, "unet.init_lora_weights": "olora"})},
        refused="init_lora_weights='olora'",
    ),
    "loha": Made("PEFT's LoHa", other(hada_w1_a=3), settings={}, refused="holds LoHa"),
    "lokr": Made(
        "LyCORIS' LoKr", lambda u: {f"{underscored(PATHS[0])}.lokr_w1": torch.ones(2, 2)}, refused="holds LoKr"
    ),
    "lora-bias": Made("PEFT, lora_bias=True", other(**{"lora_B.bias": 3}), settings={}, refused="lora_bias"),
    "modules-to-save": Made(
        "PEFT, modules_to_save",
        lambda u: peft_keys(u) | {"base_model.model.conv_out.weight": torch.ones(3)},
        settings={},
        refused="modules_to_save",
    ),
    "kasa": Made("PEFT's KaSA", other(lora_diag=3), settings={}, refused="holds KaSA"),
    "adalora": Made("PEFT's AdaLoRA", other(lora_E=3, lora_A=3), settings={}, refused="holds AdaLoRA"),
    "qalora": Made("PEFT's QALoRA", peft_keys, settings=started(True) | {"use_qalora": True}, refused="holds QALoRA"),
    "two-adapters": Made(
        "PEFT, a raw state dict of two",
        lambda u: peft_keys(u, ".one") | peft_keys(u, ".two"),
        settings=started(True),
        refused="holds the adapters one, two",
    ),
    "twice": Made(
        "two files put together",
        lambda u: kohya(u) | spelt(u, lambda p: f"unet.{ORIGINAL[p]}"),
        refused="twice",
    ),
    "text-encoder-alone": Made(
        "sd-scripts, the text encoder alone",
        lambda u: text_layer("lora_te_text_model_encoder_layers_0_mlp_fc1", *KOHYA),
        refused="holds 1 text encoder layer and no layer of the UNet",
    ),
    "pickle": Made("torch.save", pickled, suffix=".pt", refused="a pickle"),
    "pixart": Made(
        "PEFT for PixArt",
        lambda u: {f"base_model.model.transformer_blocks.3.attn1.to_q{end}": torch.ones(3, 3) for end in PEFT},
        settings=started(True),
        refused="made for PixArt",
    ),
    "sdxl": Made(
        "sd-scripts for Stable Diffusion XL",
        lambda u: {
            f"lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q{end}": torch.ones(3, 3) for end in KOHYA
        },
        refused="made for Stable Diffusion XL",
    ),
}
