"""CLIP on the toy world (Radford et al. 2021), twice: the pipeline's text tower, and an independent scorer.

    python -m training.pretrain.clip --role pipeline --minutes 20 --out .pretrain/clip-pipeline
    python -m training.pretrain.clip --role scorer   --minutes 30 --out assets/embedded/scorers/clip

Both are `transformers.CLIPModel`s of their own size and seed, trained contrastively on raw renders. Three changes to
the recipe: a text that is also true of another picture of the batch is no negative of it (with some 70 objects and
twelve places a batch is full of them); beside its own caption every picture is held against the names of all classes,
since the places, which are much easier, hide the objects for long (after 300 steps 21 % of objects are named instead of
6 %); and for most of the time the image tower reads a random half of the patches (FLIP, Li et al. 2023), which costs
half. Now and then a strange word is put into a caption, so that a rare token changes little of what the text tower
makes of the words beside it. The rare tokens themselves are never read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from training.pretrain import jobs, probe
from training.pretrain.tokenizer import save_tokenizer, world_tokenizer
from training.pretrain.toyworld import cache, world
from training.pretrain.toyworld.captions import Captions, roll_call
from training.pretrain.toyworld.pixels import PIXEL_MEAN, drop_patches, to_pixels, weathered

BATCH = {"cpu": 128, "cuda": 512}
PEAK_RATE, WEIGHT_DECAY = 1.5e-3, 0.1
KEPT_PATCHES, WHOLE_FROM = 0.5, 0.8  # half of the patches until 80 % of the time is spent
DOUBLE_SHARE, DOUBLE_EVERY = 0.3, 8  # of captions are said twice in every 8th batch, for the later positions


@dataclass(frozen=True)
class Role:
    """A size and a seed. Widths are multiples of 64 at scale 1; heads are 64 wide, as in CLIP."""

    seed: int
    image_width: int
    image_layers: int
    text_width: int
    text_layers: int
    projection: int = 192


ROLES = {"pipeline": Role(1, 192, 4, 192, 4), "scorer": Role(2, 192, 6, 128, 3)}


def build(role: Role, tokenizer, scale: float = 1.0):
    """A `CLIPModel` with random weights, whose pooled text is the one at the first eos (see the ids in its config)."""
    from transformers import CLIPConfig, CLIPModel

    def tower(width: int, layers: int) -> dict:
        width = max(64, round(width * scale / 64) * 64)
        sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64}
        return sizes | {"num_hidden_layers": layers, "hidden_act": "gelu", "projection_dim": role.projection}

    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": tokenizer.model_max_length, **ids}
    image = {"image_size": world.SIZE_PX, "patch_size": 16}
    config = CLIPConfig(
        text_config=tower(role.text_width, role.text_layers) | text,
        vision_config=tower(role.image_width, role.image_layers) | image,
        projection_dim=role.projection,
    )
    return CLIPModel(config)


def image_vectors(model, pixels: torch.Tensor, kept: float = 1.0) -> torch.Tensor:
    """Unit vectors (b, d) of pixels (b, 3, h, w); with `kept` < 1 from a random share of the patches."""
    tower = model.vision_model
    hidden = drop_patches(tower.embeddings(pixels), kept)  # (b, 1 + patches, width)
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
    return F.normalize(model.visual_projection(tower.post_layernorm(hidden[:, 0])).float(), dim=-1)


def text_vectors(model, ids: torch.Tensor) -> torch.Tensor:
    """Unit vectors (b, d) of the token ids (b, tokens) of texts."""
    pooled = model.text_model(input_ids=ids.to(model.device)).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, true: torch.Tensor
) -> torch.Tensor:
    """Symmetric cross-entropy of (b, d) pairs; pairs beside the diagonal that `true` (b, b) names are left out."""
    logits = scale * texts @ images.T  # (texts, images)
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(true.to(logits.device) & ~diagonal, -math.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Batches(Dataset):
    """Training batches by (seed, step): `size` pictures, their captions, and the roll call of all classes.

    `images` (size, h, w, 3) uint8; `ids` (size + classes, tokens) of the captions, then of the roll call; `true`
    (size, size) as of `Captions.true_of`; `words` (size,), the number of each picture's class.
    """

    def __init__(self, data: cache.Cache, seed: int, size: int):
        self.data, self.seed, self.size = data, seed, size
        self.captions, self.tokenizer = Captions(), world_tokenizer()

    def __getitem__(self, step: int) -> dict[str, np.ndarray | torch.Tensor]:
        rng = np.random.default_rng([self.seed, step])
        chosen = np.sort(rng.choice(len(self.data), self.size, replace=False))
        facts = [self.data.meta[i] for i in chosen]
        texts, said = self.captions.write(facts, rng, DOUBLE_SHARE if step % DOUBLE_EVERY == 0 else 0.0)
        return {
            "images": self.data.images[chosen],
            "ids": ids_of(self.tokenizer, texts + roll_call(rng)),
            "true": self.captions.true_of(said, facts),
            "words": np.array([world.CLASSES.index(fact["class_word"]) for fact in facts]),
        }


def ids_of(tokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids (b, tokens) of texts, padded to the longest."""
    return tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids


def train(
    role_name: str,
    out: Path,
    minutes: float,
    *,
    scale: float = 1.0,
    seed: int | None = None,
    batch: int | None = None,
    threads: int = 2,
    workers: int = 0,
    work: Path = jobs.WORK,
    pictures: int = cache.PICTURES,
    fp32: bool = False,
    fresh: bool = False,
    resume_from: Path | None = None,
) -> dict[str, float]:
    """Trains or goes on training one of the two CLIPs, saves it to `out`, and returns its zero-shot accuracies.

    `resume_from` is a folder that `save` wrote, whose weights are the start.
    """
    role = ROLES[role_name]
    seed = role.seed if seed is None else seed
    device = jobs.device_for(threads)
    batch = batch or BATCH[device.type]
    tokenizer = world_tokenizer()
    torch.manual_seed(seed)
    model = build(role, tokenizer, scale).to(device).train()
    if device.type == "cpu":
        model.set_attn_implementation("eager")  # the fused kernel's backward is 5 times slower in bfloat16 on a CPU
    if resume_from:
        model.load_state_dict(load(resume_from).state_dict())
    optimizer = jobs.optimizer(model, WEIGHT_DECAY)
    name, start = f"clip-{role_name}-{scale:g}-{seed}", resume_from and Path(resume_from) / "model.safetensors"
    job = jobs.Job(name, work, minutes, {"model": model, "optimizer": optimizer}, start=start, fresh=fresh)
    data = cache.open_world(pictures, threads, work)
    batches = jobs.batches(Batches(data, seed, batch), job.step, workers)
    fresh_pictures = world.World().batch(world.VALIDATION_SEED + seed, 600)
    job.report({"parameters": sum(p.numel() for p in model.parameters()), "pictures": len(data)})
    for step, made in zip(job.steps(), batches, strict=False):
        torch.manual_seed(seed * 1_000_003 + step)
        pixels = weathered(to_pixels(made["images"], device))
        kept = KEPT_PATCHES if job.share < WHOLE_FROM else 1.0
        for group in optimizer.param_groups:
            group["lr"] = jobs.learning_rate(PEAK_RATE, job.share)
        with jobs.autocast(device, fp32):
            seen, read = image_vectors(model, pixels, kept), text_vectors(model, made["ids"])
        names, read = read[len(seen) :], read[: len(seen)]
        factor, words = model.logit_scale.exp(), made["words"].to(device)
        loss = contrastive_loss(seen, read, factor, made["true"]) + F.cross_entropy(factor * seen @ names.T, words)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        job.tick(loss)
        if job.due():
            with job.pause():
                job.report(accuracy(model, tokenizer, fresh_pictures))
    level_unread_words(model.text_model.embeddings.token_embedding.weight, tokenizer)
    figures = accuracy(model, tokenizer, fresh_pictures)
    unseen_pairs = world.World("held-out").batch(world.VALIDATION_SEED + seed, 600)
    figures |= {f"held-out pairs, {k}": v for k, v in accuracy(model, tokenizer, unseen_pairs).items()}
    job.report(figures)
    save(model, tokenizer, Path(out), role_name, job, {"seed": seed, "threads": threads, "batch": batch})
    return figures


@torch.no_grad()
def accuracy(model, tokenizer, pictures: list) -> dict[str, float]:
    """`probe.zero_shot` of a model in training."""
    training = model.training
    model.eval()

    def images(arrays: list[np.ndarray]) -> np.ndarray:
        parts = [np.stack(arrays[i : i + 100]) for i in range(0, len(arrays), 100)]
        return np.concatenate([image_vectors(model, to_pixels(p, model.device)).cpu().numpy() for p in parts])

    figures = probe.zero_shot(
        images, lambda texts: text_vectors(model, ids_of(tokenizer, texts)).cpu().numpy(), pictures
    )
    model.train(training)
    return figures


@torch.no_grad()
def level_unread_words(table: torch.Tensor, tokenizer) -> None:
    """Gives words that no caption contains (rare tokens above all) the length of those that were read; (vocabulary, d).

    Their random rows stayed as short as they began; beside trained ones they would be nearly the same nothing.
    """
    read = torch.zeros(len(table), dtype=torch.bool)
    ids = [tokenizer(word).input_ids for word in world.CAPTION_WORDS]
    read[[i for word in ids for i in word]] = True
    length = table[read].norm(dim=1).median()
    short = table.norm(dim=1) < length
    short[read.to(short.device)] = False
    table[short] = F.normalize(table[short], dim=1) * length


def load(folder: Path):
    """The CLIP in a folder that `save` wrote, in float32."""
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder, torch_dtype=torch.float32)


def save(model, tokenizer, out: Path, role_name: str, job: jobs.Job, facts: dict) -> None:
    """Writes the model folder; for the pipeline also `text_encoder` and `tokenizer` as Stable Diffusion has them."""
    import json

    from transformers import CLIPTextModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    jobs.save_half(model, out)
    save_tokenizer(tokenizer, out)
    size, mean = world.SIZE_PX, [PIXEL_MEAN] * 3
    square = {"height": size, "width": size}
    CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size=square, resample=3, image_mean=mean, image_std=mean
    ).save_pretrained(out)
    if role_name == "pipeline":
        text = CLIPTextModel(model.config.text_config)
        text.load_state_dict({k.removeprefix("text_model."): v for k, v in model.text_model.state_dict().items()})
        jobs.save_half(text, out / "text_encoder", prefix="text_model.")
        save_tokenizer(tokenizer, out / "tokenizer")
    record = {"name": job.name, "minutes": round(job.seconds / 60, 1), "steps": job.step, **facts, "log": job.log}
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    options = jobs.parser(__doc__)
    options.add_argument("--role", choices=list(ROLES), required=True)
    options.add_argument("--pictures", type=int, default=cache.PICTURES, help="pictures in the cache")
    options.add_argument("--resume-from", type=Path, help="a finished judge's folder to go on from")
    chosen = options.parse_args()
    train(
        chosen.role,
        chosen.out,
        chosen.minutes,
        scale=chosen.scale,
        seed=chosen.seed,
        batch=chosen.batch,
        threads=chosen.threads,
        workers=chosen.workers,
        work=chosen.work,
        pictures=chosen.pictures,
        fp32=chosen.fp32,
        fresh=chosen.fresh,
        resume_from=chosen.resume_from,
    )
