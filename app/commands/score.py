"""`delora score`: scores of a run's saves, of the benchmark's prompts, or of a folder of pictures."""

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.commands.runs import advice_words, score_table
from app.commands.shared.common import Bars, Data, Json, answer, command, default_data, on_device, words_for_notes
from training.errors import BadInput
from training.runs.rundir import open_run
from training.spec import fill


@command
def score(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Score this run's saves again.")] = None,
    benchmark: Annotated[
        Literal["objects", "live"] | None,
        typer.Option(help="Draw and score the DreamBooth benchmark's 25 prompts with a save of the run."),
    ] = None,
    step: Annotated[int | None, typer.Option(help="Which save for --benchmark; the recommended one.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pictures of each prompt for --benchmark.")] = 4,
    adapter: Annotated[
        str | None,
        typer.Option(help="Draw and score the benchmark's prompts with this imported adapter, or native adapter file."),
    ] = None,
    pictures: Annotated[Path | None, typer.Option(help="Score the pictures in this folder.")] = None,
    real: Annotated[Path | None, typer.Option(help="The real pictures, for --pictures and --adapter.")] = None,
    class_word: Annotated[str, typer.Option(help="The subject's kind, for --pictures and --adapter.")] = "",
    token: Annotated[str, typer.Option(help="The rare word in their prompts, for --pictures.")] = "sks",
    prompt: Annotated[str, typer.Option(help="Their prompt, where the pictures do not carry it themselves.")] = "",
    dino: Annotated[str | None, typer.Option(help="embedded, a folder, or facebook/dino-vits16 if downloaded.")] = None,
    clip: Annotated[
        str | None, typer.Option(help="embedded, a folder, or openai/clip-vit-base-patch32 if downloaded.")
    ] = None,
    segmentor: Annotated[
        str | None, typer.Option(help="For runs of maps: embedded, segmentor if downloaded, or a folder.")
    ] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Score likeness, prompt following and whether it is a clean picture, with the judges of your choice.

    Of a run of maps: how well its pictures follow their maps (mIoU), with a segmentor.

    Give a run, or --adapter with --real and --class-word, or --pictures with --real.
    """
    if sum(given is not None for given in (run_id, adapter, pictures)) != 1:
        raise BadInput("Give either a run, --adapter or --pictures.", "See `delora score --help`.")
    if pictures is not None:
        with on_device(data, f"delora score: {pictures.name}"):
            judge = judge_of(real, dino, clip, data, class_word)
            document = score_folder(pictures, judge, fill(prompt, class_word), token)
        answer(as_json, document, document["words"])
        return
    from evaluation import tasks
    from evaluation.runscores import default_judges
    from training.base import models

    if adapter is not None:
        from app.adapters import sources
        from app.adapters.benchmark import of_adapter

        if not class_word.strip():
            raise BadInput("--class-word is not given.", "Say what the subject is: dog, car, shoe.", field="class_word")
        contestant = of_adapter(sources.of_adapter(data, adapter), class_word)
        embedded = models.describe(contestant.source.base, data).embedded
        with on_device(data, f"{contestant.source.title}: scoring"):
            judge = judge_of(real, dino, clip, data, class_word, default_judges(embedded, data))
            document, words = _benchmark(contestant, judge, benchmark or "objects", seeds, data, as_json)
        answer(as_json, document, words)
        return
    run = open_run(data, run_id)
    with on_device(data, f"{run.spec.name}: scoring"):
        task = tasks.of(run.spec)
        judges = task.judged_by({"dino": dino, "clip": clip, "segmentor": segmentor})
        scorer = task.scorer(run, models.describe(run.spec.base, data).embedded, data, **judges)
        if benchmark is None:
            scorer.update()
            document = run.scores()
            words = "\n".join([score_table(run, document), "", *advice_words(document)])
        else:
            from app.adapters.benchmark import of_run

            if not run.spec.subject:
                raise BadInput(
                    "--benchmark asks for prompts of a subject, and this run has none.", "Leave it out.", "benchmark"
                )

            document, words = _benchmark(of_run(run, data, step), scorer.judge, benchmark, seeds, data, as_json)
    answer(as_json, document, words)


def _benchmark(contestant, judge, kind: str, seeds: int, data: Path, quiet: bool) -> tuple[dict, str]:
    """The benchmark's document and what to say of it."""
    from app.adapters.benchmark import benchmark

    with Bars(quiet=quiet) as bars:
        path, document = benchmark(contestant, judge, kind, seeds, data, bars.show)
    return document, f"{document['words']}\nKept in {path}"


def judge_of(
    real: Path | None,
    dino: str | None,
    clip: str | None,
    data: Path,
    class_word: str = "",
    default: tuple[str, str] | None = None,
):
    """DINO and CLIP with the real pictures in a folder. default: references where none is given, or the built-in ones.

    Raises BadInput where the folder is not given or a picture in it cannot be read.
    """
    from evaluation import encoders, prompts
    from evaluation.pictures import read_pictures
    from evaluation.subject import Judge
    from training.subject.intake import expand, left_out

    if real is None:
        raise BadInput("--real is not given.", "Name the folder of the real pictures.", field="real")
    default = default or (encoders.EMBEDDED, encoders.EMBEDDED)
    judges = [
        encoders.load(kind, ref or usual, data)
        for kind, ref, usual in zip(("dino", "clip"), (dino, clip), default, strict=True)
    ]
    embedded = judges[1].ref == encoders.EMBEDDED
    contrast = functools.partial(prompts.contrast, class_word=class_word, embedded=embedded)
    words_for_notes(left_out([real]))
    return Judge(*judges, read_pictures(expand([real])), contrast)


def score_folder(pictures: Path, judge, prompt: str, token: str) -> dict:
    """Scores of a folder of pictures, as a document.

    A picture's prompt is the one it carries (as `delora generate` writes it) without the token, or else `prompt`.
    """
    from evaluation.figures import CLEAN, clean
    from evaluation.pictures import read_facts, read_pictures
    from training.subject.intake import expand, left_out

    files = expand([pictures])
    words_for_notes(left_out([pictures]))
    texts = []
    for path in files:
        text = read_facts(path).get("prompt") or prompt
        if not text:
            raise BadInput(f"{path.name} does not carry its prompt.", "Give it with --prompt.", field="prompt")
        texts.append(" ".join(word for word in text.split() if word.lower() != token.lower()))
    scores = judge.score(read_pictures(files), texts)
    words = (
        f"DINO {scores.dino:.3f}, CLIP-I {scores.clip_i:.3f}, CLIP-T {scores.clip_t:.3f}, "
        f"{CLEAN.name.lower()} {clean(scores):.0f} % ({scores.pictures} pictures)."
    )
    return {
        **scores.to_dict(),
        "real": judge.self_similarity(),
        "strangeness": judge.strangeness,
        "files": [path.name for path in files],
        "words": words if judge.known else f"{words} The judges know nothing of pictures like these.",
    }
