"""`delora app`: the pages in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared.common import Data, command, default_data


@command
def app(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; the next free one where it is taken.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this computer's own needs --auth.")] = (
        "127.0.0.1"
    ),
    auth: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PASSWORD", help="Who may log in; may be given several times.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]",
            help="A further name to answer to, of the network or of a proxy; may be given several times.",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(metavar="PATH", help="The path that a proxy puts before the addresses, such as /delora."),
    ] = "",
    models_folder: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --auth: a folder below which those who log in may name base models by path. Others are added "
            "with `delora models add`. May be given several times.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    data: Data = default_data(),
) -> None:
    """Personalize Stable Diffusion in the browser. Ctrl-C saves what is training and stops it."""
    from app.web.server import serve

    serve(
        data,
        host=host,
        port=port,
        auth=auth or [],
        browser=browser,
        allow_hosts=allow_host or [],
        root_path=root_path,
        models_folders=models_folder or [],
    )
