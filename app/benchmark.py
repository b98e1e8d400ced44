"""The DreamBooth benchmark's 25 prompts on a save of a run, beside the base model on the same prompts and seeds."""

import json
from collections.abc import Callable
from pathlib import Path

from app.saves import best_step, open_base, open_save
from evaluation import prompts
from evaluation.basepictures import base_pictures
from evaluation.subject import Judge, likeness
from training.atomic import write_text
from training.run import Run


def benchmark_run(
    run: Run,
    judge: Judge,
    kind: str,
    step: int | None,
    seed_count: int,
    data: Path,
    show: Callable[[str, float, int], None],
) -> tuple[Path, dict]:
    """Draw and score the 25 prompts of `kind` (objects or live) x `seed_count` seeds.

    Returns:
        Where the document is kept in the run's folder, and the document.
    """
    from training import sample

    spec, step = run.spec, best_step(run) if step is None else step
    listed, seeds = prompts.benchmark(kind), list(range(seed_count))
    plain = [spec.prompt(text, plain=True) for text in listed]
    sampling = spec.sample.model_dump(include={"steps", "guidance", "negative"})
    base = open_base(spec.base, data)
    drawn = base_pictures(
        base, plain, seeds, data, size=spec.resolution, progress=lambda *p: show("base model", *p), **sampling
    )
    adapter = open_save(run, base, step)
    images = sample.generate(
        base,
        [spec.prompt(text) for text in listed],
        seeds,
        adapter=adapter,
        size=spec.resolution,
        progress=lambda *p: show("adapter", *p),
        **sampling,
    )
    texts = [text for text in plain for _ in seeds]
    base_scores = judge.score(drawn, texts)
    scores, real = judge.score(images, texts, base_scores), judge.self_similarity()
    percent = likeness(scores.dino, base_scores.dino, real and real["dino"])
    document = {
        "benchmark": kind,
        "step": step,
        "seeds": seeds,
        "prompts": list(listed),
        "base": base_scores.to_dict(),
        "adapter": {**scores.to_dict(), "likeness": percent},
        "real": real,
    }
    document["words"] = (
        f"{len(images)} pictures, step {step}: DINO {scores.dino:.3f} ± {scores.dino_stderr:.3f} "
        f"(base {base_scores.dino:.3f}), CLIP-I {scores.clip_i:.3f} ({base_scores.clip_i:.3f}), "
        f"CLIP-T {scores.clip_t_plain:.3f} ({base_scores.clip_t_plain:.3f})."
    )
    path = run.path / f"benchmark-{kind}-step-{step:06d}.json"
    write_text(path, json.dumps(document, indent=2) + "\n")
    return path, document
