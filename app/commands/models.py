"""`delora models`: which base models and judges are on this computer, getting more, adding one's own."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared.common import Bars, Data, Json, answer, command, default_data, table

app = typer.Typer(no_args_is_help=True, help="List, download, add and remove models.")
Name = Annotated[str, typer.Argument(help="sd15, dino, clip, controlnet-seg or segmentor.")]


@app.command("list")
@command
def list_models(data: Data = default_data(), as_json: Json = False) -> None:
    """List the models that are here and the ones that can be downloaded."""
    from training.base import catalog, models

    here = models.installed(data)
    rows = [[m.name, m.kind, m.words, m.licence] for m in here]
    names = {m.name for m in here}
    rows += [
        [known.name, "not here", f"{known.title}, {known.size_mb:,} MB to download.", known.licence]
        for known in catalog.CATALOG.values()
        if known.name not in names
    ]
    keys = ("name", "kind", "words", "licence")
    document = {"models": [dict(zip(keys, row, strict=True)) for row in rows]}
    answer(as_json, document, table(["name", "where", "what", "licence"], rows))


@app.command("get")
@command
def get(name: Name, data: Data = default_data(), as_json: Json = False) -> None:
    """Download a model at its pinned commit; goes on where an earlier try stopped."""
    from training.base import catalog, hub

    known = catalog.CATALOG.get(name)
    with Bars(quiet=as_json) as bars:
        if known:
            bars.say(f"{known.title}, {known.size_mb:,} MB. Licence: {known.licence}.")
        megabyte = 1 << 20
        path = hub.get(name, data, lambda done, total, file: bars.show("MB", done // megabyte, total // megabyte, file))
    answer(as_json, {"name": name, "path": str(path)}, f"{name} is in {path}. It works offline from now on.")


def _given_path(given: str) -> Path:
    """The path of a model as it was typed; an empty one would be the working folder."""
    if not given.strip():
        raise typer.BadParameter("it is empty. Name a folder or a checkpoint.")
    return Path(given)


@app.command("add")
@command
def add(
    path: Annotated[
        Path,
        typer.Argument(parser=_given_path, metavar="PATH", help="A diffusers folder or one .safetensors checkpoint."),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What to call it; its own name otherwise.")] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Remember a model of your own under a name; nothing is copied."""
    from training.base import hub

    name = hub.add(path, data, name)
    answer(as_json, {"name": name, "path": str(path)}, f"Added. Use it with `delora train --base {name}`.")


@app.command("remove")
@command
def remove(name: Name, data: Data = default_data(), as_json: Json = False) -> None:
    """Delete a downloaded model, or forget one of your own (its files stay)."""
    from training.base import hub

    words = hub.remove(name, data)
    answer(as_json, {"name": name, "words": words}, words)
