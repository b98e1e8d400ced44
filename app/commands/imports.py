"""`delora import`: a LoRA file from elsewhere as an adapter of this program."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared.common import Data, Json, answer, command, default_data, table
from training.errors import BadInput


@command
def import_lora(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A LoRA or DoRA file (.safetensors), or PEFT's folder.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it. Empty: the title in the file, or the file's name.")] = "",
    trigger: Annotated[
        str, typer.Option(help="Words that call it in a prompt. Empty: those in the file, if it has any.")
    ] = "",
    base: Annotated[
        str, typer.Option(help="Base model it was made for. Empty: the one that the file names, or else sd15.")
    ] = "",
    ignore_others: Annotated[
        bool, typer.Option("--ignore-others", help="Leave out what cannot be adapted here, such as the text encoder.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List what has been imported.")] = False,
    rename: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ADAPTER NAME", help="Call an imported adapter something else.")
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="ADAPTER", help="Delete an imported adapter; the file it came from stays.")
    ] = None,
    data: Data = default_data(),
    as_json: Json = False,
) -> None:
    """Import a LoRA file, to draw with it and to combine it with your own adapters; or see to those imported."""
    from dataclasses import asdict

    from app.adapters import imported

    if listed:
        adapters, unreadable = imported.list_imported(data), imported.list_unreadable(data)
        rows = [[a.slug, a.name, a.trigger, a.base, f"{a.method}, rank {a.rank}", a.source] for a in adapters]
        words = table(["adapter", "name", "trigger", "base", "kind", "file"], rows) if rows else "Nothing is imported."
        words = "\n".join([words, *(f"{u.slug} cannot be used. {u.fault}" for u in unreadable)])
        answer(as_json, {"adapters": [asdict(a) for a in adapters], "damaged": [asdict(u) for u in unreadable]}, words)
        return
    if rename or remove:
        known = imported.rename(data, *rename) if rename else imported.remove(data, remove)
        done = f"{rename[0]} is called {known.name} now" if rename else f"Deleted {getattr(known, 'name', known.slug)}"
        answer(as_json, {"renamed" if rename else "deleted": asdict(known)}, f"{done} ({known.slug}).")
        return
    if file is None:
        raise BadInput("No file was given.", "Give a LoRA file, or --list.", field="file")
    adapter = imported.import_file(file, data, name=name, trigger=trigger, base=base, ignore_others=ignore_others)
    path = imported.path_of(data, adapter)
    words = [f"{path}", f"{adapter.name}: {adapter.method} of {adapter.layers} layers, rank {adapter.rank} at most."]
    words += [f"Left out: {adapter.left_out}."] if adapter.left_out else []
    prompt = f"a {adapter.trigger}" if adapter.trigger else "PROMPT"
    words.append(f"Try it: delora generate '{prompt}' --adapter {adapter.slug}")
    answer(as_json, {**asdict(adapter), "path": str(path)}, "\n".join(words))
