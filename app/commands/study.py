"""`delora study`: sets of runs with one table at the end."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands.shared.common import Bars, Data, Json, answer, command, default_data, on_device
from training.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="Sets of runs with one table at the end.")
TASKS = {"maps": "maps", "subject": "dreambooth"}  # the option's word -> the spec's


@app.command("ablation")
@command
def ablation(
    pairs: Annotated[
        Path | None, typer.Argument(metavar="[PAIRS]", help="For maps: a folder or zip of pairs; the sample set.")
    ] = None,
    task: Annotated[
        Literal["maps", "subject"], typer.Option(help="maps: the rows of the paper's Table 2; subject: of Table 1.")
    ] = "maps",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; the same one goes on with it. studies/ in --data.")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Only these methods, with commas; all rows of the table.")] = None,
    base: Annotated[str, typer.Option(help="Base model.")] = "embedded",
    effort: Annotated[Literal["quick", "balanced", "thorough"], typer.Option(help="Preset of every run.")] = "quick",
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps instead of the preset's.")] = None,
    subjects: Annotated[int, typer.Option(min=1, help="For subject: how many of the sample subjects.")] = 2,
    protocol: Annotated[
        Literal["frozen-controlnet", "hint-encoder"] | None, typer.Option(help="For maps, as for `delora train`.")
    ] = None,
    controlnet: Annotated[str | None, typer.Option(help="For maps, as for `delora train`.")] = None,
    segmentor: Annotated[str | None, typer.Option(help="For maps, as for `delora train`.")] = None,
    held_out_count: Annotated[int | None, typer.Option(min=1, help="For maps, as for `delora train`.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Train every row of the paper's ablation on the same data, and write one table.

    Stopped and called again with the same --out, it goes on where it was. The paper's figures stand beside only where
    models, protocol and data are the paper's.
    """
    from evaluation import ablation as ablations

    own = {"protocol": protocol, "controlnet": controlnet, "segmentor": segmentor, "held_out": held_out_count}
    changes: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if task == "subject" and (given := [*changes, *(["pairs"] if pairs else [])]):
        raise BadInput(f"{given[0]} is of --task maps.", "Leave it out.", given[0])
    changes |= {name: value for name, value in {"steps": steps, "threads": threads}.items() if value is not None}
    study = ablations.Ablation(
        folder=out or data / "studies" / f"ablation-{task}",
        models=data,
        task=TASKS[task],
        methods=tuple(methods.split(",")) if methods else ablations.rows_of(TASKS[task]),
        base=base,
        effort=effort,
        changes=changes,
        pairs=pairs,
        subjects=subjects,
    )
    with on_device(data, "delora study ablation"), Bars(quiet=as_json) as bars:
        document, text = ablations.run(study, lambda what, done, total: bars.show("runs", done, total, what))
    answer(as_json, {**document, "folder": str(study.folder)}, f"{text}\nKept in {study.folder}")
