"""`delora generate`: pictures from a prompt, with one adapter, several at once, or the base model alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.adapters import sources, steered
from app.adapters.sources import Source
from app.commands.maps import Nearest, Numbers, Shared, answers, read_map
from app.commands.shared.common import Bars, Data, Json, answer, command, default_data, on_device, words_for_notes
from app.orders import following
from app.orders.drawings import USUAL_PX
from app.orders.request import Sampler, parse_request
from training import room
from training.errors import BadInput
from training.maps import SEGMENTATION
from training.spec import PLACEHOLDER, fill


@command
def generate(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT...",
            help="What to draw; {subject} stands for the run's subject. With --map it may be left out.",
        ),
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Draw with this run's adapter.")] = None,
    step: Annotated[
        int | None, typer.Option(help="Which save of the run; the recommended one, or else the last.")
    ] = None,
    adapter_ref: Annotated[
        str | None, typer.Option("--adapter", help="Draw with this imported adapter, or native adapter file.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADAPTER:X",
            help="A further adapter (run, imported, or file) and its strength. May be given several times.",
        ),
    ] = None,
    base_ref: Annotated[
        str | None, typer.Option("--base", help="Base model; the run's own, or else the embedded one.")
    ] = None,
    other_base: Annotated[
        bool,
        typer.Option("--other-base", help="Draw although --base is another model than the adapter's: its finetune."),
    ] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Pictures of each prompt.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first picture; the next ones count up.")] = 0,
    strength: Annotated[float, typer.Option(help="0 is the base model exactly, 1 the adapter as trained.")] = 1.0,
    steps: Annotated[int, typer.Option(min=1, max=200, help="Steps of the sampler.")] = 20,
    sampler: Annotated[Sampler, typer.Option(help="How noise becomes a picture.")] = "dpm++",
    guidance: Annotated[float, typer.Option(min=0, help="How hard a picture is pulled to its prompt.")] = 3.0,
    negative: Annotated[str, typer.Option(help="What pictures should not show.")] = "",
    size: Annotated[int | None, typer.Option(min=8, help="Edge in pixels; the base model's own.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures drawn at once.")] = 8,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="A semantic map (see --control-kind) to follow.")
    ] = None,
    control_kind: Annotated[
        Literal["segmentation", "canny", "lineart", "picture"] | None,
        typer.Option(
            help="What is followed of --map FILE: segmentation (it is a map), canny or lineart (the edges in this "
            "picture), or picture (a control picture, shown as it is); else what the run was taught with, or a map."
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="ControlNet for --map: embedded, controlnet-seg (downloaded), a folder; else the run's, or the base's."
        ),
    ] = None,
    control_scale: Annotated[
        float | None, typer.Option(min=0, max=2, help="How hard a picture is held to its map; as the run was, or 1.")
    ] = None,
    numbers: Numbers = None,
    shared: Shared = None,
    nearest: Nearest = False,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("generated"),
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Draw pictures. They are PNGs that carry their prompt, seed and settings."""
    sampling = {"steps": steps, "guidance": guidance, "negative": negative, "sampler": sampler}
    source, more = _sources(data, run_id, step, adapter_ref, also or [])
    kind = control_kind or steered.kind_of(source)
    followed = _followed(kind, map_file, answers(numbers, shared, nearest)) if map_file else None
    if not prompts:
        if followed is None or kind != SEGMENTATION:
            raise BadInput("No prompt was given.", "Say what to draw, or give a semantic map with --map.", "prompt")
        prompts = [steered.caption_of(followed)]
    for prompt in prompts:  # the same limits as on the page
        parse_request({"prompt": prompt, "seed": seed, "strength": strength, "size": size, **sampling})
    prompts = _filled(prompts, source)
    seeds = list(range(seed, seed + count))
    if followed is None and source and source.run and source.run.spec.follows_maps:
        words_for_notes(["This run was taught with maps; without --map only its adapter is drawn with."])
    room.check(out, room.pictures_bytes(len(prompts) * count, size or USUAL_PX), "this drawing")
    with on_device(data, f"delora generate: drawing {len(prompts) * count} pictures"):
        base, adapter = _attached(data, base_ref, source, more, other_base)
        from training.base import codec

        words_for_notes(codec.cut_off(base, [*prompts, *([negative] if guidance > 1 else [])]))
        with Bars(quiet=as_json) as bars:
            options = {"adapter": adapter, "strength": strength, **sampling, "batch": batch}
            options["progress"] = lambda done, total: bars.show("draw", done, total)
            if followed is None:
                from training import sample

                images, map_facts = sample.generate(base, prompts, seeds, **options, size=size), {}
            else:
                steering, map_facts = steered.steering(base, source, control, control_scale, data, kind)
                square = _square(kind, followed, size or base.capabilities.size_px)
                images = _following(base, steering, square, prompts, seeds, options)
                map_facts |= {"map": map_file.name, "control_kind": kind}
    settings = {**sampling, **map_facts, **(source.facts_on(base.ref) if source else {})}
    if more:
        settings["also"] = [{**other.facts_on(base.ref), "strength": share} for other, share in more]
    paths = _written(out, images, prompts, seeds, {**settings, "base": base.name, "strength": strength})
    document = {"pictures": [str(path) for path in paths], "prompts": prompts, "seeds": seeds, **settings}
    answer(as_json, document, "\n".join(map(str, paths)))


def _sources(
    data: Path, run_id: str | None, step: int | None, adapter_ref: str | None, also: list[str]
) -> tuple[Source | None, list[tuple[Source, float]]]:
    """What to draw with, and the further adapters with their strengths."""
    if run_id and adapter_ref:
        raise BadInput("--run and --adapter were both given.", "Give one of them, and the other with --also.", "run")
    source = None
    if run_id or adapter_ref:
        source = sources.of_run(data, run_id, step) if run_id else sources.of_adapter(data, adapter_ref)
    return source, [(sources.find(data, ref), share) for ref, share in map(sources.with_strength, also)]


def _filled(prompts: list[str], source: Source | None) -> list[str]:
    """The prompts with the words of what is drawn with in place of {subject}."""
    if not (source and source.trigger) and any(PLACEHOLDER in prompt for prompt in prompts):
        raise BadInput("A prompt holds {subject} but no run was named.", "Give --run, or write the words themselves.")
    return [fill(prompt, source.trigger) if source and source.trigger else prompt for prompt in prompts]


def _attached(
    data: Path, base_ref: str | None, source: Source | None, more: list[tuple[Source, float]], other_base: bool
) -> tuple:
    """The base model with every adapter on it, and the one whose strength is drawn with."""
    from app.adapters.saves import open_base

    first = source or (more[0][0] if more else None)
    base = open_base(base_ref or (first.base if first else "embedded"), data)
    adapter = source.attach(base, other_base=other_base) if source else None
    for i, (other, share) in enumerate(more):
        other.attach(base, f"also-{i}", other_base=other_base).strength = share
    return base, adapter


def _followed(kind: str, file: Path, said):
    """What --map names: the labels of a map, (H, W), or a picture."""
    if kind == SEGMENTATION:
        return read_map(file, said)
    from training.subject import pictures

    return pictures.read(file).image


def _square(kind: str, followed, edge: int):
    """The middle square of what is followed, as it is shown: (edge, edge) labels, or (edge, edge, 3)."""
    from training.maps import controls

    width, height = followed.shape[::-1] if kind == SEGMENTATION else followed.size
    if height != width:
        words_for_notes([f"The map is {width} x {height} pixels; its middle square is drawn."])
    if kind == SEGMENTATION:
        return following.square(followed, edge)
    return controls.of_picture(kind, followed, edge)


def _following(base, steering, square, prompts: list[str], seeds: list[int], options: dict) -> list:
    """The pictures that follow a control."""
    from training.maps.steering import drawing

    return drawing.draw(base, steering, following.wishes(square, prompts, seeds), **options)


def _written(out: Path, images: list, prompts: list[str], seeds: list[int], facts: dict) -> list[Path]:
    """The pictures, prompt by prompt, as PNGs in the folder `out`."""
    from evaluation.pictures import write_picture

    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, image in enumerate(images):
        prompt, seed = prompts[i // len(seeds)], seeds[i % len(seeds)]
        paths.append(_free(out, f"{i // len(seeds):02d}-{seed:05d}"))
        write_picture(image, paths[-1], {"prompt": prompt, "seed": seed, **facts})
    return paths


def _free(folder: Path, stem: str) -> Path:
    """A name in `folder` that is not taken: nothing is overwritten."""
    path, number = folder / f"{stem}.png", 1
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path
