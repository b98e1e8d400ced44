"""The embedded ControlNet (Zhang et al. 2023): maps of the world, in ADE20K's colours, steer the embedded UNet.

    python -m training.pretrain.controlnet --minutes 40

A copy of the UNet's encoder with zero convolutions, trained on the world's own pictures of one object and their exact
maps while the UNet, its text tower and its autoencoder stay as they are. Outlines are decided at high noise, so levels
are drawn higher than the UNet's, and cells of the latent that an outline crosses count three times. What begins anew
(the map's encoder, the zero convolutions) learns four times as fast as what is copied.

First the map's encoder learns alone, for a fifth of the price of a step: to give what the UNet's first convolution
gives for the clean picture, as far as a map tells. The copied encoder then meets what it can read, and not noise.
"""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

import assets
from training.maps.colours import control
from training.pretrain import autoencoder, jobs
from training.pretrain.tokenizer import world_tokenizer
from training.pretrain.toyworld import cache, world
from training.pretrain.toyworld.captions import Captions
from training.pretrain.toyworld.scenes import labels_of
from training.pretrain.unet import Ema, NoiseLevels, load_unet, scheduler

HINT_WIDTHS = (16, 32, 64, 96)  # four of them halve a map three times: 128 px to 16 cells
SEED, PEAK_RATE, WEIGHT_DECAY = 5, 4e-4, 1e-2
FALL_FROM = 0.6  # share of the time after which the learning rate falls linearly
CAPTION_DROPOUT = 0.3  # so that the map alone says what is where
LOG_SIGMA_MEAN, LOG_SIGMA_STD = 0.7, 1.0
NEW_RATE_FACTOR = 4.0
ALONE_STEPS = 250  # that the map's encoder learns alone
OUTLINE_WEIGHT = 3.0  # of a cell that an outline crosses, against 1
BATCH = {"cpu": 8, "cuda": 128}
PICTURES = {"cpu": 2400, "cuda": 20_000}  # with maps: what is encoded in a minute or two


def build(unet):
    """A ControlNet that begins as the encoder of `unet` and changes nothing yet."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_WIDTHS)


def learning_rate(share: float) -> float:
    """Warm-up over 3 % of the time, level, then a straight fall from FALL_FROM on to 2 % of the peak."""
    return PEAK_RATE * max(0.02, min(share / 0.03, 1.0, (1 - share) / (1 - FALL_FROM)))


def outline_weights(labels: np.ndarray, size: int) -> torch.Tensor:
    """Labels (B, H, W) -> loss weights (B, 1, size, size) of mean 1 a picture."""
    batch, height, width = labels.shape
    cells = labels.reshape(batch, size, height // size, size, width // size)
    crossed = cells.max((2, 4)) != cells.min((2, 4))
    weights = torch.from_numpy(np.where(crossed, OUTLINE_WEIGHT, 1.0).astype(np.float32))[:, None]
    return weights / weights.mean(dim=(1, 2, 3), keepdim=True)


def draw_mapped(seed: int, chunk: int):
    """One chunk of `cache.render`: pictures, their labels in the place of masks, and what is known of each."""
    rng, drawer = np.random.default_rng([seed, chunk]), world.World()
    pictures = [drawer.draw(rng) for _ in range(cache.CHUNK)]
    facts = [{name: getattr(p, name) for name in ("class_word", "colour", "place", "style")} for p in pictures]
    return [p.image for p in pictures], [labels_of(p.seg) for p in pictures], facts


def mapped(work: Path, count: int, workers: int, vae: Path) -> tuple[cache.Cache, np.ndarray]:
    """The pictures with maps in `work/mapped`, drawn and encoded once: their cache, and (n, 2 C, h, w) latents."""
    folder = Path(work) / "mapped"
    data = cache.render(folder / "world", count, draw_mapped, workers=workers, seed=SEED)
    if not (folder / "latents.npy").exists():
        autoencoder.encode(vae, folder)
    return data, np.load(folder / "latents.npy")


class Batches(Dataset):
    """Training batches by (seed, step): latents, noise, timesteps, caption ids, maps in colours and loss weights."""

    def __init__(self, data: cache.Cache, latents: np.ndarray, seed: int, size: int):
        self.data, self.latents, self.seed, self.size = data, latents, seed, size
        self.captions, self.tokenizer = Captions(), world_tokenizer()
        self.levels = NoiseLevels(scheduler().alphas_cumprod)

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, step))
        index = np.sort(rng.integers(len(self.latents), size=self.size))
        mean, std = torch.from_numpy(self.latents[index]).float().chunk(2, dim=1)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        texts, _ = self.captions.write([self.data.meta[i] for i in index], rng)
        texts = ["" if rng.random() < CAPTION_DROPOUT else text for text in texts]
        labels = self.data.masks[index]
        return {
            "clean": mean + std * torch.randn(mean.shape, generator=generator),
            "ids": self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids,
            "maps": control(labels),
            "weights": outline_weights(labels, mean.shape[-1]),
            "timesteps": self.levels.draw(self.size, generator, LOG_SIGMA_MEAN, LOG_SIGMA_STD),
            "noise": torch.randn(mean.shape, generator=generator),
        }


def steered_loss(model, unet, text, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The v-loss of the UNet with the ControlNet's help, outlines weighted."""
    schedule = scheduler()
    noisy = schedule.add_noise(batch["clean"], batch["noise"], batch["timesteps"])
    target = schedule.get_velocity(batch["clean"], batch["noise"], batch["timesteps"])
    with torch.no_grad():
        hidden = text(input_ids=batch["ids"]).last_hidden_state
    down, mid = model(noisy, batch["timesteps"], hidden, batch["maps"], return_dict=False)
    predicted = unet(
        noisy,
        batch["timesteps"],
        hidden,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
    ).sample
    return (batch["weights"] * (predicted.float() - target).square()).mean()


def train(args) -> None:
    """Trains or goes on training until the minutes are spent and saves the average to `args.out`."""
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import CLIPTextModel

    device, seed = jobs.device_for(args.threads), SEED if args.seed is None else args.seed
    torch.manual_seed(seed)
    data, latents = mapped(args.work, args.pictures or PICTURES[device.type], args.threads, args.base / "vae")
    unet = load_unet(args.base).to(device).eval().requires_grad_(False)
    text = CLIPTextModel.from_pretrained(args.base / "text_encoder", torch_dtype=torch.float32).to(device).eval()
    model = (load(args.resume_from) if args.resume_from else build(unet)).to(device).train().requires_grad_(True)
    if device.type == "cpu":  # the fused kernel's backward is several times slower than plain products on a CPU
        unet.set_attn_processor(AttnProcessor())
        model.set_attn_processor(AttnProcessor())
        text.set_attn_implementation("eager")
    model = model.to(memory_format=torch.channels_last)
    ema, optimizer = Ema(model), jobs.optimizer(model, WEIGHT_DECAY, betas=(0.9, 0.99))
    new = {id(p) for name, p in model.named_parameters() if name.startswith("controlnet_")}
    optimizer.param_groups[:] = [
        {**group, "params": [p for p in group["params"] if (id(p) in new) == is_new]}
        for group in optimizer.param_groups
        for is_new in (False, True)
    ]
    start = (args.resume_from or args.base / "unet") / "diffusion_pytorch_model.safetensors"
    parts = {"model": model, "ema": ema, "optimizer": optimizer}
    job = jobs.Job(f"controlnet-{seed}", args.work, args.minutes, parts, start=start, fresh=args.fresh)
    job.log[0]["continued"] = bool(args.resume_from)  # the base it copies is no training of its own
    job.report({"parameters": sum(p.numel() for p in model.parameters()), "pictures": len(data)})
    batch_size = args.batch or BATCH[device.type]
    made = jobs.batches(Batches(data, latents, seed, batch_size), job.step, args.workers)
    for step, batch in zip(job.steps(), made, strict=False):
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        for group, factor in zip(optimizer.param_groups, itertools.cycle((1.0, NEW_RATE_FACTOR))):
            group["lr"] = learning_rate(job.share) * factor
        with jobs.autocast(device, args.fp32):
            if step < ALONE_STEPS and not args.resume_from:
                loss = F.mse_loss(model.controlnet_cond_embedding(batch["maps"]), unet.conv_in(batch["clean"]))
            else:
                loss = steered_loss(model, unet, text, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model, step)
        job.tick(loss)
        if job.due():
            with job.pause():
                save(ema.model, args.out, job, {"seed": seed, "threads": args.threads, "batch": batch_size})
    save(ema.model, args.out, job, {"seed": seed, "threads": args.threads, "batch": batch_size})


def load(folder: Path):
    """The ControlNet in a folder that `save` wrote, in float32."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_pretrained(folder, torch_dtype=torch.float32)


def save(model, out: Path, job: jobs.Job, facts: dict) -> None:
    """Writes the model folder: config, float16 weights, training.json."""
    copy.deepcopy(model).to(memory_format=torch.contiguous_format).half().save_pretrained(out)
    record = {"name": job.name, "minutes": round(job.seconds / 60, 1), "steps": job.step, **facts, "log": job.log}
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    options = jobs.parser(__doc__, out=jobs.WORK / "controlnet")
    options.add_argument(
        "--base", type=Path, default=assets.path("embedded", "pipeline"), help="the pipeline it steers"
    )
    options.add_argument("--resume-from", type=Path, help="a finished ControlNet's folder to go on from")
    options.add_argument("--pictures", type=int, help="with maps, drawn and encoded once (default: by device)")
    train(options.parse_args())
