"""A small ViT that knows a subject again in another place: the embedded stand-in for DINO (Caron et al. 2021).

    python -m training.pretrain.dino --minutes 30 --out assets/embedded/scorers/dino

Honestly: it is an instance-discrimination ViT trained by self-distillation, on views that are not crops of one picture
but pictures of one sprite in different places, scales, lights and flips. Student and teacher (its moving average, which
is what is saved) see different views. The loss is DINO's cross-entropy of sharpened, centred prototype assignments; a
contrastive one on the class tokens themselves (MoCo v3, Chen et al. 2021), since which pictures show one subject is
known here and this invariance is all that is wanted; and a linear classifier of all glyphs of the training, which gets
it going early. A shape in another colour, squeezed, or partly recoloured is
another subject, and half of a batch are such siblings of one class, so colour, proportion and detail all have to count.
The held-out subjects' glyphs are never seen. A picture's vector is the last layer's class token, as in the real DINO.
"""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from training.pretrain import jobs, probe
from training.pretrain.toyworld import cache, world
from training.pretrain.toyworld.instances import SEED, VIEWS, batch_of_subjects, open_subjects, shapes, subjects
from training.pretrain.toyworld.pixels import PIXEL_MEAN, drop_patches, reframed, to_pixels, weathered

WIDTH, LAYERS, HEAD_WIDTH = 192, 6, 64
SUBJECTS = {"cpu": 64, "cuda": 256}  # in a batch, two views of each
PEAK_RATE, WEIGHT_DECAY = 1.5e-3, 0.05
KEPT_PATCHES, WHOLE_FROM = 0.5, 0.8  # both networks read half of the patches until 80 % of the time is spent
PROTOTYPES, STUDENT_HEAT, TEACHER_HEAT, CENTRE_RATE = 256, 0.1, 0.03, 0.1
CONTRAST_HEAT = 0.1
COLOUR_CAST = 0.06  # standard deviation of a channel's gain: much less than between two colours


def build(scale: float = 1.0):
    """A `ViTModel` with random weights and without the pooling layer that DINO does not use."""
    from transformers import ViTConfig, ViTModel

    width = max(HEAD_WIDTH, round(WIDTH * scale / HEAD_WIDTH) * HEAD_WIDTH)
    config = ViTConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=LAYERS,
        num_attention_heads=width // HEAD_WIDTH,
        image_size=world.SIZE_PX,
        patch_size=16,
    )
    return ViTModel(config, add_pooling_layer=False)


class Head(nn.Module):
    """DINO's projection head: an MLP, unit vectors, cosines with prototypes. (b, width) -> (b, PROTOTYPES)."""

    def __init__(self, width: int, hidden: int = 512, narrow: int = 128):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, narrow)
        )
        self.prototypes = nn.Parameter(0.05 * torch.randn(PROTOTYPES, narrow))  # short, so that it turns fast

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.normalize(self.mlp(x), dim=-1), F.normalize(self.prototypes, dim=-1)).float()


class Network(nn.Module):
    """The ViT with its head: pixels (b, 3, h, w) -> class tokens (b, width), prototype cosines (b, PROTOTYPES)."""

    def __init__(self, scale: float):
        super().__init__()
        self.vit = build(scale)
        self.head = Head(self.vit.config.hidden_size)
        self.shapes = nn.Linear(self.vit.config.hidden_size, int(shapes().max()) + 1)

    def forward(self, pixels: torch.Tensor, kept: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = drop_patches(self.vit.embeddings(pixels), kept)  # (b, 1 + patches, width)
        for layer in self.vit.layers:
            hidden = layer(hidden, None)
        token = self.vit.layernorm(hidden[:, 0])
        return token.float(), self.head(token)


class Centre(nn.Module):
    """The moving mean of the teacher's outputs, which keeps all prototypes in use (DINO, section 3.1)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(PROTOTYPES))

    @torch.no_grad()
    def sharpen(self, cosines: torch.Tensor) -> torch.Tensor:
        """The teacher's assignments (b, PROTOTYPES): centred, sharpened; then the mean moves on."""
        targets = ((cosines - self.mean) / TEACHER_HEAT).softmax(-1)
        self.mean.lerp_(cosines.mean(0), CENTRE_RATE)
        return targets


def distillation_loss(student: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """DINO's cross-entropy of each view of the student with the other view of the teacher; both (2 b, PROTOTYPES)."""
    return -(targets.roll(len(targets) // 2, 0) * (student / STUDENT_HEAT).log_softmax(-1)).sum(-1).mean()


def contrastive_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """InfoNCE of class tokens (2 b, width): a view of the student against the other views of the teacher (MoCo v3)."""
    target = torch.arange(len(student) // 2, device=student.device)
    first, second = F.normalize(student, dim=-1).chunk(2)
    keys_first, keys_second = F.normalize(teacher, dim=-1).chunk(2)
    logits = first @ keys_second.T / CONTRAST_HEAT, second @ keys_first.T / CONTRAST_HEAT
    return sum(F.cross_entropy(part, target) for part in logits) / 2


class Batches(Dataset):
    """Training batches by (seed, step): two different pictures of each of `size` subjects.

    `images` (2 size, h, w, 3) uint8 are in the order in which weather falls on them (it falls on the first ones of a
    batch); `back` puts them into the order of all first views, then all second ones; `shapes` (2 size,) says which
    glyph each then shows.
    """

    def __init__(self, data: cache.Cache, views: int, seed: int, size: int):
        self.data, self.views, self.seed, self.size = data, views, seed, size
        names = np.array([subject.family for subject in subjects()])
        self.families = [np.flatnonzero(names == name) for name in np.unique(names)]

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self.seed, step])
        chosen = batch_of_subjects(self.families, self.size, rng)
        first = rng.integers(self.views, size=len(chosen))
        second = (first + rng.integers(1, self.views, size=len(chosen))) % self.views
        pictures = np.concatenate([chosen * self.views + first, chosen * self.views + second])
        order = rng.permutation(len(pictures))
        images = self.data.images[pictures[order]]
        return {"images": images, "back": np.argsort(order), "shapes": np.tile(shapes()[chosen], 2)}


def train(
    out: Path,
    minutes: float,
    *,
    scale: float = 1.0,
    seed: int = SEED,
    batch: int | None = None,
    threads: int = 2,
    workers: int = 0,
    views: int = VIEWS,
    work: Path = jobs.WORK,
    fp32: bool = False,
    fresh: bool = False,
    resume_from: Path | None = None,
) -> dict[str, float]:
    """Trains or goes on training the subject scorer, saves the teacher to `out`; returns its `probe.subject_auc`.

    `resume_from` is a folder that `save` wrote, whose ViT is the start; the heads, which nobody keeps, begin anew.
    """
    device = jobs.device_for(threads)
    batch = batch or SUBJECTS[device.type]
    torch.manual_seed(seed)
    student, centre = Network(scale).to(device).train(), Centre().to(device)
    if resume_from:
        student.vit.load_state_dict(load(resume_from).state_dict())
    if device.type == "cpu":
        student.vit.set_attn_implementation("eager")  # see clip.train
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer = jobs.optimizer(student, WEIGHT_DECAY)
    parts = {"student": student, "teacher": teacher, "centre": centre, "optimizer": optimizer}
    start = resume_from and Path(resume_from) / "model.safetensors"
    job = jobs.Job(f"dino-{scale:g}-{seed}", work, minutes, parts, start=start, fresh=fresh)
    batches = jobs.batches(Batches(open_subjects(threads, work, views), views, seed, batch), job.step, workers)
    held_out = probe.held_out_views(seed)
    job.report({"parameters": sum(p.numel() for p in student.vit.parameters()), "subjects": len(subjects())})
    for step, made in zip(job.steps(), batches, strict=False):
        torch.manual_seed(seed * 1_000_003 + step)
        pixels = weathered(to_pixels(made["images"], device), COLOUR_CAST)
        pixels = reframed(pixels, np.random.default_rng([seed, step, 1]))[made["back"].to(device)]
        kept = KEPT_PATCHES if job.share < WHOLE_FROM else 1.0
        for group in optimizer.param_groups:
            group["lr"] = jobs.learning_rate(PEAK_RATE, job.share)
        with jobs.autocast(device, fp32):
            with torch.no_grad():
                seen, assigned = teacher(pixels, kept)
            token, cosines = student(pixels, kept)
        loss = contrastive_loss(token, seen) + 0.1 * distillation_loss(cosines, centre.sharpen(assigned))
        loss = loss + F.cross_entropy(student.shapes(token), made["shapes"].to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():  # the teacher's memory grows from 70 to 1,000 steps
            rate = 0.001 + 0.014 * 0.5 * (1 + math.cos(math.pi * job.share))
            torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), rate)
        job.tick(loss)
        if job.due():
            with job.pause():
                job.report(probe.subject_auc(embedder(teacher.vit), held_out))
    figures = probe.subject_auc(embedder(teacher.vit), held_out)
    job.report(figures)
    save(teacher.vit, Path(out), job, {"seed": seed, "threads": threads, "batch": batch})
    return figures


def embedder(vit):
    """Pictures (n, h, w, 3) uint8 -> unit class tokens (n, width), as `probe` wants it."""

    @torch.no_grad()
    def embed(arrays: list[np.ndarray]) -> np.ndarray:
        vit.eval()
        parts = [to_pixels(np.stack(arrays[i : i + 100]), vit.device) for i in range(0, len(arrays), 100)]
        return torch.cat([F.normalize(vit(p).last_hidden_state[:, 0], dim=-1) for p in parts]).cpu().numpy()

    return embed


def load(folder: Path):
    """The ViT in a folder that `save` wrote, in float32."""
    from transformers import ViTModel

    return ViTModel.from_pretrained(folder, torch_dtype=torch.float32, add_pooling_layer=False)


def save(vit, out: Path, job: jobs.Job, facts: dict) -> None:
    """Writes the model folder: config, float16 weights, preprocessor_config.json, training.json."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    jobs.save_half(vit, out)
    square, mean = {"height": world.SIZE_PX, "width": world.SIZE_PX}, [PIXEL_MEAN] * 3
    ViTImageProcessorPil(size=square, resample=3, image_mean=mean, image_std=mean).save_pretrained(out)
    record = {"name": job.name, "minutes": round(job.seconds / 60, 1), "steps": job.step, **facts, "log": job.log}
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    options = jobs.parser(__doc__)
    options.add_argument("--views", type=int, default=VIEWS, help="pictures of each subject")
    options.add_argument("--resume-from", type=Path, help="a finished judge's folder to go on from")
    chosen = options.parse_args()
    train(
        chosen.out,
        chosen.minutes,
        scale=chosen.scale,
        seed=SEED if chosen.seed is None else chosen.seed,
        batch=chosen.batch,
        threads=chosen.threads,
        workers=chosen.workers,
        views=chosen.views,
        work=chosen.work,
        fp32=chosen.fp32,
        fresh=chosen.fresh,
        resume_from=chosen.resume_from,
    )
