"""The DreamBooth benchmark's 25 prompts with an adapter, beside the base model on the same prompts and seeds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.adapters import sources
from app.adapters.saves import open_base
from app.adapters.sources import Source
from evaluation import prompts
from evaluation.basepictures import base_pictures
from evaluation.figures import figures, in_words
from evaluation.subject import Judge
from training.atomic import write_text
from training.runs.run import Run
from training.spec import SampleSpec, fill


@dataclass(frozen=True)
class Contestant:
    """What is drawn with, and how.

    class_word: the subject's kind, which the base model is asked for and CLIP-T compares with. sampling: its steps,
    guidance and negative prompt. size_px: None for the base model's own. file: what the document's name begins with.
    """

    source: Source
    class_word: str
    sampling: SampleSpec
    size_px: int | None
    file: Path


def of_run(run: Run, data: Path, step: int | None) -> Contestant:
    """A save of a run: `step`, or the recommended one. Raises BadInput where there is none."""
    source, spec = sources.of_run(data, str(run.path), step), run.spec
    return Contestant(source, spec.class_word, spec.sample, spec.resolution, run.path / "benchmark")


def of_adapter(source: Source, class_word: str) -> Contestant:
    """An imported adapter or a native file."""
    return Contestant(source, class_word, SampleSpec(), None, source.path.with_name(f"{source.name}-benchmark"))


def benchmark(
    contestant: Contestant,
    judge: Judge,
    kind: str,
    seed_count: int,
    data: Path,
    show: Callable[[str, float, int], None],
) -> tuple[Path, dict]:
    """Draw and score the 25 prompts of `kind` (objects or live) x `seed_count` seeds.

    Returns:
        Where the document is kept, and the document.
    """
    from training import sample

    source, word = contestant.source, contestant.class_word
    listed, seeds = prompts.benchmark(kind), list(range(seed_count))
    plain = [fill(text, word) for text in listed]
    sampling = contestant.sampling.model_dump(include={"steps", "guidance", "negative"})
    sampling["size"] = contestant.size_px
    base = open_base(source.base, data)
    drawn = base_pictures(base, plain, seeds, data, progress=lambda *p: show("base model", *p), **sampling)
    images = sample.generate(
        base,
        [fill(text, source.trigger or word) for text in listed],
        seeds,
        adapter=source.attach(base),
        progress=lambda *p: show("adapter", *p),
        **sampling,
    )
    texts = [text for text in plain for _ in seeds]
    judge.base_pictures = lambda: drawn
    base_scores, scores, real = judge.score(drawn, texts), judge.score(images, texts), judge.self_similarity()
    told = figures(scores, base_scores, real, judge.known).to_dict()
    document = {
        "benchmark": kind,
        "step": source.step,
        "seeds": seeds,
        "prompts": list(listed),
        "base": base_scores.to_dict(),
        "adapter": {**scores.to_dict(), "figures": told},
        "real": real,
    }
    step = f", step {source.step}" if source.step else ""
    document["words"] = (
        f"{len(images)} pictures{step}: {in_words(told)}. DINO {scores.dino:.3f} ± {scores.dino_stderr:.3f} "
        f"(base {base_scores.dino:.3f}), CLIP-I {scores.clip_i:.3f} ({base_scores.clip_i:.3f}), "
        f"CLIP-T {scores.clip_t:.3f} ({base_scores.clip_t:.3f})."
    )
    mark = f"-step-{source.step:06d}" if source.step else ""
    path = contestant.file.with_name(f"{contestant.file.name}-{kind}{mark}.json")
    write_text(path, json.dumps(document, indent=2) + "\n")
    return path, document
