"""The toy model's denoiser and text tower, trained together on latents that were encoded once.

    python -m training.pretrain.unet --minutes 90 --out .pretrain/unet

What an earlier trial found to matter, and is kept: a v-prediction loss of weight 1 (min-SNR starves the noisy steps
where shape is decided), noise levels drawn log-normally, and the loss weighted 4:1 on the cells that the object
covers. The text tower starts from the contrastive CLIP's and is trained on.
"""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from training.pretrain import autoencoder, jobs
from training.pretrain.tokenizer import world_tokenizer
from training.pretrain.toyworld import cache
from training.pretrain.toyworld.captions import Captions

WIDTHS, HEADS, TEXT_WIDTH = (96, 192, 256), (3, 6, 8), 192  # heads are 32 wide
PEAK_LR, TEXT_LR_SHARE, WEIGHT_DECAY = 8e-4, 1.0, 1e-2
FALL_FROM = 0.6  # share of the time after which the learning rate falls linearly
CAPTION_DROPOUT = 0.1  # for classifier-free guidance
OBJECT_WEIGHT = 4.0  # of a cell that the object covers, against 1
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -0.1, 1.3  # of the noise levels drawn in training
BATCH = {"cpu": 32, "cuda": 256}
LATENTS = 48_000  # pictures: what a CPU encodes in ten minutes


def build(scale: float = 1.0, size: int = 16, latent_channels: int = autoencoder.LATENT_CHANNELS):
    """An untrained UNet: three levels, one layer a block, cross-attention everywhere; `scale` multiplies the widths."""
    from diffusers import UNet2DConditionModel

    widths = tuple(max(32, round(w * scale / 32) * 32) for w in WIDTHS)
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=widths,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=tuple(w // 32 for w in widths),  # diffusers reads this as the number of heads
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
    )


def scheduler():
    """Stable Diffusion's noise schedule, with v-prediction."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


class NoiseLevels:
    """Timesteps whose ln(sigma) is normal: shape is decided at middle levels, which uniform draws visit too seldom."""

    def __init__(self, alphas_cumprod: torch.Tensor):
        self.log_sigma = ((1 - alphas_cumprod) / alphas_cumprod).sqrt().log()  # (1000,), rising

    def draw(self, count: int, generator: torch.Generator, mean=LOG_SIGMA_MEAN, std=LOG_SIGMA_STD) -> torch.Tensor:
        """(count,) timesteps, whose ln(sigma) has this mean and deviation."""
        wanted = mean + std * torch.randn(count, generator=generator)
        return torch.searchsorted(self.log_sigma, wanted).clamp(max=len(self.log_sigma) - 1)


class Ema(nn.Module):
    """A moving average of a model's weights, whose horizon is a tenth of the steps so far (at most `longest`)."""

    def __init__(self, model: nn.Module, longest: int = 1500):
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.longest = longest

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes one step of the average."""
        share = 1 / min(1 + step / 10, self.longest)
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), share)


def cell_weights(masks: np.ndarray, size: int) -> torch.Tensor:
    """Alpha (B, H, W) uint8 -> loss weights (B, 1, size, size) of mean 1 a picture."""
    cover = F.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(masks)).float()[:, None] / 255, size)
    weights = 1 + (OBJECT_WEIGHT - 1) * cover
    return weights / weights.mean(dim=(1, 2, 3), keepdim=True)


def learning_rate(share: float) -> float:
    """Warm-up over 2 % of the time, level, then a straight fall from FALL_FROM on to 2 % of the peak."""
    if share < 0.02:
        return PEAK_LR * max(share / 0.02, 0.02)
    return PEAK_LR * max(0.02, min(1.0, (1 - share) / (1 - FALL_FROM)))


class Denoiser(nn.Module):
    """UNet and text tower as one module, so that one optimizer, one average and one checkpoint hold both."""

    def __init__(self, unet: nn.Module, text: nn.Module):
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Noisy latents (B, C, h, w), timesteps (B,), ids (B, tokens) -> predicted v (B, C, h, w)."""
        return self.unet(noisy, timesteps, self.text(input_ids=ids).last_hidden_state).sample


class Batches(Dataset):
    """Training batches by (seed, step): latents, noise, timesteps, ids of captions and loss weights of `size` pictures.

    Pictures, masks and facts come from `data`, and `latents` (n, 2 C, h, w) holds each one's posterior mean and
    deviation, from which the clean latent is drawn anew every time.
    """

    def __init__(self, data: cache.Cache, latents: np.ndarray, seed: int, size: int):
        self.data, self.latents, self.seed, self.size = data, latents, seed, size
        self.captions, self.tokenizer = Captions(), world_tokenizer()
        self.levels = NoiseLevels(scheduler().alphas_cumprod)

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, step))
        index = np.sort(rng.integers(len(self.latents), size=self.size))
        mean, std = torch.from_numpy(self.latents[index]).float().chunk(2, dim=1)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        clean = mean + std * torch.randn(mean.shape, generator=generator)
        texts, _ = self.captions.write([self.data.meta[i] for i in index], rng)
        texts = ["" if rng.random() < CAPTION_DROPOUT else t for t in texts]
        return {
            "clean": clean,
            "ids": self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids,
            "weights": cell_weights(self.data.masks[index], mean.shape[-1]),
            "timesteps": self.levels.draw(self.size, generator),
            "noise": torch.randn(clean.shape, generator=generator),
        }


def train(args) -> None:
    """Trains until the minutes are spent and writes `out/unet` and `out/text_encoder` from the average."""
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import CLIPTextModel

    device, seed = jobs.device_for(args.threads), args.seed or 0
    torch.manual_seed(seed)
    data = cache.open(args.work / "world")
    if not (args.work / "latents.npy").exists():
        autoencoder.encode(args.vae, args.work, args.pictures)
    latents = np.load(args.work / "latents.npy")  # in memory: 8 KB a picture
    source = args.resume_from or args.clip
    text = CLIPTextModel.from_pretrained(source / "text_encoder", torch_dtype=torch.float32)
    unet = load_unet(args.resume_from) if args.resume_from else build(args.scale, latents.shape[-1])
    if device.type == "cpu":  # the fused kernel's backward is several times slower than plain products on a CPU
        unet.set_attn_processor(AttnProcessor())
        text.set_attn_implementation("eager")
    model = Denoiser(unet, text).to(device).train()
    ema, opt = Ema(model), jobs.optimizer(model, WEIGHT_DECAY, betas=(0.9, 0.99))
    in_text = {id(p) for p in model.text.parameters()}
    opt.param_groups[:] = [
        {**g, "params": [p for p in g["params"] if (id(p) in in_text) == is_text]}
        for g in opt.param_groups
        for is_text in (False, True)
    ]
    start = args.resume_from and args.resume_from / "unet" / "diffusion_pytorch_model.safetensors"
    parts = {"model": model, "ema": ema, "optimizer": opt}
    job = jobs.Job("unet", args.work, args.minutes, parts, start=start, fresh=args.fresh)
    denoise = torch.compile(model) if args.compile else model
    noise_schedule = scheduler()
    batches = jobs.batches(Batches(data, latents, seed, args.batch or BATCH[device.type]), job.step, args.workers)
    for step, batch in zip(job.steps(), batches, strict=False):
        clean, noise, timesteps, ids, weights = (
            batch[k].to(device, non_blocking=True) for k in ("clean", "noise", "timesteps", "ids", "weights")
        )
        noisy = noise_schedule.add_noise(clean, noise, timesteps)
        target = noise_schedule.get_velocity(clean, noise, timesteps)
        for group, share in zip(opt.param_groups, itertools.cycle((1.0, TEXT_LR_SHARE))):
            group["lr"] = learning_rate(job.share) * share
        with jobs.autocast(device, args.fp32):
            predicted = denoise(noisy, timesteps, ids)
        loss = (weights * (predicted.float() - target).square()).mean()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        ema.update(model, step)
        job.tick(loss)
        if job.due() and args.sheets:
            with job.pause():
                save(ema.model, args.out, job.log)
    save(ema.model, args.out, job.log)


def load_unet(folder: Path):
    """The UNet in `folder/unet`, in float32."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)


def save(model: Denoiser, out: Path, log: list) -> None:
    """Writes both parts as float32 folders; `assemble` makes the shipped pipeline of them."""
    model.unet.save_pretrained(out / "unet")
    model.text.save_pretrained(out / "text_encoder")
    (out / "training.json").write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    options = jobs.parser(__doc__)
    options.add_argument("--vae", type=Path, default=Path(".pretrain/vae"), help="whose latents it learns")
    options.add_argument("--clip", type=Path, default=Path(".pretrain/clip-pipeline"), help="its text tower")
    options.add_argument("--resume-from", type=Path, help="folder with unet and text_encoder to go on from, instead")
    options.add_argument("--pictures", type=int, default=LATENTS, help="pictures that are encoded, once")
    options.add_argument("--compile", action="store_true", help="torch.compile: a minute first, then faster on a GPU")
    options.add_argument("--sheets", action="store_true", help="write the average every five minutes, to look at")
    train(options.parse_args())
