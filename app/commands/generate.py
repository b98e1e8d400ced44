"""`delora generate`: pictures from a prompt, with a run's adapter, an adapter file, or the base model alone."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import Bars, Data, Json, answer, command, default_data
from training.errors import BadInput
from training.run import Run
from training.rundir import open_run
from training.spec import PLACEHOLDER, fill


@command
def generate(
    prompts: Annotated[
        list[str], typer.Argument(metavar="PROMPT...", help="What to draw; {subject} stands for the run's subject.")
    ],
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Draw with this run's adapter.")] = None,
    step: Annotated[
        int | None, typer.Option(help="Which save of the run; the recommended one, or else the last.")
    ] = None,
    adapter_file: Annotated[Path | None, typer.Option("--adapter", help="Draw with this native adapter file.")] = None,
    base_ref: Annotated[
        str | None, typer.Option("--base", help="Base model; the run's own, or else the embedded one.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Pictures of each prompt.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first picture; the next ones count up.")] = 0,
    strength: Annotated[float, typer.Option(help="0 is the base model exactly, 1 the adapter as trained.")] = 1.0,
    steps: Annotated[int, typer.Option(min=1, max=200, help="Sampler steps (DPM-Solver++).")] = 20,
    guidance: Annotated[float, typer.Option(min=0, help="How hard a picture is pulled to its prompt.")] = 3.0,
    negative: Annotated[str, typer.Option(help="What pictures should not show.")] = "",
    size: Annotated[int | None, typer.Option(min=8, help="Edge in pixels; the base model's own.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures drawn at once.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("generated"),
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Draw pictures. They are PNGs that carry their prompt, seed and settings."""
    if run_id and adapter_file:
        raise BadInput("--run and --adapter were both given.", "Give one of them.", field="run")
    run = open_run(data, run_id) if run_id else None
    if run is None and any(PLACEHOLDER in prompt for prompt in prompts):
        raise BadInput("A prompt holds {subject} but no run was named.", "Give --run, or write the words themselves.")
    prompts = [fill(prompt, run.spec.subject) if run else prompt for prompt in prompts]
    base_ref = base_ref or (run.spec.base if run else _base_of(adapter_file))

    from app.saves import open_base
    from evaluation.pictures import write_picture
    from training import sample

    base = open_base(base_ref, data)
    adapter, source = _opened(base, run, step, adapter_file)
    seeds = list(range(seed, seed + count))
    with Bars(quiet=as_json) as bars:
        images = sample.generate(
            base,
            prompts,
            seeds,
            adapter=adapter,
            strength=strength,
            steps=steps,
            guidance=guidance,
            negative=negative,
            batch=batch,
            size=size,
            progress=lambda done, total: bars.show("draw", done, total),
        )
    out.mkdir(parents=True, exist_ok=True)
    settings = {"steps": steps, "guidance": guidance, "negative": negative, "sampler": "DPM-Solver++"}
    paths = []
    for i, image in enumerate(images):
        prompt, own_seed = prompts[i // count], seeds[i % count]
        facts = {"prompt": prompt, "seed": own_seed, **settings, "base": base.name, "strength": strength, **source}
        paths.append(_free(out, f"{i // count:02d}-{own_seed:05d}"))
        write_picture(image, paths[-1], facts)
    document = {"pictures": [str(path) for path in paths], "prompts": prompts, "seeds": seeds, **source}
    answer(as_json, document, "\n".join(map(str, paths)))


def _base_of(adapter_file: Path | None) -> str:
    """The base model that an adapter file names; the embedded one without a file."""
    if adapter_file is None:
        return "embedded"
    from delora.files import read_header

    try:
        return read_header(adapter_file).get("base", "embedded")
    except ValueError as error:
        raise BadInput(str(error), "Give a native file as `delora export --format native` writes it.") from error


def _opened(base, run: Run | None, step: int | None, adapter_file: Path | None):
    """The adapter to draw with, or None, and the facts that say where it came from."""
    from app.saves import best_step, open_save

    if run is not None:
        step = best_step(run) if step is None else step
        return open_save(run, base, step), {"run": run.id, "step": step}
    if adapter_file is None:
        return None, {}
    import delora

    try:
        adapter = delora.load(base.unet, adapter_file).to(base.unet.device)
    except ValueError as error:
        raise BadInput(str(error), "Name the base model it was trained on with --base.", field="adapter") from error
    return adapter, {"adapter": adapter_file.name}


def _free(folder: Path, stem: str) -> Path:
    """A name in `folder` that is not taken: nothing is overwritten."""
    path, number = folder / f"{stem}.png", 1
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path
