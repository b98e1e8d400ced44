"""`delora export`: a save of a run as a file for another program."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.adapters.exporting import export as write_export
from app.adapters.exporting import file_name
from app.adapters.formats import CHECKED, FORMATS, USES, about, exact_formats
from app.commands.shared.common import Data, Json, answer, command, default_data, on_device
from training.errors import BadInput
from training.runs import rundir


@command
def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    kind: Annotated[
        Literal[FORMATS] | None,
        typer.Option(
            "--format",
            help="; ".join(f"{name}: {use}" for name, use in USES.items())
            + ". Not given: kohya, or comfyui where kohya's files cannot hold the method.",
        ),
    ] = None,
    step: Annotated[int | None, typer.Option(help="Which save; the recommended one, or else the last.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it; the run's adapter folder.")] = None,
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Precision of the numbers in the file.")
    ] = "float32",
    compact: Annotated[
        int | None, typer.Option(min=1, help="Cut every layer down to this rank: smaller and only approximate.")
    ] = None,
    strength: Annotated[float, typer.Option(help="The adapter's strength in the file.")] = 1.0,
    merge_with: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADAPTER:X",
            help="Put a further adapter (run, imported, or file) into the same file, at its strength. May be given "
            "several times.",
        ),
    ] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Write a save of a run as a file for ComfyUI, AUTOMATIC1111, diffusers or PEFT, and check that it loads back."""
    from app.adapters import sources
    from app.adapters.saves import best_step, check_step, open_base, open_save
    from app.orders import exports
    from evaluation.loadback import load_back

    sources.check_strength(strength)
    run = rundir.open_run(data, run_id)
    step = best_step(run) if step is None else step
    more = [(sources.find(data, ref), share) for ref, share in map(sources.with_strength, merge_with or [])]
    kind = kind or ("kohya" if compact or "kohya" in exact_formats(run.spec.adapter.method) else "comfyui")
    if compact and kind not in CHECKED:
        raise BadInput(f"A {kind} file is always exact.", "Leave --compact out, or choose kohya.", field="compact")
    check_step(run, step)
    mark = exports.step_mark(run, step) + (f"-at-{strength:g}" if strength != 1 else "")
    mark += "".join(f"-with-{source.name}" for source, _ in more) + (f"-rank-{compact}" if compact else "")
    if out is None:
        run.check_places()
    path = out or run.path / "adapter" / file_name(run, kind, mark)
    with on_device(data, f"{run.spec.name}: export"):
        base = open_base(run.spec.base, data, "no")  # exports are exact only from full precision
        adapter = open_save(run, base, step)
        adapter.strength = strength
        also = [source.attach(base, f"also-{i}") for i, (source, _) in enumerate(more)]
        for other, (_, share) in zip(also, more, strict=True):
            other.strength = share
        facts = {"also": json.dumps([{**source.facts, "strength": share} for source, share in more])} if more else {}
        error = write_export(run, base, [adapter, *also], step, kind, path, dtype=dtype, compact=compact, facts=facts)
        document = {"path": str(path), "format": kind, "step": step, "relative_error": error, "use": USES[kind]}
        words = [f"{path}", f"Step {step}, {USES[kind]}.", about(run.spec, kind)]
        if compact is not None:
            words.append(f"Approximate: cut to rank {compact}, it misses {100 * error:.2g} % of the adapter.")
        if kind in CHECKED:
            prompt, seed = run.spec.prompt("a {subject}"), run.spec.seed
            check = load_back(base, adapter, path, prompt=prompt, seed=seed, strength=strength, also=also)
            document["load_back"] = check.to_dict()
            words += [check.words] if compact is None else []
    answer(as_json, document, "\n".join(filter(None, words)))
