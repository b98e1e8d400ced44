"""`delora export`: a save of a run as a file for another program."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.commands.common import Data, Json, answer, command, default_data
from app.exporting import FORMATS, USES, file_name
from app.exporting import export as write_export
from training import rundir


@command
def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    kind: Annotated[
        Literal[FORMATS], typer.Option("--format", help="; ".join(f"{name}: {use}" for name, use in USES.items()))
    ] = "kohya",
    step: Annotated[int | None, typer.Option(help="Which save; the recommended one, or else the last.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it; the run's adapter folder.")] = None,
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Precision of the numbers in the file.")
    ] = "float32",
    compact: Annotated[
        int | None, typer.Option(min=1, help="Cut every layer down to this rank: smaller and only approximate.")
    ] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Write a save of a run as a file for ComfyUI, AUTOMATIC1111, diffusers or PEFT, and check that it loads back."""
    from app.saves import best_step, open_base, open_save
    from evaluation.loadback import load_back

    run = rundir.open_run(data, run_id)
    step = best_step(run) if step is None else step
    path = out or run.path / "adapter" / file_name(run, kind)
    base = open_base(run.spec.base, data, "no")  # exports are exact only from full precision
    adapter = open_save(run, base, step)
    error = write_export(run, base, adapter, step, kind, path, dtype=dtype, compact=compact)
    document = {"path": str(path), "format": kind, "step": step, "relative_error": error, "use": USES[kind]}
    words = [f"{path}", f"Step {step}, {USES[kind]}."]
    if compact is not None:
        words.append(f"Approximate: cut to rank {compact}, it misses {100 * error:.2g} % of the adapter.")
    if kind in ("kohya", "diffusers"):
        check = load_back(base, adapter, path, prompt=run.spec.prompt("a {subject}"), seed=run.spec.seed)
        document["load_back"] = check.to_dict()
        words.append(check.words)
    answer(as_json, document, "\n".join(words))
