"""The toy model's AutoencoderKL: 128 px pictures to 16 x 16 latents of 8 channels, each with unit variance.

    python -m training.pretrain.autoencoder --minutes 30 --out .pretrain/vae
    python -m training.pretrain.autoencoder --minutes 60 --out .pretrain/vae --decoder-only

Trained on crops (it is fully convolutional), then on whole pictures. Thin where the picture is large: the full-
resolution level costs most and matters least. `--decoder-only` goes on with the decoder while the encoder, and so
every latent that was encoded with it, stays as it is. When it ends, the statistics of the latent's channels are
folded into the two 1 x 1 quant convolutions, so `scaling_factor` is 1.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from training.pretrain import jobs
from training.pretrain.toyworld import cache
from training.pretrain.toyworld.pixels import to_pixels

CHANNELS = (16, 32, 96, 192)
LATENT_CHANNELS = 8
PEAK_LR = 1.5e-3
CROPS = {"cpu": 16, "cuda": 96}  # in a batch
KL_WEIGHT = 1e-5
WHOLE_FROM = 0.7  # share of the time after which whole pictures are seen instead of crops
ENCODED = 200  # pictures at a time
HELD_BACK = 500  # last pictures of the cache, for the PSNR


def build(scale: float = 1.0):
    """An untrained AutoencoderKL, f = 8, one layer a block, no attention in the middle."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=tuple(max(8, int(c * scale) // 8 * 8) for c in CHANNELS),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=128,
        scaling_factor=1.0,
    )


def laplacian(x: torch.Tensor) -> torch.Tensor:
    """What a 5 x 5 box blur takes away: edges, eyes, decals."""
    return x - F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, 1)


def reconstruction_loss(decoded: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """L1 of the picture and of its Laplacian; the second keeps small things sharp."""
    return F.l1_loss(decoded, real) + 1.5 * F.l1_loss(laplacian(decoded), laplacian(real))


class Crops(Dataset):
    """Batches of square crops by (seed, step), (size, crop_px, crop_px, 3) uint8, mirrored half of the time."""

    def __init__(self, pictures: np.ndarray, seed: int, crop_px: int, size: int):
        self.pictures, self.seed, self.crop_px, self.size = pictures, seed, crop_px, size

    def __getitem__(self, step: int) -> np.ndarray:
        rng, side = np.random.default_rng((self.seed, step)), self.crop_px
        index = np.sort(rng.integers(len(self.pictures), size=self.size))
        corner = rng.integers(0, self.pictures.shape[1] - side + 1, size=(self.size, 2))
        crops = [self.pictures[i, y : y + side, x : x + side] for i, (y, x) in zip(index, corner, strict=True)]
        return np.stack(crops)[:, :, :: -1 if rng.random() < 0.5 else 1].copy()


@torch.no_grad()
def psnr(vae, pictures: np.ndarray, count: int = 200) -> float:
    """Mean PSNR in dB over `count` pictures, encoded to the posterior's mean and decoded in float32."""
    values = []
    for start in range(0, min(count, len(pictures)), 20):
        real = to_pixels(pictures[start : start + 20], vae.device)
        decoded = vae.decode(vae.encode(real).latent_dist.mean).sample.clamp(-1, 1)
        mse = ((decoded - real) / 2).square().mean(dim=(1, 2, 3))
        values += (-10 * mse.log10()).tolist()
    return sum(values) / len(values)


@torch.no_grad()
def fold_statistics(vae, pictures: np.ndarray, count: int = 1000) -> None:
    """Makes every latent channel zero-mean and unit-variance by changing the quant convolutions only (exact)."""
    latents = [vae.encode(to_pixels(pictures[s : s + 20], vae.device)).latent_dist.mean for s in range(0, count, 20)]
    z = torch.cat(latents)
    mean, std = z.mean(dim=(0, 2, 3)), z.std(dim=(0, 2, 3))
    n = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias += post.weight[:, :, 0, 0] @ mean  # first undo: z = std * z' + mean
    post.weight *= std[None, :, None, None]
    quant.bias[:n] = (quant.bias[:n] - mean) / std
    quant.weight[:n] /= std[:, None, None, None]
    quant.bias[n:] -= 2 * std.log()  # the posterior's log-variance moves with it


def train(args) -> None:
    """Trains until the minutes are spent, folds the statistics, writes the folder and prints the PSNR."""
    device = jobs.device_for(args.threads)
    torch.manual_seed(args.seed or 0)
    pictures = cache.open(args.work / "world").images
    held_back, pictures = pictures[-HELD_BACK:], pictures[:-HELD_BACK]
    start = args.resume_from or (args.out if args.decoder_only else None)
    vae = (load(start) if start else build(args.scale)).to(device)
    if args.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    opt = jobs.optimizer(vae, 1e-3, betas=(0.9, 0.99))
    part = "decoder" if args.decoder_only else "autoencoder"
    weights = start and start / "diffusion_pytorch_model.safetensors"
    parts = {"model": vae, "optimizer": opt}
    job = jobs.Job(part, args.work, args.minutes, parts, start=weights, fresh=args.fresh)
    peak = PEAK_LR * (0.5 if start else 1)
    crop_px, batches, pixels = 0, None, (args.batch or CROPS[device.type]) * 64**2
    for step in job.steps():
        wanted = 128 if args.decoder_only or job.share > WHOLE_FROM else 64
        if wanted != crop_px:
            crop_px = wanted
            crops = Crops(pictures, args.seed or 0, crop_px, max(1, pixels // crop_px**2))
            batches = iter(jobs.batches(crops, step, args.workers))
        real = to_pixels(next(batches), device)
        for group in opt.param_groups:
            group["lr"] = jobs.learning_rate(peak, job.share)
        with jobs.autocast(device, args.fp32):
            with torch.set_grad_enabled(not args.decoder_only):
                posterior = vae.encode(real).latent_dist
            decoded = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(decoded.float(), real)
        if not args.decoder_only:
            loss = loss + KL_WEIGHT * posterior.kl().float().mean() / posterior.mean[0].numel()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        opt.step()
        job.tick(loss)
        if job.due():
            with job.pause():
                job.report({"psnr": round(psnr(vae, held_back, 60), 2)})
    vae.eval()
    if not args.decoder_only:
        fold_statistics(vae, pictures)
    job.report({"final_psnr": round(psnr(vae, held_back, HELD_BACK), 2)})
    vae.save_pretrained(args.out)
    (args.out / f"{part}.json").write_text(json.dumps(job.log, indent=1))


def load(folder: Path):
    """The autoencoder in `folder`, in float32."""
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)


@torch.no_grad()
def encode(vae_folder: Path, work: Path, limit: int | None = None) -> Path:
    """Encodes cached pictures once; writes mean and deviation as float16, (n, 16, 16, 16), and returns the file."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae, pictures = load(vae_folder).to(device), cache.open(work / "world").images[:limit]
    size = vae.config.sample_size // 8
    file = work / "latents.npy"
    new = file.with_suffix(".new.npy")
    out = np.lib.format.open_memmap(new, "w+", np.float16, (len(pictures), 2 * LATENT_CHANNELS, size, size))
    for start in range(0, len(pictures), ENCODED):
        with jobs.autocast(device):
            moments = vae.encode(to_pixels(pictures[start : start + ENCODED], device)).latent_dist
        both = torch.cat([moments.mean.float(), moments.std.float()], 1)
        out[start : start + ENCODED] = both.half().cpu().numpy()
    out.flush()
    new.rename(file)
    return file


def held_out_psnr(vae_folder: Path) -> float:
    """PSNR in dB on the validation pictures, none of which was ever trained on."""
    from training.pretrain.toyworld import world

    value = psnr(load(vae_folder), np.stack([p.image for p in world.validation(200)]))
    if not math.isfinite(value):
        raise ValueError(f"{vae_folder}: the autoencoder gives no finite picture.")
    return value


if __name__ == "__main__":
    options = jobs.parser(__doc__)
    options.add_argument("--resume-from", type=Path, help="a finished autoencoder's folder to go on from, instead")
    options.add_argument("--decoder-only", action="store_true", help="keep the encoder and its latents as they are")
    train(options.parse_args())
