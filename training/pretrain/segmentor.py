"""The embedded segmentor: which ADE20K class is at each pixel of a picture of the world, the judge of maps.

    python -m training.pretrain.segmentor --minutes 40

UperNet (Xiao et al. 2018) on a small ResNet, in the layout of transformers, from random weights: of the layouts that
are tried on a CPU, convolutions learn fastest. It is trained on raw renders, of one object and of several, drawn as
they are needed and weathered, and never sees what a generator made. The last layer has ADE20K's 150 classes; those that
the world does not have can never win.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from training.maps import IGNORED
from training.maps.classes import NAMES
from training.pretrain import jobs, probe
from training.pretrain.toyworld import world
from training.pretrain.toyworld.pixels import PIXEL_MEAN, to_pixels, weathered
from training.pretrain.toyworld.scenes import labels_of, several, single, world_labels

WIDTHS, LAYERS, HEAD_WIDTH = (32, 64, 128, 192), (1, 2, 2, 2), 48
SEED, PEAK_RATE, WEIGHT_DECAY = 4, 2e-3, 1e-2
BATCH = {"cpu": 16, "cuda": 128}
POINTS = 2048  # pixels of each picture that the loss looks at: the same mean at an eighth of the price
SMALL_PX, WHOLE_FROM = 80, 0.5  # pictures are halved in area until half of the time is spent: twice as many are seen
SEVERAL_SHARE = 0.4  # of the pictures have more than one object
COUNTED = 500  # pictures that say how rare each class is
RAREST = 4.0  # the most that a pixel of a rare class counts, against one of a class with its even share
NEVER = -100.0  # the bias of a class that the world does not have


def build(scale: float = 1.0):
    """An untrained UperNet of ADE20K's 150 classes; `scale` multiplies the widths."""
    from transformers import ResNetConfig, UperNetConfig, UperNetForSemanticSegmentation

    widths = [max(8, round(width * scale / 8) * 8) for width in WIDTHS]
    backbone = ResNetConfig(
        embedding_size=widths[0],
        hidden_sizes=widths,
        depths=list(LAYERS),
        layer_type="basic",
        out_features=[f"stage{i}" for i in range(1, len(widths) + 1)],
    )
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=max(8, round(HEAD_WIDTH * scale / 8) * 8),
        pool_scales=[1, 2, 4],
        use_auxiliary_head=False,
        id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)},
    )
    model = UperNetForSemanticSegmentation(config)
    with torch.no_grad():  # classes that the world does not have
        classifier, missing = model.decode_head.classifier, sorted(set(range(len(NAMES))) - set(world_labels()))
        classifier.weight[missing], classifier.bias[missing] = 0.0, NEVER
    return model


def logits(model, pixels: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 150, H / 4, W / 4), before the model would enlarge them to the picture."""
    return model.decode_head(model.backbone(pixels).feature_maps)


def at_pixels(scores: torch.Tensor, chosen: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Scores (B, C, h, w) as the model would enlarge them to (height, width), at pixels `chosen` (B, n): (B, C, n)."""
    y, x = chosen // width, chosen % width
    where = torch.stack([(x + 0.5) / width, (y + 0.5) / height], -1) * 2 - 1  # (B, n, 2) in -1..1
    return F.grid_sample(scores, where[:, None], padding_mode="border", align_corners=False)[:, :, 0]


def loss_at_points(
    scores: torch.Tensor, labels: torch.Tensor, points: int = POINTS, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy of scores (B, C, h, w) with labels (B, H, W) at random pixels; 255 counts nothing.

    weights: (C,), what a pixel of each class counts.
    """
    batch, height, width = labels.shape
    chosen = torch.randint(height * width, (batch, points), device=labels.device)
    truth = labels.flatten(1).gather(1, chosen)
    return F.cross_entropy(at_pixels(scores, chosen, height, width), truth, weights, ignore_index=IGNORED)


def class_weights(labels: np.ndarray, known: Sequence[int]) -> torch.Tensor:
    """(C,) float32: what a pixel of each of the classes `known` counts, by its share of labels (n, H, W).

    The root of the even share over its own: mIoU asks for a tent as loudly as for the sky.
    """
    shares = np.bincount(labels.ravel(), minlength=IGNORED + 1)[list(known)] / np.isin(labels, known).sum()
    return torch.from_numpy(np.sqrt(1 / len(known) / shares.clip(1e-9)).clip(1 / RAREST, RAREST)).float()


class Batches(Dataset):
    """Pictures (size, h, w, 3) uint8 and labels (size, h, w) int64 by (seed, step), drawn when they are asked for."""

    def __init__(self, seed: int, size: int):
        self.seed, self.size = seed, size

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, step])
        drawn = [(several if rng.random() < SEVERAL_SHARE else single)(rng) for _ in range(self.size)]
        return np.stack([s.image for s in drawn]), np.stack([s.labels for s in drawn]).astype(np.int64)


def train(args) -> dict[str, float]:
    """Trains or goes on training until the minutes are spent; saves the segmentor and returns its scores."""
    device, seed = jobs.device_for(args.threads), SEED if args.seed is None else args.seed
    torch.manual_seed(seed)
    model = build(args.scale).to(device, memory_format=torch.channels_last).train()
    if args.resume_from:
        model.load_state_dict(load(args.resume_from).state_dict())
    optimizer = jobs.optimizer(model, WEIGHT_DECAY)
    start = args.resume_from and args.resume_from / "model.safetensors"
    parts = {"model": model, "optimizer": optimizer}
    job = jobs.Job(f"segmentor-{args.scale:g}-{seed}", args.work, args.minutes, parts, start=start, fresh=args.fresh)
    batch = args.batch or BATCH[device.type]
    job.report({"parameters": sum(p.numel() for p in model.parameters())})
    known = torch.tensor(world_labels(), device=device)
    rank = torch.full((256,), IGNORED, device=device)  # label -> its place among the world's
    rank[known] = torch.arange(len(known), device=device)
    counted = Batches(seed, COUNTED)[0][1]
    weights = class_weights(counted, world_labels()).to(device)
    made = jobs.batches(Batches(seed, batch), job.step, args.workers)
    for step, (images, labels) in zip(job.steps(), made, strict=False):
        torch.manual_seed(seed * 1_000_003 + step)
        pixels = weathered(to_pixels(images, device))
        if job.share < WHOLE_FROM:
            pixels = F.interpolate(pixels, size=SMALL_PX, mode="bilinear", antialias=True)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = jobs.learning_rate(PEAK_RATE, job.share)
        with jobs.autocast(device, args.fp32):
            scores = logits(model, pixels)
        loss = loss_at_points(scores[:, known].float(), rank[labels.to(device)], weights=weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        job.tick(loss)
        if job.due():
            with job.pause():
                job.report(accuracy(model, 20))
    figures = accuracy(model, 200)
    job.report(figures)
    save(model, args.out, job, {"seed": seed, "threads": args.threads, "batch": batch})
    return figures


@torch.no_grad()
def segment(model, images: np.ndarray) -> np.ndarray:
    """Pictures (n, h, w, 3) uint8 -> labels (n, h, w) uint8."""
    training, out = model.training, []
    model.eval()
    for start in range(0, len(images), 20):
        scores = model(to_pixels(images[start : start + 20], model.device)).logits  # (b, 150, h, w)
        out.append(scores.argmax(1).to(torch.uint8).cpu().numpy())
    model.train(training)
    return np.concatenate(out)


def accuracy(model, count: int) -> dict[str, float]:
    """mIoU over the classes present and pixel accuracy on validation pictures, and the mIoU on scenes of several."""
    pictures = world.validation(count)
    rng = np.random.default_rng([world.VALIDATION_SEED, 1])
    scenes = [several(rng) for _ in range(count)]
    one = probe.segmentation(
        segment(model, np.stack([p.image for p in pictures])), np.stack([labels_of(p.seg) for p in pictures])
    )
    more = probe.segmentation(segment(model, np.stack([s.image for s in scenes])), np.stack([s.labels for s in scenes]))
    return one | {"miou_several": more["miou"]}


def load(folder: Path):
    """The segmentor in a folder that `save` wrote, in float32."""
    from transformers import UperNetForSemanticSegmentation

    return UperNetForSemanticSegmentation.from_pretrained(folder, torch_dtype=torch.float32)


def save(model, out: Path, job: jobs.Job, facts: dict) -> None:
    """Writes the model folder: config, float16 weights, preprocessor_config.json, training.json."""
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    model = model.to(memory_format=torch.contiguous_format)
    jobs.save_half(model, out)
    square, mean = {"height": world.SIZE_PX, "width": world.SIZE_PX}, [PIXEL_MEAN] * 3
    SegformerImageProcessorPil(size=square, image_mean=mean, image_std=mean, do_reduce_labels=True).save_pretrained(out)
    record = {"name": job.name, "minutes": round(job.seconds / 60, 1), "steps": job.step, **facts, "log": job.log}
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    options = jobs.parser(__doc__, out=jobs.WORK / "segmentor")
    options.add_argument("--resume-from", type=Path, help="a finished segmentor's folder to go on from")
    print(train(options.parse_args()))
